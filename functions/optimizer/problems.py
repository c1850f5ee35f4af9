"""The errors that a client can cause, each with an HTTP status. The app sends them as application/problem+json
(RFC 9457).
"""

from typing import ClassVar, TypedDict


class FieldError(TypedDict):
    """One field of a request, and what is wrong with it."""

    field: str
    detail: str


class Problem(Exception):
    """An error that the client caused and can fix. `detail` says what is wrong and what to do."""

    status: ClassVar[int]
    code: ClassVar[str]
    title: ClassVar[str]
    retry_after: ClassVar[int | None] = None  # seconds; set where trying again helps

    def __init__(self, detail: str, errors: list[FieldError] | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = errors or []

    def body(self) -> dict[str, object]:
        """Return the JSON object of RFC 9457; its `type` is a URN made from the code."""
        about = {"type": f"urn:pinch:problem:{self.code}", "title": self.title, "status": self.status}
        return about | {"detail": self.detail} | ({"errors": self.errors} if self.errors else {})


class InvalidRequest(Problem):
    status, code, title = 422, "invalid_request", "The request is malformed"


class InvalidSettings(Problem):
    status, code, title = 422, "invalid_settings", "The settings are not valid"


class UnsupportedType(Problem):
    status, code, title = 415, "unsupported_type", "Not a JPEG, PNG or WebP image"


class UploadTooLarge(Problem):
    status, code, title = 413, "upload_too_large", "The file is too large"


class TooManyPixels(Problem):
    status, code, title = 413, "too_many_pixels", "The image has too many pixels"


class TooManyFrames(Problem):
    status, code, title = 413, "too_many_frames", "The animation has too many frames"


class TooManyScans(Problem):
    status, code, title = 413, "too_many_scans", "The JPEG has too many scans"


class TooManyParts(Problem):
    status, code, title = 413, "too_many_parts", "The file has too many parts or too much metadata"


class ResultTooLarge(Problem):
    status, code, title = 422, "result_too_large", "The result would have too many pixels"


class DamagedImage(Problem):
    status, code, title = 422, "damaged_image", "The image is damaged"


class TooComplex(Problem):
    status, code, title = 422, "too_complex", "The image takes too much time or memory"


class UnknownUpload(Problem):
    status, code, title = 404, "unknown_upload", "There is no such upload"


class SourceChanged(Problem):
    status, code, title = 409, "source_changed", "The upload was replaced in the meantime"


class UnknownClient(Problem):
    status, code, title = 400, "unknown_client", "The client's address is missing"


class UnreadableRequest(Problem):
    status, code, title = 400, "unreadable_request", "The request cannot be read"


class WorkerFailed(Problem):
    status, code, title = 503, "worker_failed", "The image could not be worked on"
    retry_after = 1


class StorageUnavailable(Problem):
    status, code, title = 503, "storage_unavailable", "The storage is unavailable"
    retry_after = 5


class Busy(Problem):
    status, code, title = 503, "busy", "Too many images at once"
    retry_after = 5


class InternalError(Problem):
    """A bug of ours. The client did not cause it, but gets it in the same form."""

    status, code, title = 500, "internal_error", "Internal server error"


class RateLimited(Problem):
    status, code, title = 429, "rate_limited", "Too many requests"
