"""Reads a file's header before a codec sees it, and refuses files that would cost a decoder too much.

Pillow and the codecs have few limits of their own: a JPEG of 20,000 scans keeps libjpeg busy for over a minute, and a
million empty segments or chunks keep Pillow's readers busy for ten seconds. Walking the parts here takes milliseconds.
"""

from typing import NamedTuple

from optimizer.imaging.containers import (
    EOI,
    PNG_PIXELS,
    SOS,
    WEBP_PIXELS,
    jpeg_segments,
    png_chunks,
    webp_chunks,
)
from optimizer.imaging.encoders import ENCODERS
from optimizer.limits import (
    MAX_CHUNKS,
    MAX_FILL_BYTES,
    MAX_FRAMES,
    MAX_METADATA_BYTES,
    MAX_PIXEL_CHUNKS,
    MAX_PIXELS,
    MAX_SCANS,
    MAX_SEGMENTS,
)
from optimizer.problems import DamagedImage, TooManyFrames, TooManyParts, TooManyPixels, TooManyScans, UnsupportedType


class Header(NamedTuple):
    """What a file says about itself."""

    format: str  # a key of ENCODERS
    width: int  # pixels, as stored
    height: int
    bits: int = 8  # per channel
    frames: int = 1


def read_header(data: bytes) -> Header:
    """Return what a JPEG, PNG or WebP file says about itself. The format is read from its content.

    Raises UnsupportedType for any other file, DamagedImage if the file gives no size, and TooManyPixels, TooManyFrames,
    TooManyScans or TooManyParts if it is over a limit.
    """
    if data.startswith(b"\xff\xd8\xff"):
        header = _read_jpeg(data)
    elif data.startswith(b"\x89PNG\r\n\x1a\n"):
        header = _read_png(data)
    elif data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        header = _read_webp(data)
    else:
        raise UnsupportedType(
            "This file is not a JPEG, PNG or WebP image. Convert it to one of these and send it again."
        )
    if 0 in (header.width, header.height):
        raise damaged(header.format)
    check_size(header.width, header.height, header.frames)
    return header


def check_size(width: int, height: int, frames: int) -> None:
    """Raise TooManyPixels or TooManyFrames if there are more than MAX_PIXELS or MAX_FRAMES."""
    if width * height > MAX_PIXELS:
        raise TooManyPixels(f"The limit is {MAX_PIXELS // 10**6} megapixels. Make the image smaller and send it again.")
    if frames > MAX_FRAMES:
        raise TooManyFrames(f"The limit is {MAX_FRAMES} frames. Send a shorter animation.")


# Start of frame (ITU T.81, table B.1). C4, C8 and CC mean something else.
_SOF = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def _read_jpeg(data: bytes) -> Header:
    size: tuple[int, int] | None = None
    scans = fill = metadata = 0
    behind = 2
    for segments, (marker, start, end) in enumerate(jpeg_segments(data)):
        fill += start - behind  # Pillow reads it byte by byte; after a scan libjpeg reads it again for each 64 KB
        behind = end
        if fill > MAX_FILL_BYTES:
            raise TooManyParts("It has too much data between its parts. Save this JPEG again and send that.")
        if marker == EOI:
            break
        if marker == SOS:
            scans += 1
        elif marker in _SOF and size is None:
            size = int.from_bytes(data[start + 7 : start + 9]), int.from_bytes(data[start + 5 : start + 7])
        else:  # tables count, too: Pillow reads them one by one
            metadata += end - start
        if scans > MAX_SCANS:
            raise TooManyScans(f"The limit is {MAX_SCANS} scans. Save this JPEG again and send that.")
        _check_parts(segments + 1, MAX_SEGMENTS, metadata)
    if size is None:
        raise damaged("jpeg")
    return Header("jpeg", *size)


def _read_png(data: bytes) -> Header:
    if data[12:16] != b"IHDR" or len(data) < 33:
        raise damaged("png")
    width, height = int.from_bytes(data[16:20]), int.from_bytes(data[20:24])
    check_size(width, height, 1)  # before the walk below, which takes longer
    frames, pixels, others, metadata = 1, 0, 0, 0
    for kind, chunk in png_chunks(data):
        if kind in (b"IDAT", b"fdAT"):
            pixels += 1
        else:
            others += 1
        if kind == b"acTL" and len(chunk) >= 12:
            claimed = int.from_bytes(chunk[8:12])
            frames = claimed if 0 < claimed <= 2**31 else 1  # otherwise not an APNG; Pillow also treats it as a still
        if kind not in PNG_PIXELS:
            metadata += len(chunk)
        _check_parts(others, MAX_CHUNKS, metadata)
        _check_parts(pixels, MAX_PIXEL_CHUNKS, metadata)
    return Header("png", width, height, data[24], frames)


def _read_webp(data: bytes) -> Header:
    size: tuple[int, int] | None = None
    frames = others = metadata = 0
    for kind, content in webp_chunks(data):
        if size is None:
            size = _webp_size(kind, content)
        if kind == b"ANMF":
            frames += 1
        else:
            others += 1
        if kind not in WEBP_PIXELS:
            metadata += len(content)
        _check_parts(others, MAX_CHUNKS, metadata)
        if frames > MAX_FRAMES:
            break  # check_size refuses it
    if size is None:
        raise damaged("webp")
    return Header("webp", *size, frames=max(1, frames))


def _webp_size(kind: bytes, content: bytes) -> tuple[int, int] | None:
    """Return width and height from the first chunk (WebP container specification; RFC 6386, 9.1), or None."""
    if kind == b"VP8X" and len(content) >= 10:
        return 1 + int.from_bytes(content[4:7], "little"), 1 + int.from_bytes(content[7:10], "little")
    if kind == b"VP8L" and len(content) >= 5:
        bits = int.from_bytes(content[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 " and len(content) >= 10:
        return int.from_bytes(content[6:8], "little") & 0x3FFF, int.from_bytes(content[8:10], "little") & 0x3FFF
    return None


def _check_parts(parts: int, most: int, metadata: int) -> None:
    if parts > most:
        raise TooManyParts(f"The limit is {most:,} parts. Save the image again and send that.")
    if metadata > MAX_METADATA_BYTES:
        raise TooManyParts(f"The limit is {MAX_METADATA_BYTES // 2**20} MB of metadata. Save the image without it.")


def damaged(format: str) -> DamagedImage:
    """Return the problem for a file of this format, a key of ENCODERS, that cannot be decoded."""
    title = ENCODERS[format].TITLE
    return DamagedImage(f"This {title} file is damaged or cut off. Export the image again and send that.")
