"""What a file carries beside its pixels: reading it safely, and removing it without touching the pixels."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from PIL.ExifTags import IFD, Base
from PIL.Image import Exif

# What steps and encoders may find in `image.info`, and the types they may rely on. A PNG text chunk can claim any
# keyword, so a file chooses the keys and types of Pillow's `info`; only this much is taken over.
BYTES_KEYS = ("exif", "icc_profile", "xmp", "comment")


def clean_info(info: Mapping[Any, Any], bits: int) -> dict[str | tuple[int, int], Any]:
    """Return the metadata of an opened image under known keys with known types.

    `exif`, `icc_profile`, `xmp` and `comment` are bytes, `text` is PNG text by keyword, `photoshop` the resources
    that hold IPTC, `transparency` is what Pillow's `convert` understands. `bits` is the depth of a channel in the file.
    """
    clean: dict[str | tuple[int, int], Any] = {
        key: info[key] for key in BYTES_KEYS if isinstance(info.get(key), bytes) and info[key]
    }
    known = (*BYTES_KEYS, "transparency", "XML:com.adobe.xmp")
    text = {k: str(v) for k, v in info.items() if isinstance(v, str) and k not in known}
    raw_exif = _hex_exif(text.get(_RAW_EXIF, ""))
    if raw_exif and "exif" not in clean:
        del text[_RAW_EXIF]
        clean["exif"] = raw_exif
    if text:
        clean["text"] = text
    if isinstance(info.get("photoshop"), dict):
        clean["photoshop"] = info["photoshop"]
    transparency = info.get("transparency")
    if isinstance(transparency, int | bytes | tuple):
        clean["transparency"] = _eight_bit(transparency) if bits == 16 else transparency
    return clean


_RAW_EXIF = "Raw profile type exif"  # how ImageMagick stored EXIF in PNG before PNG had a chunk for it


def _hex_exif(text: str) -> bytes:
    """Return the EXIF of such a text: an empty line, the name, the length, then hexadecimal lines."""
    try:
        return bytes.fromhex("".join(text.split("\n")[3:]))
    except ValueError:
        return b""


def _eight_bit(transparency: int | bytes | tuple[int, ...]) -> int | bytes | tuple[int, ...]:
    """Scale a 16-bit PNG's transparent colour as Pillow scales its RGB pixels."""
    if isinstance(transparency, tuple):
        return tuple(value >> 8 for value in transparency)
    return transparency >> 8 if isinstance(transparency, int) else transparency


def load_exif(info: Mapping[Any, Any]) -> Exif:
    """Return the EXIF tags, none when there are none or they cannot be read."""
    exif = Exif()
    try:
        exif.load(info.get("exif", b""))
        exif.get(Base.Orientation)  # tags are decoded on access
    except Exception:  # Pillow raises SyntaxError, struct.error, KeyError and more on broken EXIF
        return Exif()
    return exif


def orientation(info: Mapping[Any, Any]) -> int:
    """Return the EXIF orientation, 1 to 8; 1 is upright and what a missing or broken tag means."""
    value = load_exif(info).get(Base.Orientation)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def with_orientation(info: Mapping[Any, Any], value: int) -> bytes | None:
    """Return the EXIF block with its orientation set, or None when it cannot be written again."""
    exif = load_exif(info)
    exif[Base.Orientation] = value
    try:
        return exif.tobytes()
    except Exception:  # a tag whose value Pillow read but cannot write; losing EXIF loses no picture
        return None


def _has_ifd(info: Mapping[Any, Any], ifd: IFD) -> bool:
    try:
        return bool(load_exif(info).get_ifd(ifd))
    except Exception:  # as in load_exif
        return False


def _has_exif(info: Mapping[Any, Any]) -> bool:
    """Tell whether there is more than the orientation, which is kept when it is needed to show the image."""
    return bool(info.get("exif")) and set(load_exif(info)) != {Base.Orientation}


_KINDS: dict[str, Callable[[Mapping[Any, Any]], bool]] = {
    "exif": _has_exif,
    "gps": lambda info: _has_ifd(info, IFD.GPSInfo),
    "thumbnail": lambda info: _has_ifd(info, IFD.IFD1),
    "iptc": lambda info: "photoshop" in info,
    "xmp": lambda info: "xmp" in info,
    "icc": lambda info: "icc_profile" in info,
    "comment": lambda info: "comment" in info,
    "text": lambda info: "text" in info,
}


def kinds(info: Mapping[Any, Any]) -> list[str]:
    """Return which kinds of metadata a cleaned info holds, as the keys of this table name them."""
    return [kind for kind, has in _KINDS.items() if has(info)]


def strip_losslessly(data: bytes, format: str) -> bytes:
    """Return the same encoded pixels without metadata, for a file that was decoded before."""
    return {"jpeg": _strip_jpeg, "png": _strip_png, "webp": _strip_webp}[format](data)


def _strip_jpeg(data: bytes) -> bytes:
    """Keep what decoding needs (ITU T.81 annex B): of APPn only JFIF and Adobe, which tell the colour space; no COM,
    and nothing behind the end of the picture."""
    kept = [data[:2]]
    position = 2
    while 0 <= position < len(data) - 1:
        marker = data[position + 1]
        if marker == 0xFF:  # any number of fill bytes may stand before a marker
            position += 1
        elif marker == _EOI:
            break
        elif marker in _STANDALONE:
            position += 2
        else:
            end = position + 2 + int.from_bytes(data[position + 2 : position + 4])
            if marker == _SOS:
                end = _scan_end(data, end)
            kept.append(_kept_segment(marker, data[position:end]))
            position = end
    return b"".join([*kept, b"\xff", bytes([_EOI])])


_EOI, _SOS, _COM, _APP0, _APP14, _APP15 = 0xD9, 0xDA, 0xFE, 0xE0, 0xEE, 0xEF
_STANDALONE = frozenset([0x00, 0x01, *range(0xD0, 0xD9)])  # stuffing, TEM, RSTn and SOI have no length


def _scan_end(data: bytes, position: int) -> int:
    """Return where the entropy-coded data ends: at the next marker that is neither stuffing nor RSTn."""
    while True:
        position = data.find(b"\xff", position)
        if position < 0 or position + 1 >= len(data):
            return len(data)
        if data[position + 1] not in _STANDALONE:
            return position
        position += 2


def _kept_segment(marker: int, segment: bytes) -> bytes:
    if marker == _APP0 and segment[4:9] == b"JFIF\0":
        return b"\xff\xe0\0\x10" + segment[4:16] + b"\0\0"  # without its thumbnail
    if marker == _APP14 and segment[4:9] == b"Adobe":
        return segment
    return b"" if _APP0 <= marker <= _APP15 or marker == _COM else segment


# Chunks that decide how pixels look (PNG specification, 3rd edition, 5.6); APNG's are among them.
_PNG_CHUNKS = frozenset(b"IHDR PLTE tRNS IDAT IEND gAMA cHRM sRGB cICP sBIT acTL fcTL fdAT".split())


def _strip_png(data: bytes) -> bytes:
    kept = [data[:8]]
    position = 8
    while position < len(data):
        end = position + 12 + int.from_bytes(data[position : position + 4])
        kind = data[position + 4 : position + 8]
        if kind in _PNG_CHUNKS:
            kept.append(data[position:end])
        if kind == b"IEND":
            break
        position = end
    return b"".join(kept)


_WEBP_CHUNKS = frozenset([b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF"])
_WEBP_METADATA_FLAGS = 0b0010_1100  # ICC, EXIF and XMP in the first byte of VP8X


def _webp_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    position = 12
    end = 8 + int.from_bytes(data[4:8], "little")
    while position + 8 <= min(end, len(data)):
        size = int.from_bytes(data[position + 4 : position + 8], "little")
        yield data[position : position + 4], data[position + 8 : position + 8 + size]
        position += 8 + size + size % 2


def _strip_webp(data: bytes) -> bytes:
    """Keep the chunks that hold pixels (WebP container specification), with the flags that say so."""
    body = bytearray(b"WEBP")
    for kind, content in _webp_chunks(data):
        if kind in _WEBP_CHUNKS:
            flags = bytes([content[0] & ~_WEBP_METADATA_FLAGS]) if kind == b"VP8X" else content[:1]
            payload = flags + content[1:]
            body += kind + len(payload).to_bytes(4, "little") + payload + b"\0" * (len(payload) % 2)
    return b"RIFF" + len(body).to_bytes(4, "little") + bytes(body)
