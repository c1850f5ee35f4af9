"""What the walk over a file's parts lets through and refuses, and that no bytes make it fail in another way.

PINCH_EXAMPLES is how many damaged files are made of each; the suite makes few, always the same ones.
"""

import os
import struct
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from math import ceil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image

from optimizer.imaging.containers import MAX_TEXT_BYTES
from optimizer.imaging.decode import Source, open_source
from optimizer.imaging.encoders import ENCODERS
from optimizer.imaging.header import Header, read_header
from optimizer.limits import (
    MAX_CHUNKS,
    MAX_FILL_BYTES,
    MAX_FRAMES,
    MAX_METADATA_BYTES,
    MAX_PIXEL_CHUNKS,
    MAX_PIXELS,
    MAX_SCANS,
    MAX_SEGMENTS,
    MAX_UPLOAD_BYTES,
)
from optimizer.problems import DamagedImage, Problem, TooManyFrames, TooManyParts, TooManyPixels, TooManyScans
from tests.images import (
    animation,
    encoded,
    exif_bytes,
    in_mode,
    jpeg_segment,
    jpeg_with,
    photo,
    png_chunk,
    png_with,
    rgb_profile,
    riff,
    smooth,
    webp_chunks,
)
from tests.yardstick import loops_since

FORMATS = list(ENCODERS)
EXAMPLES = int(os.environ.get("PINCH_EXAMPLES", "0"))
MOST_LOOPS = 100  # about two seconds of a processor, for what a limit lets through

JPEG = encoded(smooth(), "jpeg")
PNG = encoded(smooth(), "png")
WEBP = encoded(smooth(), "webp")
SCAN = JPEG[JPEG.index(b"\xff\xda") : -2]
PNG_METADATA = 12 + 9  # bytes that `png_chunk(b"tEXt", b"Comment\0x")` counts for


@contextmanager
def soon() -> Iterator[None]:
    begun = time.process_time()
    yield
    assert loops_since(begun) < MOST_LOOPS


# --- limits ---


def jpeg_of_size(width: int, height: int) -> bytes:
    start = JPEG.index(b"\xff\xc0") + 5
    return JPEG[:start] + struct.pack(">HH", height, width) + JPEG[start + 4 :]


def png_of_size(width: int, height: int) -> bytes:
    return PNG[:8] + png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) + PNG[33:]


def webp_of_size(width: int, height: int) -> bytes:
    sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return riff((b"VP8X", bytes(4) + sides), *webp_chunks(WEBP))


def jpeg_of_metadata(count: int) -> bytes:
    """Return a JPEG with so many bytes of segments that are neither its size nor scans."""
    present = sum(len(segment) for segment in segments(JPEG)[1:] if segment[1] not in (0xC0, 0xDA, 0xD9))
    whole, rest = divmod(count - present - 20, 60_000)
    return jpeg_with(JPEG, *[jpeg_segment(0xE1, bytes(59_996))] * whole, jpeg_segment(0xFE, bytes(16 + rest)))


LIMITS: dict[str, tuple[Callable[[int], bytes], int, type[Problem]]] = {
    # what makes a file of so many, how many may be, what one more is
    "pixels of a JPEG": (lambda count: jpeg_of_size(10_000, ceil(count / 10_000)), MAX_PIXELS, TooManyPixels),
    "pixels of a PNG": (lambda count: png_of_size(count, 1), MAX_PIXELS, TooManyPixels),
    "pixels of a WebP": (lambda count: webp_of_size(10_000, ceil(count / 10_000)), MAX_PIXELS, TooManyPixels),
    "frames of a PNG": (
        lambda count: png_with(PNG, png_chunk(b"acTL", struct.pack(">II", count, 0))),
        MAX_FRAMES,
        TooManyFrames,
    ),
    "frames of a WebP": (
        lambda count: riff((b"VP8X", bytes(10)), *[(b"ANMF", bytes(24))] * count),
        MAX_FRAMES,
        TooManyFrames,
    ),
    "scans": (lambda count: JPEG[:-2] + SCAN * (count - 1) + JPEG[-2:], MAX_SCANS, TooManyScans),
    "segments": (
        lambda count: jpeg_with(JPEG, *[jpeg_segment(0xFE, b"")] * (count - len(segments(JPEG)) + 2)),
        MAX_SEGMENTS,
        TooManyParts,
    ),
    "fill of a JPEG": (lambda count: jpeg_with(JPEG, b"\xff" * count), MAX_FILL_BYTES, TooManyParts),
    "junk of a JPEG": (lambda count: jpeg_with(JPEG, b"\0" * count), MAX_FILL_BYTES, TooManyParts),
    "metadata of a JPEG": (jpeg_of_metadata, MAX_METADATA_BYTES, TooManyParts),
    "metadata of a PNG": (
        lambda count: png_with(PNG, png_chunk(b"iTXt", bytes(count - 12))),
        MAX_METADATA_BYTES,
        TooManyParts,
    ),
    "metadata of a WebP": (
        lambda count: riff(*webp_chunks(WEBP), (b"XMP ", bytes(count))),
        MAX_METADATA_BYTES,
        TooManyParts,
    ),
    "chunks of a PNG": (
        lambda count: png_with(PNG, *[png_chunk(b"gAMA", b"")] * (count - 2)),  # IHDR and IEND
        MAX_CHUNKS,
        TooManyParts,
    ),
    "chunks of a WebP": (
        lambda count: riff(*webp_chunks(WEBP), *[(b"JUNK", b"")] * (count - 1)),
        MAX_CHUNKS,
        TooManyParts,
    ),
    "chunks of pixels": (
        lambda count: png_with(PNG, *[png_chunk(b"IDAT", b"")] * (count - 1)),
        MAX_PIXEL_CHUNKS,
        TooManyParts,
    ),
}


@pytest.mark.parametrize(("file", "most", "problem"), LIMITS.values(), ids=LIMITS)
def test_a_limit_lets_through_what_is_at_it_and_nothing_beyond(
    file: Callable[[int], bytes], most: int, problem: type[Problem]
) -> None:
    at, beyond = file(most), file(most + 1)

    with soon():
        assert read_header(at).format in FORMATS
    with soon(), pytest.raises(problem):
        read_header(beyond)


@pytest.mark.parametrize("size", [(0, 5), (5, 0), (0, 0)], ids=str)
@pytest.mark.parametrize(
    "file", [jpeg_of_size, png_of_size, lambda *size: riff((b"VP8 ", bytes(6) + struct.pack("<HH", *size)))]
)
def test_no_file_has_sides_of_no_pixels(file: Callable[[int, int], bytes], size: tuple[int, int]) -> None:
    with pytest.raises(DamagedImage):
        read_header(file(*size))


@pytest.mark.parametrize("file", [JPEG[:2] + JPEG[-2:], JPEG[:3], PNG[:32], WEBP[:16], riff((b"VP8X", bytes(9)))])
def test_a_file_that_says_no_size_is_damaged(file: bytes) -> None:
    with pytest.raises(Problem) as refusal:
        read_header(file)

    assert 400 <= refusal.value.status < 500


# --- what a byte costs ---

ROOM = MAX_UPLOAD_BYTES - 4_096
INFLATED = zlib.compress(bytes(MAX_TEXT_BYTES + 1), 9)
COSTLY: dict[str, Callable[[], bytes]] = {
    "markers without a length": lambda: jpeg_with(JPEG, b"\xff\x01" * (ROOM // 2)),
    "bytes that begin no marker": lambda: jpeg_with(JPEG, b"\xff\0" * (ROOM // 2)),
    "fill": lambda: jpeg_with(JPEG, b"\xff" * ROOM),
    "restarts in a scan": lambda: JPEG[:-2] + b"\xff\xd0" * (ROOM // 2) + JPEG[-2:],
    "tables": lambda: jpeg_with(JPEG, *[jpeg_segment(0xDB, (b"\0" + b"\1" * 64) * 1_000)] * (ROOM // 65_004)),
    "texts that inflate beyond the limit": lambda: png_with(PNG, *[png_chunk(b"zTXt", b"k\0\0" + INFLATED)] * 1_000),
    "profiles": lambda: png_with(PNG, *[png_chunk(b"iCCP", b"k\0\0" + zlib.compress(bytes(2**20), 9))] * 3_900),
    "chunks": lambda: png_with(PNG, *[png_chunk(b"tRNS", bytes(6))] * (MAX_CHUNKS - 2)),
    "chunks of nothing": lambda: riff(*[(b"JUNK", b"")] * (ROOM // 8)),
}


@pytest.mark.parametrize("file", COSTLY.values(), ids=COSTLY)
def test_no_file_keeps_a_processor_busy_before_it_is_decoded(file: Callable[[], bytes]) -> None:
    data = file()
    assert len(data) <= MAX_UPLOAD_BYTES

    with soon():
        check(lambda: open_source(data))


# --- damaged files ---


def check(read: Callable[[], object]) -> object:
    """Return what is read, or the refusal, which must be one that a client can act on."""
    try:
        return read()
    except Problem as problem:
        assert 400 <= problem.status < 500  # noqa: PT017  # a file may be refused, or not
        return problem


def segments(data: bytes) -> list[bytes]:
    """Return a file in parts, as its format has them and as far as it goes; what holds no length is with the next."""
    first, sizes = {b"\xff\xd8": (2, _jpeg_part), b"\x89P": (8, _png_part), b"RI": (12, _webp_part)}[data[:2]]
    parts, position = [data[:first]], first
    while position < len(data):
        end = max(position + 1, sizes(data, position))
        parts.append(data[position:end])
        position = end
    return parts


def _jpeg_part(data: bytes, at: int) -> int:
    if data[at + 1 : at + 2] != b"\xda":
        return at + 2 + int.from_bytes(data[at + 2 : at + 4])
    return next(
        (end for end in range(at + 2, len(data) - 1) if data[end] == 0xFF and data[end + 1] not in b"\0"), 2**32
    )


def _png_part(data: bytes, at: int) -> int:
    return at + 12 + int.from_bytes(data[at : at + 4])


def _webp_part(data: bytes, at: int) -> int:
    size = int.from_bytes(data[at + 4 : at + 8], "little")
    return at + 8 + size + size % 2


CORPUS = Path(__file__).parents[1] / "corpus"
MADE: dict[str, Callable[[], bytes]] = {
    "all metadata.jpg": lambda: jpeg_with(
        encoded(photo(), "jpeg", exif=exif_bytes(6, gps=True, thumbnail=True), icc_profile=rgb_profile(), comment=b"x"),
        jpeg_segment(0xED, b"Photoshop 3.0\x008BIM\x04\x04\0\0\0\0\0\x05\x1c\x02x\0\0"),
        jpeg_segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x/>"),
    ),
    "progressive.jpg": lambda: encoded(photo(), "jpeg", progressive=True),
    "two pictures.jpg": lambda: encoded(photo(64, 48), "mpo", save_all=True, append_images=[smooth()]),
    "cmyk.jpg": lambda: encoded(in_mode("CMYK"), "jpeg"),
    "all metadata.png": lambda: png_with(
        encoded(in_mode("P+tRNS"), "png", exif=exif_bytes(6), icc_profile=rgb_profile()),
        png_chunk(b"zTXt", b"k\0\0" + zlib.compress(b"text")),
        png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0<x/>"),
    ),
    "interlaced 16 bits.png": lambda: encoded(in_mode("I;16"), "png"),
    "animated.png": lambda: animation("png", 3),
    "animated.webp": lambda: animation("webp", 3),
    "all metadata.webp": lambda: encoded(
        in_mode("RGBA"), "webp", exif=exif_bytes(6), icc_profile=rgb_profile(), xmp=b"<x/>"
    ),
    "lossless.webp": lambda: encoded(photo(), "webp", lossless=True),
}
SEEDS = [*MADE, *sorted(path.name for path in CORPUS.iterdir() if path.suffix in (".jpg", ".png", ".webp"))]


@lru_cache
def seed_bytes(name: str) -> bytes:
    return MADE[name]() if name in MADE else (CORPUS / name).read_bytes()


# A place is a share of the file or of its parts, in 65,536ths; most that is read of a file is at its beginning.
PLACES = st.integers(0, 2**16 - 1)
CHANGES = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["flip", "near"]), PLACES, st.integers(1, 255)),
        st.tuples(st.sampled_from(["insert", "overwrite"]), PLACES, st.binary(min_size=1, max_size=12)),
        st.tuples(st.sampled_from(["delete", "cut", "repeat"]), PLACES, st.integers(1, 400)),
        st.tuples(st.sampled_from(["drop", "duplicate", "swap", "splice", "shorten"]), PLACES, PLACES),
        st.tuples(st.just("number"), PLACES, st.sampled_from([0, 1, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1])),
    ),
    min_size=1,
    max_size=6,
)


def changed(name: str, changes: list[tuple[str, int, int | bytes]], mended: bool) -> bytes:
    """Return the file with these changes; where `mended`, the lengths and checks around its parts are right again."""
    data = seed_bytes(name)
    for kind, place, how in changes:
        if kind in ("drop", "duplicate", "swap", "splice", "shorten") and len(data) > 16:
            data = _changed_parts(data, kind, place, int(how), name)
            continue
        at = place * len(data) >> 16 if kind != "near" else place % 600
        if isinstance(how, bytes):
            data = data[:at] + how + data[at + (len(how) if kind == "overwrite" else 0) :]
        elif kind in ("flip", "near"):
            data = data[:at] + bytes(byte ^ how for byte in data[at : at + 1]) + data[at + 1 :]
        elif kind == "number":
            order = "<I" if data[:4] == b"RIFF" else ">I"
            data = data[:at] + struct.pack(order, how) + data[at + 4 :]
        else:
            data = {"delete": data[:at] + data[at + how :], "cut": data[:at]}.get(
                kind, data[: at + 4] + data[at : at + 4] * how + data[at + 4 :]
            )
    return _mended(data) if mended else data


def _changed_parts(data: bytes, kind: str, place: int, other: int, name: str) -> bytes:
    try:
        parts = segments(data)
    except KeyError:  # it no longer begins like a picture
        return data
    at, to = (1 + (each * (len(parts) - 1) >> 16) for each in (place, other))
    if kind == "drop":
        del parts[at]
    elif kind == "duplicate":
        parts.insert(to, parts[at])
    elif kind == "swap":
        parts[at], parts[to] = parts[to], parts[at]
    elif kind == "shorten":
        parts[at] = parts[at][: 1 + (other * len(parts[at]) >> 16)]
    else:  # from another file of the format
        siblings = [each for each in SEEDS if each.endswith(Path(name).suffix) and len(seed_bytes(each)) < 200_000]
        foreign = segments(seed_bytes(siblings[other % len(siblings)]))[1:]
        parts.insert(at, foreign[place % len(foreign)])
    return b"".join(parts)


def _mended(data: bytes) -> bytes:
    if data.startswith(b"RIFF") and len(data) >= 8:
        return data[:4] + struct.pack("<I", len(data) - 8) + data[8:]
    if not data.startswith(b"\x89PNG"):
        return data
    first, *parts = segments(data)
    return first + b"".join(png_chunk(part[4:8], part[8:-4]) for part in parts if len(part) >= 12)


def fuzz(examples: int) -> settings:
    return settings(
        derandomize=True,
        deadline=None,
        database=None,
        max_examples=EXAMPLES or examples,
        suppress_health_check=list(HealthCheck),
    )


@pytest.mark.parametrize("name", SEEDS)
@fuzz(25)
@given(changes=CHANGES, mended=st.booleans())
def test_damage_to_a_file_is_read_or_refused(
    name: str, changes: list[tuple[str, int, int | bytes]], mended: bool
) -> None:
    data = changed(name, changes, mended)

    with soon():
        header = check(lambda: read_header(data))
        source = check(lambda: open_source(data))

    if isinstance(header, Header):
        assert (header.width > 0, header.height > 0, header.frames > 0) == (True, True, True)
    else:
        assert isinstance(source, Problem)


@pytest.mark.parametrize("name", [name for name in SEEDS if len(seed_bytes(name)) < 60_000])
@fuzz(25)
@given(changes=CHANGES, mended=st.booleans())
def test_damage_to_pixels_gives_a_picture_or_is_refused(
    name: str, changes: list[tuple[str, int, int | bytes]], mended: bool
) -> None:
    data = changed(name, changes, mended)

    source = check(lambda: open_source(data))
    if isinstance(source, Problem):
        return
    assert isinstance(source, Source)
    image = check(source.load)

    assert isinstance(image, Image.Image | Problem)


@fuzz(200)
@given(head=st.sampled_from([b"", b"\xff\xd8\xff", PNG[:8], PNG[:33], b"RIFF\xff\xff\xff\0WEBP"]), data=st.binary())
@example(head=b"RIFF", data=b"")
def test_bytes_of_no_file_are_refused(head: bytes, data: bytes) -> None:
    check(lambda: read_header(head + data))
    assert isinstance(check(lambda: open_source(head + data)), Problem)
