"""Reads the containers of the three file formats: lists their parts, removes metadata without decoding the pixels, and
makes a PNG safe for Pillow.
"""

import re
import zlib
from collections.abc import Iterator

MAX_TEXT_BYTES = 4 * 2**20  # of all texts of a PNG, inflated
MAX_UNREADABLE_TEXTS = 16  # of a PNG; for each, up to MAX_TEXT_BYTES may be inflated in vain, which takes 10 ms
MAX_PROFILE_BYTES = 2**20  # of an inflated ICC profile; Pillow does not read a longer one


def strip_losslessly(data: bytes, format: str) -> bytes:
    """Return the file with the same encoded pixels but without metadata. The file must have been decoded before."""
    return {"jpeg": _strip_jpeg, "png": _strip_png, "webp": _strip_webp}[format](data)


SOS, EOI = 0xDA, 0xD9
_COM, _APP0, _APP1, _APP14, _APP15 = 0xFE, 0xE0, 0xE1, 0xEE, 0xEF
# Any number of fill bytes may come before a marker. Stuffing, TEM, RSTn and SOI have no length.
_FILL_OR_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd8]", re.DOTALL)
_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd8\xff]", re.DOTALL)


def _strip_jpeg(data: bytes) -> bytes:
    """Keep what decoding needs. Of the APPn segments that is only JFIF and Adobe, which give the colour space."""
    kept = [_kept_segment(marker, data[start:end]) for marker, start, end in jpeg_segments(data)]
    return b"".join([data[:2], *kept, b"\xff", bytes([EOI])])


def jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield the marker, start and end of each segment up to EOI, the end of the picture (ITU T.81, annex B). A scan
    includes its data. Bytes between two segments are fill, or junk that decoders skip.
    """
    end = 2
    while found := _MARKER.search(data, end):
        start, marker = found.start(), data[found.start() + 1]
        if marker == EOI:
            yield marker, start, start + 2
            return
        end = start + 2 + int.from_bytes(data[start + 2 : start + 4])
        if marker == SOS:
            end = _scan_end(data, end)
        yield marker, start, end


def _scan_end(data: bytes, position: int) -> int:
    """Return where the entropy-coded data ends: at the next marker that is neither stuffing nor RSTn."""
    found = _FILL_OR_MARKER.search(data, position)
    return found.start() if found else len(data)


def take_exif_out(data: bytes) -> tuple[bytes, bytes]:
    """Return the JPEG without its EXIF, and the EXIF itself, joined from all segments as Pillow does it."""
    kept, exif, position = [], [], 0
    for marker, start, end in jpeg_segments(data):
        if marker == _APP1 and data[start + 4 : start + 10] == b"Exif\0\0":
            kept.append(data[position:start])
            exif.append(data[start + 10 : end])
            position = end
    return b"".join([*kept, data[position:]]) if exif else data, b"".join(exif)


def _kept_segment(marker: int, segment: bytes) -> bytes:
    """Return what is kept of a segment: of JFIF and Adobe the fixed fields, without a thumbnail or other data."""
    if marker == _APP0 and segment[4:9] == b"JFIF\0" and len(segment) >= 18:
        return b"\xff\xe0\0\x10" + segment[4:16] + b"\0\0"
    if marker == _APP14 and segment[4:9] == b"Adobe" and len(segment) >= 16:
        return b"\xff\xee\0\x0e" + segment[4:16]
    return b"" if _APP0 <= marker <= _APP15 or marker in (_COM, EOI) else segment


WEBP_PIXELS = frozenset([b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF"])
_WEBP_METADATA_FLAGS = 0b0010_1100  # ICC, EXIF and XMP in the first byte of VP8X


def _strip_webp(data: bytes) -> bytes:
    """Keep the chunks that hold pixels (WebP container specification), and clear the flags for metadata."""
    body = bytearray(b"WEBP")
    for kind, content in webp_chunks(data):
        if kind in WEBP_PIXELS:
            flags = bytes([content[0] & ~_WEBP_METADATA_FLAGS]) if kind == b"VP8X" else content[:1]
            payload = flags + content[1:]
            body += kind + len(payload).to_bytes(4, "little") + payload + b"\0" * (len(payload) % 2)
    return b"RIFF" + len(body).to_bytes(4, "little") + bytes(body)


def read_webp_animation(data: bytes) -> tuple[int, int]:
    """Return the background of an animated WebP (BGRA, lowest byte first) and how often it plays; 0 means for ever."""
    content = next(content for kind, content in webp_chunks(data) if kind == b"ANIM")
    return int.from_bytes(content[:4], "little"), int.from_bytes(content[4:6], "little")


def webp_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    position = 12
    end = 8 + int.from_bytes(data[4:8], "little")
    while position + 8 <= min(end, len(data)):
        size = int.from_bytes(data[position + 4 : position + 8], "little")
        yield data[position : position + 4], data[position + 8 : position + 8 + size]
        position += 8 + size + size % 2


def padded_webp(data: bytes) -> bytes:
    """Return the WebP with the byte that pads its last chunk to an even length. Some writers forget this byte, but
    libwebp needs it.
    """
    end = 8 + int.from_bytes(data[4:8], "little")
    needed = 12 + sum(8 + len(content) + len(content) % 2 for _, content in webp_chunks(data))
    if needed == end + 1 and len(data) >= end:  # the length in the header does not count it either
        return data[:4] + (end - 7).to_bytes(4, "little") + data[8:end] + b"\0" + data[end:]
    return data + b"\0" if needed == end == len(data) + 1 else data


# Chunks without which the pixels cannot be decoded (PNG specification, 3rd edition), and those of animations.
PNG_PIXELS = frozenset(b"IHDR PLTE tRNS IDAT IEND acTL fcTL fdAT".split())
# Chunks that say which colours the numbers mean.
_PNG_COLORS = frozenset(b"gAMA cHRM sRGB cICP sBIT".split())
_PNG_TEXTS = frozenset(b"tEXt zTXt iTXt".split())


def png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the kind and bytes of each chunk up to IEND. The bytes include length and CRC. A chunk that is cut off is
    yielded as far as it goes.
    """
    position = 8
    kind = b""
    while position < len(data) and kind != b"IEND":
        end = position + 12 + int.from_bytes(data[position : position + 4])
        kind = data[position + 4 : position + 8]
        yield kind, data[position:end]
        position = end


def _strip_png(data: bytes) -> bytes:
    keep = PNG_PIXELS | _PNG_COLORS
    return data[:8] + b"".join(chunk for kind, chunk in png_chunks(data) if kind in keep)


def take_png_apart(data: bytes) -> tuple[bytes, dict[str, str]]:
    """Return a PNG that is safe for Pillow to read, and the original's texts by keyword.

    Pillow puts texts into the same dictionary as its own findings, so a text called "interlace" or "transparency"
    spoils the picture. It also refuses a file for an ancillary chunk that viewers skip. So the PNG for Pillow has only
    the pixels, with the ICC profile and EXIF before them if they can be read. Texts that cannot be read are left out,
    and so are texts that would make more than MAX_TEXT_BYTES together.
    """
    pixels: list[bytes] = []
    described: list[bytes] = []
    texts: dict[str, str] = {}
    room, unreadable = MAX_TEXT_BYTES, 0
    profiles = 0
    for kind, chunk in png_chunks(data):
        if kind in PNG_PIXELS:
            pixels.append(chunk)
        elif kind == b"iCCP":
            profiles += 1
            if profiles == 1 and _has_profile(chunk):  # a PNG has only one; inflating thousands would take long
                described.append(chunk)
        elif kind == b"eXIf" and _is_intact(chunk):
            described.append(chunk)
        elif kind in _PNG_TEXTS and unreadable < MAX_UNREADABLE_TEXTS and _is_intact(chunk):
            keyword, text = _png_text(kind, chunk[8:-4], room)
            room -= len(text)
            if text:
                texts[keyword] = text
            elif kind != b"tEXt":
                unreadable += 1
    return b"".join([data[:8], *pixels[:1], *described, *pixels[1:]]), texts


def _is_intact(chunk: bytes) -> bool:
    return len(chunk) >= 12 and zlib.crc32(chunk[4:-4]) == int.from_bytes(chunk[-4:])


def _has_profile(chunk: bytes) -> bool:
    return _is_intact(chunk) and bool(_inflated(chunk[8:-4].partition(b"\0")[2], MAX_PROFILE_BYTES))


def _png_text(kind: bytes, content: bytes, most: int) -> tuple[str, str]:
    """Return the keyword and text of a text chunk. The text is empty if it cannot be read or has more than `most`
    bytes.
    """
    keyword, _, value = content.partition(b"\0")
    encoding = "latin-1"
    if kind == b"iTXt":
        encoding = "utf-8"
        flags, value = value[:2], value[2:].partition(b"\0")[2].partition(b"\0")[2]  # after language and translation
        if flags[:1] == b"\1":
            value = _inflated(flags[1:] + value, most)
    elif kind == b"zTXt":
        value = _inflated(value, most)
    return keyword.decode("latin-1"), value.decode(encoding, errors="replace") if len(value) <= most else ""


def _inflated(packed: bytes, most: int) -> bytes:
    """Return the inflated data. The first byte gives the compression method. The result is empty if the data is broken
    or has more than `most` bytes.
    """
    if packed[:1] != b"\0" or most <= 0:
        return b""
    inflate = zlib.decompressobj()
    try:
        value = inflate.decompress(packed[1:], most)
    except zlib.error:
        return b""
    return b"" if inflate.unconsumed_tail else value
