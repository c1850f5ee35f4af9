"""Hostile and odd files through the product: refused in a sentence and at once, or made into a good picture.

PINCH_ALL=1 tries every file with every choice; else some files of each kind have the defaults and one other.
"""

import os
import random
import subprocess
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, NamedTuple

import boto3
import pytest
import requests

from infra.resources import create_table
from optimizer.imaging.decode import open_source
from optimizer.problems import Problem
from optimizer.settings import Settings
from optimizer.worker import Workers
from tests import product
from tests.hostile import FILES, PAYLOAD, Hostile
from tests.hostile_worker import MISDEEDS
from tests.images import (
    encoded,
    exif_bytes,
    jpeg_segment,
    jpeg_with,
    noise,
    png_chunk,
    png_with,
    rgb_profile,
    riff,
    smooth,
    webp_chunks,
)
from tests.journey import post_form
from tests.sampling import WHOLE

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CHOICES: dict[str, dict[str, Any]] = {
    "twice the size": {"resize_percent": 200},
    "jpeg": {"format": "jpeg"},
    "png": {"format": "png"},
    "webp": {"format": "webp"},
    "metadata": {"strip_metadata": False, "auto_orient": False},
    "auto quality": {"auto_quality": "balanced"},
    "smallest": {"format": "smallest"},
    "target": {"target_bytes": 1_000},
}
REFUSAL_LOOPS = 100  # about two seconds of a processor; the longest takes 16
REFUSAL_BYTES = 300 * 10**6
# What some are told with the defaults: each code that a file can cause; of what may be either, one that is accepted.
TOLD = {
    "bombs/jpeg-65500": "too_many_pixels",
    "bombs/png-30000": "too_many_pixels",
    "bombs/webp-lossless-16384": "too_many_pixels",
    "cuts/jpeg-less-1": "damaged_image",
    "cuts/webp-less-1": None,
    "flips/jpeg-2": None,
    "flips/png-palette-0": "damaged_image",
    "floods/jpeg-24-MB-of-fill": "too_many_parts",
    "floods/jpeg-65-scans": "too_many_scans",
    "floods/jpeg-restarts-in-the-scan": None,
    "floods/png-one-long-private": "too_many_parts",
    "floods/webp-alpha": "too_many_parts",
    "foreign/dds": "unsupported_type",
    "foreign/empty": "damaged_image",
    "foreign/newline-before-png": "unsupported_type",
    "frames/png-claims-2-billion": "too_many_frames",
    "frames/webp-2000": "too_many_frames",
    "frames/webp-of-42-megapixels": "too_many_pixels",
    "odd_jpegs/jpeg-no-huffman": None,
    "odd_pngs/png-short-actl": "too_many_frames",
    "odd_webps/webp-two-pictures": None,
}
OF_REQUESTS = {
    *("invalid_request", "invalid_settings", "upload_too_large", "unknown_upload", "source_changed", "unknown_client"),
    *("unreadable_request", "result_too_large", "rate_limited"),
}
OF_TROUBLE = {"too_complex", "worker_failed", "storage_unavailable", "busy", "internal_error"}


class Service(NamedTuple):
    """The product in a process of its own, on an S3 that we can look into."""

    address: str
    process: subprocess.Popen[str]

    def call(self, path: str, body: Any) -> requests.Response:
        return requests.post(self.address + path, json=body, timeout=60)

    def upload(self, data: bytes, name: str = "a.jpg") -> str:
        """Presign and send the file; S3's policy would refuse an empty one, which the embedded S3 does not see."""
        file = {"name": name, "type": "image/jpeg", "size": max(1, len(data))}
        form = self.call("/api/uploads", {"files": [file]}).json()["uploads"][0]
        assert post_form(form, data).status_code == 204
        return str(form["id"])

    def said(self) -> str:
        """Return what it has written since it was asked last."""
        text = b""
        for stream in (self.process.stdout, self.process.stderr):
            assert stream
            os.set_blocking(stream.fileno(), False)
            with suppress(BlockingIOError):
                text += os.read(stream.fileno(), 2**16)
        return text.decode()

    def optimize(self, upload_id: str, settings: dict[str, Any]) -> requests.Response:
        return self.call(f"/api/uploads/{upload_id}/optimize", settings)


@contextmanager
def serving(s3_url: str, counters: str) -> Iterator[Service]:
    options = {"S3_ENDPOINT_URL": s3_url, "RATELIMIT_STORAGE_URI": counters, "RATE_LIMIT": "100000 per minute"}
    with product.running(**options) as (process, address):
        yield Service(address, process)


@pytest.fixture(scope="module")
def service(s3_url: str) -> Iterator[Service]:
    with serving(s3_url, "memory://") as served:
        yield served


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    made = Workers("tests.hostile_worker")
    yield made
    made.stop()


def choices(name: str) -> list[dict[str, Any]]:
    """Return the settings that a file is tried with."""
    return [{}, *(CHOICES.values() if WHOLE else [random.Random(name).choice(list(CHOICES.values()))])]


def sample() -> list[str]:
    """Return the first file of each group, fate and format, and those whose answer is known."""
    kinds: dict[Any, str] = {}
    for name, file in FILES.items():
        formats = {"jpeg", "png", "webp"} & {*name.partition("/")[2].split("-")}
        kinds.setdefault((file.group, file.fate, *sorted(formats)), name)
    return [name for name in FILES if name in TOLD or name in kinds.values()]


@pytest.mark.parametrize("name", FILES if WHOLE else sample())
def test_a_hostile_file_is_refused_at_once_or_made_into_a_picture(
    name: str, service: Service, workers: Workers
) -> None:
    file = FILES[name]
    data = file.make()
    upload_id = service.upload(data)

    for settings in choices(name):
        answer = service.optimize(upload_id, settings)

        assert answer.status_code < 500, answer.text
        if answer.status_code == 200:
            check_accepted(answer.json(), settings, file)
        else:
            check_refused(answer, settings, file)
        if not settings and answer.status_code != 200:  # with others it may be they that are refused
            assert_little_is_spent(workers, data)
        if not settings and name in TOLD:
            assert answer.json().get("type") == (TOLD[name] and f"urn:pinch:problem:{TOLD[name]}")

    assert service.call("/api/discard", {"ids": [upload_id]}).status_code == 204


def test_every_problem_of_a_file_is_tried_and_every_file_that_is_named() -> None:
    codes = {problem.code for problem in Problem.__subclasses__()}

    assert {*TOLD.values()} == codes - OF_REQUESTS - OF_TROUBLE | {None}
    assert TOLD.keys() <= FILES.keys()


def check_accepted(record: dict[str, Any], settings: dict[str, Any], file: Hostile) -> None:
    assert file.fate != "refuse"
    result = requests.get(record["url"], timeout=60).content
    image = open_source(result).load()  # Pillow alone stumbles over texts that may be kept

    assert image.format == record["format"].upper()
    assert record["format"] in (settings.get("format", "smallest"), record["source"]["format"]) or (
        settings["format"] == "smallest"
    )
    assert image.size == (record["width"], record["height"])
    if settings.get("strip_metadata", True):
        assert PAYLOAD[:8] not in result


def check_refused(answer: requests.Response, settings: dict[str, Any], file: Hostile) -> None:
    problem = answer.json()

    assert answer.headers["Content-Type"] == "application/problem+json"
    assert (problem["status"], problem["type"].rpartition(":")[0]) == (answer.status_code, "urn:pinch:problem")
    assert 400 <= answer.status_code < 500
    assert problem["detail"][0].isupper()
    assert problem["detail"].endswith(".")
    assert problem["type"] != "urn:pinch:problem:too_complex"
    too_large = problem["type"] == "urn:pinch:problem:result_too_large" and settings.keys() & {
        "resize_percent",
        "format",
    }
    assert file.fate != "accept" or too_large, problem


def assert_little_is_spent(workers: Workers, data: bytes) -> None:
    """Let a worker weigh what refusing a file takes of it."""
    with pytest.raises(Problem) as refusal:
        workers.optimize(data, Settings(sharpen=MISDEEDS["weigh"], quality=99))
    kilobytes, loops = map(int, refusal.value.detail.split())
    assert kilobytes * 1024 <= REFUSAL_BYTES
    assert loops <= REFUSAL_LOOPS


# --- what must not leave a file ---

MARKS = [
    f"MARKER-{where}"
    for where in (
        "COMMENT",
        "EXIF",
        "GPS",
        "ICC",
        "XMP",
        "TEXT",
        "ZTXT",
        "ITXT",
        "TRAIL",
        "THUMB",
        "UNKNOWN",
        "IPTC",
        "NAME",
    )
]


def marked(format: str) -> bytes:
    """Return a picture that says something private wherever its format lets it."""
    thumbnail = encoded(smooth(), "jpeg", comment=b"MARKER-THUMB")
    exif = exif_bytes(6, gps=True, thumbnail=True, Artist="MARKER-EXIF", Copyright="MARKER-GPS").replace(
        b"thumbnail secret", b"MARKER-THUMB nail"[:16]
    )
    profile = rgb_profile() + b"MARKER-ICC"
    profile = len(profile).to_bytes(4) + profile[4:]
    xmp = b"<x:xmpmeta>MARKER-XMP</x:xmpmeta>"
    image = noise(64, 48)  # which no setting makes smaller, so that the source is kept
    trail = b"MARKER-TRAIL" + thumbnail
    if format == "jpeg":
        data = encoded(image, format, quality=5, exif=exif, xmp=xmp, comment=b"MARKER-COMMENT", icc_profile=profile)
        resources = b"Photoshop 3.0\08BIM\4\4\0\0\0\0\0\x0bMARKER-IPTC\0"
        unknown = [jpeg_segment(marker, b"MARKER-UNKNOWN") for marker in (0xE4, 0xEB, 0xEF)]
        return jpeg_with(data, jpeg_segment(0xED, resources), *unknown) + trail
    if format == "png":
        data = encoded(image, format, exif=exif, icc_profile=profile)
        texts = [
            png_chunk(b"tEXt", b"Comment\0MARKER-TEXT"),
            png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"MARKER-ZTXT")),
            png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp),
            png_chunk(b"iTXt", b"MARKER-ITXT\0\0\0\0\0MARKER-ITXT"),
            png_chunk(b"prVt", b"MARKER-UNKNOWN"),
        ]
        return png_with(png_with(data, *texts), *texts, behind_pixels=True) + trail
    chunks = webp_chunks(encoded(image, format, quality=1, exif=exif, xmp=xmp, icc_profile=profile))
    return riff(*chunks, (b"UNKN", b"MARKER-UNKNOWN")) + trail


def marks_in(data: bytes) -> list[str]:
    return [mark for mark in MARKS if mark.encode() in data]


@pytest.mark.parametrize("format", ["jpeg", "png", "webp"])
def test_nothing_private_leaves_a_file(format: str, service: Service) -> None:
    data = marked(format)
    assert len(marks_in(data)) >= 5
    ids = [service.upload(data, f"MARKER-NAME.{format}")]
    texts = []

    for settings in ({}, *CHOICES.values()):
        answer = service.optimize(ids[0], settings | {"strip_metadata": True})
        assert answer.status_code == 200, answer.text
        assert marks_in(requests.get(answer.json()["url"], timeout=60).content) == []
        texts.append(answer.text.replace("MARKER-NAME", ""))  # in the name of the result, where it belongs

    for broken in (data[:-400][: len(data) // 2], data[:40] + b"\xff" * 200 + data[40:], b"x" + data):
        ids.append(service.upload(broken, f"MARKER-NAME.{format}"))
        texts.append(service.optimize(ids[-1], {}).text.replace("MARKER-NAME", ""))

    assert service.call("/api/discard", {"ids": ids}).status_code == 204
    assert [marks_in(text.encode()) for text in texts if marks_in(text.encode())] == []


def test_nothing_private_is_logged_or_counted(s3: "S3Client", s3_url: str) -> None:
    table = f"hostile-{os.getpid()}"
    counters = boto3.client("dynamodb", endpoint_url=s3_url, region_name="us-east-1")
    create_table(counters, table)

    with serving(s3_url, f"dynamodb://{table}?endpoint_url={s3_url}") as service:
        for format in ("jpeg", "png", "webp"):
            data = marked(format)
            upload_id = service.upload(data, f"MARKER-NAME.{format}")
            for settings in ({}, {"quality": "MARKER-TEXT"}, {"MARKER-TEXT": 1}):
                service.optimize(upload_id, settings)
            service.optimize(service.upload(data[: len(data) // 2], f"MARKER-NAME.{format}"), {})
        service.optimize(service.upload(FILES["metadata/mpo-overlapping-index"].make()), {})
        items = counters.scan(TableName=table)["Items"]
        said = service.said()

    assert items
    assert marks_in(repr(items).encode()) == []
    assert "127.0.0.1" not in repr(items)
    assert said == ""
