"""The temp store on S3: sources under uploads/, results under results/, and nothing that stays."""

import json
import logging
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote, unquote

import boto3
from botocore.config import Config as ClientConfig
from botocore.exceptions import ClientError

from optimizer.config import Config
from optimizer.filenames import content_disposition, safe_stem
from optimizer.limits import DOWNLOAD_LINK_SECONDS, MAX_UPLOAD_BYTES, UPLOAD_LINK_SECONDS
from optimizer.problems import UnknownUpload, UploadTooLarge

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ObjectIdentifierTypeDef

UPLOADS, RESULTS = "uploads/", "results/"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StoredSource:
    """A source as it was sent, with the name its owner knows it by, without folders and extension."""

    data: bytes
    stem: str


class TempStore:
    """Objects of one bucket that live for minutes. `client` calls S3, `public_client` signs what the browser calls."""

    def __init__(self, client: "S3Client", public_client: "S3Client", bucket: str, retention_minutes: int) -> None:
        self._client = client
        self._public_client = public_client
        self._bucket = bucket
        # The sweep runs every few minutes: taking what is older than two thirds keeps the promise for the rest.
        self._max_age = timedelta(minutes=retention_minutes) * 2 / 3

    @classmethod
    def connect(cls, config: Config) -> Self:
        """Build the store with its S3 clients. Calls nothing yet."""
        session = boto3.session.Session(region_name=config.aws_region)
        client = _s3_client(session, config.s3_endpoint_url)
        public_url = config.s3_public_endpoint_url or config.s3_endpoint_url
        public_client = client if public_url == config.s3_endpoint_url else _s3_client(session, public_url)
        return cls(client, public_client, config.temp_bucket, config.retention_minutes)

    def presign_upload(self, name: str, media_type: str) -> dict[str, Any]:
        """Return a new upload's id and the form that the browser posts to S3; the policy allows just this upload."""
        upload_id = secrets.token_hex(16)
        fields = {"Content-Type": media_type, "x-amz-meta-name": quote(safe_stem(name))}
        form = self._public_client.generate_presigned_post(
            self._bucket,
            UPLOADS + upload_id,
            Fields=dict(fields),
            # boto3 signs only the conditions it is given, so each field is named again.
            Conditions=[
                *({key: value} for key, value in fields.items()),
                ["content-length-range", 1, MAX_UPLOAD_BYTES],
            ],
            ExpiresIn=UPLOAD_LINK_SECONDS,
        )
        expires_at = _seconds_from_now(UPLOAD_LINK_SECONDS)
        return {
            "id": upload_id,
            "method": "POST",
            "url": form["url"],
            "fields": form["fields"],
            "expires_at": expires_at,
        }

    def read_source(self, upload_id: str) -> StoredSource:
        """Return the uploaded bytes.

        Raises UnknownUpload when there are none, UploadTooLarge when S3 was made to take more than its policy allows.
        """
        try:
            answer = self._client.get_object(Bucket=self._bucket, Key=UPLOADS + upload_id)
        except ClientError as error:
            raise _unknown(error) from error
        with answer["Body"] as body:
            if answer["ContentLength"] > MAX_UPLOAD_BYTES:
                raise UploadTooLarge(f"The limit is {MAX_UPLOAD_BYTES // 2**20} MB. Send a smaller file.")
            return StoredSource(body.read(), safe_stem(unquote(answer["Metadata"].get("name", ""))))

    def find_record(self, upload_id: str, digest: str) -> dict[str, Any] | None:
        """Return what `save_result` kept for these settings, or None."""
        for obj in self._list(f"{RESULTS}{upload_id}/{digest}."):
            head = self._client.head_object(Bucket=self._bucket, Key=obj["Key"])
            record: dict[str, Any] = json.loads(head["Metadata"]["record"])
            return record
        return None

    def save_result(self, upload_id: str, digest: str, data: bytes, record: dict[str, Any]) -> None:
        """Keep a result with the record that describes it (its `media_type`, `filename` and what else is in it).

        Both are one object, so that neither is ever found without the other. S3 takes 2 KB of metadata.
        """
        self._client.put_object(
            Bucket=self._bucket,
            Key=_result_key(upload_id, digest, record),
            Body=data,
            ContentType=record["media_type"],
            ContentDisposition=content_disposition(record["filename"]),
            CacheControl="private, no-store",
            Metadata={"record": json.dumps(record, separators=(",", ":"))},
        )

    def presign_download(self, upload_id: str, digest: str, record: dict[str, Any]) -> dict[str, str]:
        """Return `url`, a link to a saved result, and `expires_at`."""
        params = {"Bucket": self._bucket, "Key": _result_key(upload_id, digest, record)}
        url = self._public_client.generate_presigned_url("get_object", params, ExpiresIn=DOWNLOAD_LINK_SECONDS)
        return {"url": url, "expires_at": _seconds_from_now(DOWNLOAD_LINK_SECONDS)}

    def discard(self, upload_ids: list[str]) -> None:
        """Delete the sources and all results of these uploads. Deleting what is not there is no error."""
        results = [obj["Key"] for each in upload_ids for obj in self._list(f"{RESULTS}{each}/")]
        self._delete([UPLOADS + each for each in upload_ids] + results)

    def sweep(self, now: datetime) -> int:
        """Delete every object older than two thirds of the retention, and return how many there were."""
        old = [
            obj["Key"]
            for prefix in (UPLOADS, RESULTS)
            for obj in self._list(prefix)
            if now - obj["LastModified"] > self._max_age
        ]
        self._delete(old)
        return len(old)

    def _list(self, prefix: str) -> Iterator[Any]:
        for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix):
            yield from page.get("Contents", [])

    def _delete(self, keys: list[str]) -> None:
        for start in range(0, len(keys), 1_000):  # S3 takes a thousand a call
            objects: list[ObjectIdentifierTypeDef] = [{"Key": key} for key in keys[start : start + 1_000]]
            answer = self._client.delete_objects(Bucket=self._bucket, Delete={"Objects": objects, "Quiet": True})
            if answer.get("Errors"):
                raise RuntimeError(f"S3 did not delete {len(answer['Errors'])} objects: {answer['Errors'][0]}")


def _s3_client(session: boto3.session.Session, endpoint_url: str | None) -> "S3Client":
    return session.client(
        "s3",
        endpoint_url=endpoint_url,
        config=ClientConfig(
            signature_version="s3v4",  # presigned links are SigV2 otherwise
            s3={"addressing_style": "path" if endpoint_url else "virtual"},
            connect_timeout=2,
            read_timeout=10,
            retries={"mode": "standard", "total_max_attempts": 2},
        ),
    )


def _unknown(error: ClientError) -> UnknownUpload:
    """Return the problem for a missing object, or raise the error again. S3 says 403 where listing is not allowed."""
    if error.response["ResponseMetadata"]["HTTPStatusCode"] not in (403, 404):
        raise error
    return UnknownUpload("There is no such upload, or it was deleted. Upload the image again.")


def _result_key(upload_id: str, digest: str, record: dict[str, Any]) -> str:
    extension = record["filename"].rpartition(".")[2]
    return f"{RESULTS}{upload_id}/{digest}.{extension}"


def _seconds_from_now(seconds: int) -> str:
    moment = datetime.now(UTC) + timedelta(seconds=seconds)
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
