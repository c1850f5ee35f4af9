"""Identifies clients, and limits how many requests each may make."""

import time
from collections.abc import Callable
from functools import wraps
from ipaddress import IPv6Address, ip_address
from typing import Any, TypeVar, cast

from flask import g, has_request_context, request
from flask_limiter import Limiter
from limits import RateLimitItem
from limits.errors import StorageError

from optimizer.config import Config
from optimizer.dynamodb_storage import ATTEMPTS, CONNECT_SECONDS, READ_SECONDS, DynamoDBStorage, SlidingWindow
from optimizer.problems import UnknownClient
from optimizer.telemetry import note

View = TypeVar("View", bound=Callable[..., Any])


class RequestStorage(DynamoDBStorage):
    """Remembers, within a request, the window that its own hit saw. So the headers cost no further calls."""

    STORAGE_SCHEME = ["dynamodb"]  # noqa: RUF012  # replaces DynamoDBStorage for this scheme

    def acquire_sliding_window_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        try:
            admitted, seen = self.hit_sliding_window(key, limit, expiry, amount)
        except self.base_exceptions as error:
            note(limiter_error=str(error))
            raise
        if has_request_context():
            g.sliding_window = seen
        return admitted

    def get_sliding_window(self, key: str, expiry: int) -> SlidingWindow:
        seen: SlidingWindow | None = g.get("sliding_window") if has_request_context() else None
        return seen or super().get_sliding_window(key, expiry)


def create_limiter(config: Config) -> Limiter:
    """Return the limiter, with a moving window. In memory and in Redis, no span as long as the window admits more than
    the limit. In DynamoDB it is about the limit, see `DynamoDBStorage`.

    While the storage is down, each instance counts in its own memory.
    """
    scheme = config.ratelimit_storage_uri.partition(":")[0]
    options: dict[str, Any] = {"wrap_exceptions": True}
    if scheme == "dynamodb":
        options["region_name"] = config.aws_region
    elif scheme.startswith("redis"):
        options |= _impatient_redis()
    return Limiter(
        key_func=lambda: g.client,
        storage_uri=config.ratelimit_storage_uri,
        storage_options=options,
        strategy="sliding-window-counter" if scheme == "dynamodb" else "moving-window",
        in_memory_fallback_enabled=True,
    )


def _impatient_redis() -> dict[str, Any]:
    """Return options that make a Redis that hangs fail soon. With the default options, a call would wait for ever."""
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    return {
        "socket_connect_timeout": CONNECT_SECONDS,
        "socket_timeout": READ_SECONDS,
        "retry": Retry(NoBackoff(), ATTEMPTS - 1),
    }


def count_by(limiter: Limiter, rate_limit: str) -> Callable[[View], View]:
    """Return a decorator for routes. All decorated routes share one count per client."""
    limited = limiter.shared_limit(rate_limit, scope="api")

    def decorate(view: View) -> View:
        limited_view = limited(view)

        @wraps(view)
        def identify_and_count(*args: Any, **names: Any) -> Any:
            g.client = client_key()  # outside the limiter, which would treat UnknownClient as a storage error
            try:
                return limited_view(*args, **names)
            except StorageError:
                # Another thread noticed first that the storage is down. Only its request was counted in memory.
                return limited_view(*args, **names)

        return cast(View, identify_and_count)

    return decorate


def is_falling_back(limiter: Limiter) -> bool:
    """Return whether the storage is down, so that this instance counts on its own."""
    return limiter.limiter.storage is not limiter.storage


def client_key() -> str:
    """Return the client's address, from a source it cannot forge: an IPv4 address, or the /64 network of an IPv6 one.

    Behind API Gateway that is `sourceIp`. REMOTE_ADDR would not do: aws-wsgi takes it from X-Forwarded-For, which the
    client writes. Raises UnknownClient if the gateway gives no address.
    """
    event = request.environ.get("awsgi.event")
    address = request.remote_addr if event is None else _source_ip(event)
    try:
        ip = ip_address(address or "")
    except ValueError as error:
        raise UnknownClient("The gateway did not say where this request comes from. Call the API directly.") from error
    if isinstance(ip, IPv6Address):
        return str(ip.ipv4_mapped or IPv6Address(int(ip) >> 64 << 64))
    return str(ip)


def _source_ip(event: dict[str, object]) -> str | None:
    context = event.get("requestContext")
    identity = context.get("identity") if isinstance(context, dict) else None
    address = identity.get("sourceIp") if isinstance(identity, dict) else None
    return address if isinstance(address, str) else None


def quota_headers(limiter: Limiter) -> dict[str, str]:
    """Return RateLimit-Limit, -Remaining and -Reset (seconds) for a counted request, and Retry-After if it was refused.

    Any other request gets none.
    """
    current = limiter.current_limit
    if current is None:
        return {}
    item: RateLimitItem = current.limit
    reset_at, remaining = current.window
    seconds = max(1, int(reset_at - time.time()) + 1)  # at its very last moment, the window still counts
    headers = {
        "RateLimit-Limit": str(item.amount),
        "RateLimit-Remaining": str(remaining),
        "RateLimit-Reset": str(seconds),
    }
    return headers | ({"Retry-After": str(seconds)} if current.breached else {})
