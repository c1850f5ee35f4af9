"""The deployer's choices, read from the environment. No other module reads it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

from limits import parse, parse_many


@dataclass(frozen=True)
class Config:
    """The options of a deployment. The defaults suit a single machine."""

    port: int = 5001
    rate_limit: str = "30 per minute"
    ratelimit_storage_uri: str = "memory://"
    retention_minutes: int = 30
    temp_bucket: str = "pinch-temp"
    s3_endpoint_url: str | None = None  # the functions call this address; AWS itself when empty
    s3_public_endpoint_url: str | None = None  # the browser calls this one, where it differs
    page_origin: str | None = None  # the one origin that CORS allows to call the API; none when empty
    aws_region: str = "us-east-1"

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Read PORT, RATE_LIMIT, RATELIMIT_STORAGE_URI, RETENTION_MINUTES, TEMP_BUCKET, S3_ENDPOINT_URL,
        S3_PUBLIC_ENDPOINT_URL, PAGE_ORIGIN and AWS_REGION. A variable that is unset or empty gets its default.

        Raises ValueError whose message names the variable.
        """
        given: dict[str, Any] = {f.name: value for f in fields(cls) if (value := environ.get(f.name.upper()))}
        for name, most in (("port", 65_535), ("retention_minutes", 1_440)):
            if name in given:
                given[name] = _whole_number(name.upper(), given[name], most)
        if "page_origin" in given:
            given["page_origin"] = given["page_origin"].rstrip("/")  # an Origin header has no path
        config = cls(**given)
        try:
            usable = [item.amount > 0 for item in parse_many(config.rate_limit)] == [True]
        except ValueError:
            usable = False
        if not usable:
            raise ValueError(f"RATE_LIMIT must read like '30 per minute', not {config.rate_limit!r}.")
        return config

    @property
    def requests_per_minute(self) -> int:
        limit = parse(self.rate_limit)
        return max(1, limit.amount * 60 // limit.get_expiry())


def _whole_number(name: str, text: str, most: int) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= most):
        raise ValueError(f"{name} must be a whole number from 1 to {most}, not {text!r}.")
    return int(text)
