"""The temp store on S3: sources under uploads/, results under results/, and nothing that stays."""

import json
import logging
import secrets
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from threading import Timer
from time import monotonic
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote, unquote

import boto3
from botocore.config import Config as ClientConfig
from botocore.exceptions import ClientError, IncompleteReadError, ReadTimeoutError, ResponseStreamingError

from optimizer.config import Config
from optimizer.filenames import content_disposition, safe_stem
from optimizer.limits import DOWNLOAD_LINK_SECONDS, MAX_UPLOAD_BYTES, UPLOAD_LINK_SECONDS
from optimizer.problems import SourceChanged, StorageUnavailable, UnknownUpload, UploadTooLarge

if TYPE_CHECKING:
    from botocore.response import StreamingBody
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import HeadObjectOutputTypeDef, ObjectIdentifierTypeDef

UPLOADS, RESULTS = "uploads/", "results/"
# A call that fails does so within 5 seconds, as botocore waits up to one between its attempts.
CONNECT_SECONDS, ANSWER_SECONDS, ATTEMPTS = 1, 2, 2
READ_SECONDS = 8  # for all of a source; 25 MB take half a second within a region
MAX_CLOCK_DIFFERENCE = timedelta(minutes=5)  # S3 refuses signatures from 15 on

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StoredSource:
    """A source that is there: its version, and the name its owner knows it by, without folders and extension."""

    etag: str
    stem: str
    kept_until: datetime  # the end of its retention


class TempStore:
    """Objects of one bucket that live for minutes. `client` calls S3, `public_client` signs what the browser calls."""

    def __init__(self, client: "S3Client", public_client: "S3Client", bucket: str, retention_minutes: int) -> None:
        self._client = client
        self._public_client = public_client
        self._bucket = bucket
        # The sweep runs every few minutes: taking what is older than two thirds keeps the promise for the rest.
        self._retention = timedelta(minutes=retention_minutes)
        self._max_age = self._retention * 2 / 3

    @classmethod
    def connect(cls, config: Config) -> Self:
        """Build the store with its S3 clients. Calls nothing yet."""
        client = _s3_client(config.aws_region, config.s3_endpoint_url)
        public_url = config.s3_public_endpoint_url or config.s3_endpoint_url
        public_client = client if public_url == config.s3_endpoint_url else _s3_client(config.aws_region, public_url)
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

    def find_source(self, upload_id: str) -> StoredSource:
        """Tell of the uploaded file.

        Raises UnknownUpload when there is none or its retention has ended, UploadTooLarge when S3 was made to take more
        than its policy allows.
        """
        head = self._head(UPLOADS + upload_id)
        if head is None or head["LastModified"] + self._retention <= datetime.now(UTC):
            raise _unknown_upload()
        if head["ContentLength"] > MAX_UPLOAD_BYTES:
            raise UploadTooLarge(f"The limit is {MAX_UPLOAD_BYTES // 2**20} MB. Send a smaller file.")
        stem = safe_stem(unquote(head["Metadata"].get("name", "")) + ".")  # what is stored has lost its extension
        return StoredSource(head["ETag"], stem, head["LastModified"] + self._retention)

    def read_source(self, upload_id: str, etag: str) -> bytes:
        """Return the uploaded bytes of this version.

        Raises UnknownUpload or SourceChanged when it is gone, StorageUnavailable when they do not come in time.
        """
        ends = monotonic() + READ_SECONDS
        body = self._open(upload_id, etag)
        try:
            return _all_of(body, ends)
        except (ReadTimeoutError, ResponseStreamingError, IncompleteReadError):  # what botocore does not try again
            return _all_of(self._open(upload_id, etag), ends)

    def _open(self, upload_id: str, etag: str) -> "StreamingBody":
        try:
            return self._client.get_object(Bucket=self._bucket, Key=UPLOADS + upload_id, IfMatch=etag)["Body"]
        except ClientError as error:
            if _status(error) == HTTPStatus.PRECONDITION_FAILED:
                raise SourceChanged("The upload was replaced meanwhile. Optimize it again.") from error
            if _is_missing(error):
                raise _unknown_upload() from error
            raise

    def find_record(self, upload_id: str, digest: str) -> dict[str, Any] | None:
        """Return what `save_result` kept for these settings, or None."""
        head = self._head(f"{RESULTS}{upload_id}/{digest}")
        return head and json.loads(head["Metadata"]["record"])

    def save_result(self, upload_id: str, digest: str, data: bytes, record: dict[str, Any]) -> None:
        """Keep a result with the record that describes it (its `media_type`, `filename` and what else is in it).

        Both are one object, so that neither is ever found without the other. S3 takes 2 KB of metadata.
        Raises UnknownUpload, and keeps nothing, when the upload was discarded meanwhile: either discard found the
        result, since it deletes the source first, or the source is found missing here.
        """
        key = f"{RESULTS}{upload_id}/{digest}"
        self._client.put_object(
            Bucket=self._bucket,
            Key=key,
            Body=data,
            ContentType=record["media_type"],
            ContentDisposition=content_disposition(record["filename"]),
            CacheControl="private, no-store",
            Metadata={"record": json.dumps(record, separators=(",", ":"))},
        )
        if self._head(UPLOADS + upload_id) is None:
            self._delete([key])
            raise _unknown_upload()

    def presign_download(self, upload_id: str, digest: str, kept_until: datetime) -> dict[str, str]:
        """Return `url`, a link to a saved result that outlives no retention, and `expires_at`.

        Raises UnknownUpload when that has ended.
        """
        left = int((kept_until - datetime.now(UTC)).total_seconds())
        if left < 1:
            raise _unknown_upload()
        seconds = min(DOWNLOAD_LINK_SECONDS, left)
        params = {"Bucket": self._bucket, "Key": f"{RESULTS}{upload_id}/{digest}"}
        url = self._public_client.generate_presigned_url("get_object", params, ExpiresIn=seconds)
        return {"url": url, "expires_at": _seconds_from_now(seconds)}

    def discard(self, upload_ids: list[str]) -> None:
        """Delete the sources and all results of these uploads. Deleting what is not there is no error."""
        self._delete([UPLOADS + each for each in upload_ids])  # first, see save_result
        self._delete([obj["Key"] for each in upload_ids for obj in self._list(f"{RESULTS}{each}/")])

    def sweep(self, now: datetime) -> int:
        """Delete every object older than two thirds of the retention, and return how many there were.

        The results of an upload go with its source, also younger ones: the promise counts from the upload.
        Raises StorageUnavailable when S3 did not delete all of them; the next sweep tries again.
        """

        def is_old(obj: Any) -> bool:
            return bool(now - obj["LastModified"] > self._max_age)

        # Listed first: a result that has no source by then is what a discard that failed halfway has left.
        results = list(self._list(RESULTS))
        sources = list(self._list(UPLOADS))
        young = {obj["Key"].removeprefix(UPLOADS) for obj in sources if not is_old(obj)}
        old = [obj["Key"] for obj in sources if is_old(obj)]
        old += [obj["Key"] for obj in results if is_old(obj) or obj["Key"].split("/")[1] not in young]
        self._delete(old)
        return len(old)

    def _head(self, key: str) -> "HeadObjectOutputTypeDef | None":
        try:
            return self._client.head_object(Bucket=self._bucket, Key=key)
        except ClientError as error:
            if _is_missing(error):
                return None
            raise

    def _list(self, prefix: str) -> Iterator[Any]:
        for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix):
            yield from page.get("Contents", [])

    def _delete(self, keys: list[str]) -> None:
        errors = []
        for start in range(0, len(keys), 1_000):  # S3 takes a thousand a call
            objects: list[ObjectIdentifierTypeDef] = [{"Key": key} for key in keys[start : start + 1_000]]
            answer = self._client.delete_objects(Bucket=self._bucket, Delete={"Objects": objects, "Quiet": True})
            errors += answer.get("Errors", [])
        if errors:
            log.error("S3 did not delete %d objects: %s", len(errors), errors[0].get("Message"))
            raise storage_unavailable()


def _s3_client(region: str, endpoint_url: str | None) -> "S3Client":
    return boto3.client(  # of the default session, which the counters share; a second one takes 100 ms to build
        "s3",
        region_name=region,
        endpoint_url=endpoint_url,
        config=ClientConfig(
            signature_version="s3v4",  # presigned links are SigV2 otherwise
            s3={
                "addressing_style": "path" if endpoint_url else "virtual",
                # Else us-east-1 is s3.amazonaws.com: another name than the bucket's own, which the page's policy knows.
                "us_east_1_regional_endpoint": "regional",
            },
            connect_timeout=CONNECT_SECONDS,
            read_timeout=ANSWER_SECONDS,
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        ),
    )


def _all_of(body: "StreamingBody", ends: float) -> bytes:
    """Return what the body holds; raises StorageUnavailable when it does not end by then."""
    # A part is read until it is full: each wait for the next bytes is bounded, but not how many there are.
    watch = Timer(max(0, ends - monotonic()), _give_up, [body])
    watch.start()
    try:
        with body:  # whose own name for itself would not check the length
            return b"".join(body.iter_chunks(2**16))
    except ReadTimeoutError as error:
        if monotonic() >= ends:
            raise storage_unavailable() from error
        raise
    finally:
        watch.cancel()


def _give_up(body: "StreamingBody") -> None:
    with suppress(AttributeError):  # it just ended
        body.set_socket_timeout(0.001)


def _status(error: ClientError) -> int:
    return error.response["ResponseMetadata"]["HTTPStatusCode"]


def _is_missing(error: ClientError) -> bool:
    """Tell whether the object is not there; S3 says 403 for that where listing is not allowed, or to a wrong clock."""
    if _status(error) == HTTPStatus.FORBIDDEN:
        said = error.response["ResponseMetadata"].get("HTTPHeaders", {}).get("date")
        off = datetime.now(UTC) - parsedate_to_datetime(said) if said else timedelta()
        if abs(off) > MAX_CLOCK_DIFFERENCE:
            log.error("this machine's clock is %d seconds ahead of S3's", off.total_seconds())
            return False
        log.warning("S3 answered 403; if it does so for objects that are there, the function's policy is wrong")
    return _status(error) in (HTTPStatus.NOT_FOUND, HTTPStatus.FORBIDDEN)


def storage_unavailable() -> StorageUnavailable:
    """Return the problem of a request that S3 did not serve."""
    return StorageUnavailable("The storage does not answer as it should. Try again in a few seconds.")


def _unknown_upload() -> UnknownUpload:
    return UnknownUpload("There is no such upload, or it was deleted. Upload the image again.")


def _seconds_from_now(seconds: int) -> str:
    moment = datetime.now(UTC) + timedelta(seconds=seconds)
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
