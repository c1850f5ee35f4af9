"""The temp store on S3: sources under uploads/, results under results/. Nothing in it is permanent."""

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
# A call that fails does so within 5 seconds, since botocore waits up to a second between its attempts.
CONNECT_SECONDS, ANSWER_SECONDS, ATTEMPTS = 1, 2, 2
READ_SECONDS = 8  # for all of a source; 25 MB take half a second within a region
MAX_CLOCK_DIFFERENCE = timedelta(minutes=5)  # S3 refuses signatures that are 15 minutes off

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StoredSource:
    """An uploaded source. `etag` is its version; `stem` is its file name without folders and extension."""

    etag: str
    stem: str
    kept_until: datetime  # the end of its retention


class TempStore:
    """The objects of one bucket, which live for minutes. `client` calls S3, `public_client` signs browser links."""

    def __init__(self, client: "S3Client", public_client: "S3Client", bucket: str, retention_minutes: int) -> None:
        self._client = client
        self._public_client = public_client
        self._bucket = bucket
        # The sweep runs every few minutes. It deletes after two thirds of the retention, so that nothing outlives it.
        self._retention = timedelta(minutes=retention_minutes)
        self._max_age = self._retention * 2 / 3

    @classmethod
    def connect(cls, config: Config) -> Self:
        """Build the store with its S3 clients. This does not call S3 yet."""
        client = _s3_client(config.aws_region, config.s3_endpoint_url)
        public_url = config.s3_public_endpoint_url or config.s3_endpoint_url
        public_client = client if public_url == config.s3_endpoint_url else _s3_client(config.aws_region, public_url)
        return cls(client, public_client, config.temp_bucket, config.retention_minutes)

    def presign_upload(self, name: str, media_type: str) -> dict[str, Any]:
        """Return a new upload's id and the form that the browser posts to S3. Its policy allows only this upload."""
        upload_id = secrets.token_hex(16)
        fields = {"Content-Type": media_type, "x-amz-meta-name": quote(safe_stem(name))}
        form = self._public_client.generate_presigned_post(
            self._bucket,
            UPLOADS + upload_id,
            Fields=dict(fields),
            # boto3 signs only the conditions that it gets, so each field is named here again.
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
        """Return what S3 knows about the uploaded file.

        Raises UnknownUpload if there is none or its retention has ended, and UploadTooLarge if S3 accepted more than
        the policy allows.
        """
        head = self._head(UPLOADS + upload_id)
        if head is None or head["LastModified"] + self._retention <= datetime.now(UTC):
            raise _unknown_upload()
        if head["ContentLength"] > MAX_UPLOAD_BYTES:
            raise UploadTooLarge(f"The limit is {MAX_UPLOAD_BYTES // 2**20} MB. Send a smaller file.")
        stem = safe_stem(unquote(head["Metadata"].get("name", "")) + ".")  # the stored name has no extension any more
        return StoredSource(head["ETag"], stem, head["LastModified"] + self._retention)

    def read_source(self, upload_id: str, etag: str) -> bytes:
        """Return the uploaded bytes of this version.

        Raises UnknownUpload if the source is gone, SourceChanged if it was replaced, and StorageUnavailable if the
        bytes do not arrive within READ_SECONDS.
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
                raise SourceChanged("The upload was replaced in the meantime. Optimize it again.") from error
            if _is_missing(error):
                raise _unknown_upload() from error
            raise

    def find_record(self, upload_id: str, digest: str) -> dict[str, Any] | None:
        """Return the record that `save_result` stored for these settings, or None."""
        head = self._head(f"{RESULTS}{upload_id}/{digest}")
        return head and json.loads(head["Metadata"]["record"])

    def save_result(self, upload_id: str, digest: str, data: bytes, record: dict[str, Any]) -> None:
        """Store a result with the record that describes it (`media_type`, `filename` and more).

        Both are in one object, the record as its metadata, so neither can exist without the other. S3 allows 2 KB of
        metadata. Raises UnknownUpload, and stores nothing, if the upload was discarded in the meantime. No result is
        left over: discard deletes the source first, so either discard sees the result, or this sees that the source is
        missing.
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
        """Return `url`, a link to a saved result, and `expires_at`. The link expires with the retention at the latest.

        Raises UnknownUpload if the retention has ended.
        """
        left = int((kept_until - datetime.now(UTC)).total_seconds())
        if left < 1:
            raise _unknown_upload()
        seconds = min(DOWNLOAD_LINK_SECONDS, left)
        params = {"Bucket": self._bucket, "Key": f"{RESULTS}{upload_id}/{digest}"}
        url = self._public_client.generate_presigned_url("get_object", params, ExpiresIn=seconds)
        return {"url": url, "expires_at": _seconds_from_now(seconds)}

    def discard(self, upload_ids: list[str]) -> None:
        """Delete the sources and all results of these uploads. It is no error if they do not exist."""
        self._delete([UPLOADS + each for each in upload_ids])  # before the results, see save_result
        self._delete([obj["Key"] for each in upload_ids for obj in self._list(f"{RESULTS}{each}/")])

    def sweep(self, now: datetime) -> int:
        """Delete every object older than two thirds of the retention, and return how many there were.

        Results are deleted with their source, even if they are younger: the retention counts from the upload.
        Raises StorageUnavailable if S3 did not delete all of them; the next sweep tries again.
        """

        def is_old(obj: Any) -> bool:
            return bool(now - obj["LastModified"] > self._max_age)

        # Results are listed first. A result whose source is missing afterwards is left from a discard that failed
        # halfway.
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
        for start in range(0, len(keys), 1_000):  # S3 deletes at most a thousand per call
            objects: list[ObjectIdentifierTypeDef] = [{"Key": key} for key in keys[start : start + 1_000]]
            answer = self._client.delete_objects(Bucket=self._bucket, Delete={"Objects": objects, "Quiet": True})
            errors += answer.get("Errors", [])
        if errors:
            log.error("S3 did not delete %d objects: %s", len(errors), errors[0].get("Message"))
            raise storage_unavailable()


def _s3_client(region: str, endpoint_url: str | None) -> "S3Client":
    return boto3.client(  # of the default session, which the counters share; a second session takes 100 ms to build
        "s3",
        region_name=region,
        endpoint_url=endpoint_url,
        config=ClientConfig(
            signature_version="s3v4",  # without it presigned links are SigV2
            s3={
                "addressing_style": "path" if endpoint_url else "virtual",
                # Without it us-east-1 is s3.amazonaws.com; the page's policy allows only the bucket's regional host.
                "us_east_1_regional_endpoint": "regional",
            },
            connect_timeout=CONNECT_SECONDS,
            read_timeout=ANSWER_SECONDS,
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        ),
    )


def _all_of(body: "StreamingBody", ends: float) -> bytes:
    """Return all bytes of the body; raises StorageUnavailable if they do not arrive before `ends` (monotonic)."""
    # Each part is read until it is full. The timeout bounds each wait for more bytes, but not the number of waits.
    watch = Timer(max(0, ends - monotonic()), _give_up, [body])
    watch.start()
    try:
        with body:  # not `as`: its __enter__ returns the raw stream, which does not check the length
            return b"".join(body.iter_chunks(2**16))
    except ReadTimeoutError as error:
        if monotonic() >= ends:
            raise storage_unavailable() from error
        raise
    finally:
        watch.cancel()


def _give_up(body: "StreamingBody") -> None:
    with suppress(AttributeError):  # the body has just ended
        body.set_socket_timeout(0.001)


def _status(error: ClientError) -> int:
    return error.response["ResponseMetadata"]["HTTPStatusCode"]


def _is_missing(error: ClientError) -> bool:
    """Return whether the object is missing.

    S3 answers 403 for a missing object if the caller may not list the bucket. It also does so if the caller's clock is
    wrong; that is logged, and does not count as missing.
    """
    if _status(error) == HTTPStatus.FORBIDDEN:
        said = error.response["ResponseMetadata"].get("HTTPHeaders", {}).get("date")
        off = datetime.now(UTC) - parsedate_to_datetime(said) if said else timedelta()
        if abs(off) > MAX_CLOCK_DIFFERENCE:
            log.error("this machine's clock is %d seconds ahead of S3's", off.total_seconds())
            return False
        log.warning("S3 answered 403; if it does so for objects that are there, the function's policy is wrong")
    return _status(error) in (HTTPStatus.NOT_FOUND, HTTPStatus.FORBIDDEN)


def storage_unavailable() -> StorageUnavailable:
    """Return the problem for a request that S3 did not serve."""
    return StorageUnavailable("The storage does not work at the moment. Try again in a few seconds.")


def _unknown_upload() -> UnknownUpload:
    return UnknownUpload("There is no such upload, or it was deleted. Upload the image again.")


def _seconds_from_now(seconds: int) -> str:
    moment = datetime.now(UTC) + timedelta(seconds=seconds)
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
