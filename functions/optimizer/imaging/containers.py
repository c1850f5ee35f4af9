"""What the three file formats wrap pixels in: removing metadata without decoding, and reading PNG without traps."""

import re
import zlib
from collections.abc import Iterator

MAX_TEXT_BYTES = 4 * 2**20  # of all texts of a PNG, inflated
MAX_PROFILE_BYTES = 2**20  # of an inflated ICC profile; Pillow reads no longer one


def strip_losslessly(data: bytes, format: str) -> bytes:
    """Return the same encoded pixels without metadata, for a file that was decoded before."""
    return {"jpeg": _strip_jpeg, "png": _strip_png, "webp": _strip_webp}[format](data)


_EOI, _SOS, _COM, _APP0, _APP14, _APP15 = 0xD9, 0xDA, 0xFE, 0xE0, 0xEE, 0xEF
_STANDALONE = frozenset([0x00, 0x01, *range(0xD0, 0xD9)])  # stuffing, TEM, RSTn and SOI have no length
_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd8]", re.DOTALL)
_FILL = re.compile(rb"\xff+")


def _strip_jpeg(data: bytes) -> bytes:
    """Keep what decoding needs: of APPn only JFIF and Adobe, which tell the colour space; no COM."""
    kept = [_kept_segment(marker, segment) for marker, segment in _jpeg_segments(data)]
    return b"".join([data[:2], *kept, b"\xff", bytes([_EOI])])


def count_jpeg_scans(data: bytes) -> int:
    """Return how many scans a decoder would have to make; each costs it a pass over the whole image."""
    return sum(marker == _SOS for marker, _ in _jpeg_segments(data))


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield marker and bytes of each segment up to the end of the picture (ITU T.81 annex B), scans with their data."""
    position = 2
    while True:
        position = data.find(b"\xff", position)  # decoders skip junk before a marker
        if position < 0 or position + 1 >= len(data) or data[position + 1] == _EOI:
            return
        marker = data[position + 1]
        if marker == 0xFF:  # any number of fill bytes may stand before a marker
            position = _FILL.match(data, position).end() - 1  # type: ignore[union-attr]  # it is there
        elif marker in _STANDALONE:
            position += 2
        else:
            end = position + 2 + int.from_bytes(data[position + 2 : position + 4])
            if marker == _SOS:
                end = _scan_end(data, end)
            yield marker, data[position:end]
            position = end


def _scan_end(data: bytes, position: int) -> int:
    """Return where the entropy-coded data ends: at the next marker that is neither stuffing nor RSTn."""
    marker = _MARKER.search(data, position)
    return marker.start() if marker else len(data)


def _kept_segment(marker: int, segment: bytes) -> bytes:
    """Return what stays of a segment: of JFIF and Adobe their fixed fields, without a thumbnail or more behind them."""
    if marker == _APP0 and segment[4:9] == b"JFIF\0" and len(segment) >= 18:
        return b"\xff\xe0\0\x10" + segment[4:16] + b"\0\0"
    if marker == _APP14 and segment[4:9] == b"Adobe" and len(segment) >= 16:
        return b"\xff\xee\0\x0e" + segment[4:16]
    return b"" if _APP0 <= marker <= _APP15 or marker == _COM else segment


_WEBP_PIXELS = frozenset([b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF"])
_WEBP_METADATA_FLAGS = 0b0010_1100  # ICC, EXIF and XMP in the first byte of VP8X


def _strip_webp(data: bytes) -> bytes:
    """Keep the chunks that hold pixels (WebP container specification), with the flags that say so."""
    body = bytearray(b"WEBP")
    for kind, content in _webp_chunks(data):
        if kind in _WEBP_PIXELS:
            flags = bytes([content[0] & ~_WEBP_METADATA_FLAGS]) if kind == b"VP8X" else content[:1]
            payload = flags + content[1:]
            body += kind + len(payload).to_bytes(4, "little") + payload + b"\0" * (len(payload) % 2)
    return b"RIFF" + len(body).to_bytes(4, "little") + bytes(body)


def read_webp_animation(data: bytes) -> tuple[int, int]:
    """Return the background of an animated WebP (BGRA, the least byte first) and how often it plays; 0 is for ever."""
    content = next(content for kind, content in _webp_chunks(data) if kind == b"ANIM")
    return int.from_bytes(content[:4], "little"), int.from_bytes(content[4:6], "little")


def _webp_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    position = 12
    end = 8 + int.from_bytes(data[4:8], "little")
    while position + 8 <= min(end, len(data)):
        size = int.from_bytes(data[position + 4 : position + 8], "little")
        yield data[position : position + 4], data[position + 8 : position + 8 + size]
        position += 8 + size + size % 2


# Chunks without which the pixels cannot be decoded (PNG specification, 3rd edition), with those of animations,
_PNG_PIXELS = frozenset(b"IHDR PLTE tRNS IDAT IEND acTL fcTL fdAT".split())
# and those that say what colours the numbers mean.
_PNG_COLORS = frozenset(b"gAMA cHRM sRGB cICP sBIT".split())
_PNG_TEXTS = frozenset(b"tEXt zTXt iTXt".split())


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield kind and bytes of each chunk, whole with length and CRC, up to the end; a cut one as far as it goes."""
    position = 8
    kind = b""
    while position < len(data) and kind != b"IEND":
        end = position + 12 + int.from_bytes(data[position : position + 4])
        kind = data[position + 4 : position + 8]
        yield kind, data[position:end]
        position = end


def _strip_png(data: bytes) -> bytes:
    keep = _PNG_PIXELS | _PNG_COLORS
    return data[:8] + b"".join(chunk for kind, chunk in _png_chunks(data) if kind in keep)


def take_png_apart(data: bytes) -> tuple[bytes, dict[str, str]]:
    """Return the PNG as Pillow should read it, and its texts by keyword.

    Pillow puts texts into the dictionary that also holds its own findings, so that a text called "interlace" or
    "transparency" spoils the picture; and it refuses a file for an ancillary chunk that viewers skip. So it gets the
    pixels, with the ICC profile and EXIF in front of them if they can be read. Texts that cannot be read are left out,
    and all that would make more than MAX_TEXT_BYTES together.
    """
    pixels: list[bytes] = []
    described: list[bytes] = []
    texts: dict[str, str] = {}
    room = MAX_TEXT_BYTES
    for kind, chunk in _png_chunks(data):
        if kind in _PNG_PIXELS:
            pixels.append(chunk)
        elif (kind == b"eXIf" and _is_intact(chunk)) or (kind == b"iCCP" and _has_profile(chunk)):
            described.append(chunk)
        elif kind in _PNG_TEXTS and _is_intact(chunk):
            keyword, text = _png_text(kind, chunk[8:-4], room)
            room -= len(text)
            if text:
                texts[keyword] = text
    return b"".join([data[:8], *pixels[:1], *described, *pixels[1:]]), texts


def _is_intact(chunk: bytes) -> bool:
    return len(chunk) >= 12 and zlib.crc32(chunk[4:-4]) == int.from_bytes(chunk[-4:])


def _has_profile(chunk: bytes) -> bool:
    return _is_intact(chunk) and bool(_inflated(chunk[8:-4].partition(b"\0")[2], MAX_PROFILE_BYTES))


def _png_text(kind: bytes, content: bytes, most: int) -> tuple[str, str]:
    """Return keyword and text of a text chunk; the text is empty when it cannot be read or is longer than `most`."""
    keyword, _, value = content.partition(b"\0")
    encoding = "latin-1"
    if kind == b"iTXt":
        encoding = "utf-8"
        flags, value = value[:2], value[2:].partition(b"\0")[2].partition(b"\0")[2]  # behind language and translation
        if flags[:1] == b"\1":
            value = _inflated(flags[1:] + value, most)
    elif kind == b"zTXt":
        value = _inflated(value, most)
    return keyword.decode("latin-1"), value.decode(encoding, errors="replace") if len(value) <= most else ""


def _inflated(packed: bytes, most: int) -> bytes:
    """Return the data behind a byte for the compression method; nothing when it is broken or longer than `most`."""
    if packed[:1] != b"\0" or most <= 0:
        return b""
    inflate = zlib.decompressobj()
    try:
        value = inflate.decompress(packed[1:], most)
    except zlib.error:
        return b""
    return b"" if inflate.unconsumed_tail else value
