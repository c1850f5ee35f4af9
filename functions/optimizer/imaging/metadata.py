"""The metadata of an image, under known keys and with known types."""

import struct
from collections.abc import Callable, Mapping
from typing import Any, Literal

from PIL.ExifTags import IFD, Base
from PIL.Image import Exif

Info = dict[str | tuple[int, int], Any]

_BYTES_KEYS = ("exif", "icc_profile", "xmp", "comment")
MAX_EXIF_BYTES = 2**18  # of a block whose values are decoded; in a longer one only the orientation is read
MAX_EXIF_VALUE_BYTES = 2**24  # of all values together, many times as much as the longest EXIF holds
_MOST_DIRECTORIES = 64  # a camera writes five
_DIRECTORIES = frozenset([IFD.Exif, IFD.GPSInfo, IFD.Interop])
_TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8}
_ORDERS: dict[str, Literal["little", "big"]] = {"<": "little", ">": "big"}
_EXIF_PREFIX = b"Exif\0\0"  # JPEG has it, PNG and WebP do not; Pillow's JPEG writer expects it
_XMP_TEXT = "XML:com.adobe.xmp"
_RAW_EXIF = "Raw profile type exif"  # how ImageMagick stored EXIF in PNG before PNG had a chunk for it


def clean_info(info: Mapping[Any, Any], text: Mapping[str, str]) -> Info:
    """Return the metadata of an opened image and its PNG texts.

    `exif`, `icc_profile`, `xmp` and `comment` are bytes. `text` is a dict of PNG texts by keyword. `photoshop` is a
    dict of the resources that hold IPTC. `transparency` is what Pillow's `convert` understands. Any key may be missing.
    """
    clean: Info = {key: info[key] for key in _BYTES_KEYS if isinstance(info.get(key), bytes) and info[key]}
    rest = dict(text)
    if xmp := rest.pop(_XMP_TEXT, ""):
        clean["xmp"] = xmp.encode()
    if "exif" not in clean and (exif := _hex_exif(rest.get(_RAW_EXIF, ""))):
        clean["exif"] = exif
        del rest[_RAW_EXIF]
    if "exif" in clean and not clean["exif"].startswith(_EXIF_PREFIX):
        clean["exif"] = _EXIF_PREFIX + clean["exif"]
    if not is_bounded(clean.get("exif", b"")):
        del clean["exif"]
    if rest:
        clean["text"] = rest
    for key, kind in (("photoshop", dict), ("transparency", int | bytes | tuple)):
        if isinstance(info.get(key), kind):
            clean[key] = info[key]
    return clean


def _hex_exif(text: str) -> bytes:
    """Return the EXIF in such a text: an empty line, the name, the length, then lines of hexadecimal digits."""
    try:
        return bytes.fromhex("".join(text.split("\n")[3:]))
    except ValueError:
        return b""


def is_bounded(block: bytes) -> bool:
    """Return whether reading this EXIF copies at most MAX_EXIF_VALUE_BYTES.

    Without a limit, each of 65,535 entries may name the whole block as its value.
    """
    tiff = block.removeprefix(_EXIF_PREFIX)
    order = "<" if tiff[:2] == b"II" else ">"
    pending, seen, copied = [4], set(), 0  # positions that hold the offset of a directory
    while pending:
        at = int.from_bytes(tiff[(place := pending.pop()) : place + 4], _ORDERS[order])
        if at in seen or at < 8 or at + 2 > len(tiff):
            continue
        seen.add(at)
        count = min(struct.unpack_from(order + "H", tiff, at)[0], (len(tiff) - at - 2) // 12)
        behind = at + 2 + 12 * count
        for number, entry in enumerate(struct.iter_unpack(order + "HHII", tiff[at + 2 : behind])):
            tag, kind, values, offset = entry
            size = values * _TYPE_BYTES.get(kind, 0)
            if size > 4:
                copied += min(size, max(len(tiff) - offset, 0))
            if tag in _DIRECTORIES:
                pending.append(at + 10 + 12 * number)
        if copied > MAX_EXIF_VALUE_BYTES or len(seen) > _MOST_DIRECTORIES:
            return False
        pending.append(behind)
    return True


def load_exif(info: Mapping[Any, Any]) -> Exif:
    """Return the EXIF tags; they are empty if there are none or they cannot be read."""
    exif = Exif()
    try:
        exif.load(info.get("exif", b""))
    except Exception:  # Pillow raises SyntaxError, struct.error, KeyError and more
        return Exif()
    return exif


def orientation(info: Mapping[Any, Any]) -> int:
    """Return the EXIF orientation, 1 to 8. 1 is upright, and also stands for a missing or broken tag."""
    try:
        value = load_exif(info).get(Base.Orientation)  # a tag is decoded when it is asked for
    except Exception:  # as in load_exif
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def with_orientation(info: Mapping[Any, Any], value: int) -> bytes | None:
    """Return the EXIF block with its orientation set, or None if it cannot be written again.

    If the block is longer than MAX_EXIF_BYTES, only the orientation is kept: writing the rest would decode every value.
    """
    exif = Exif() if len(info.get("exif", b"")) > MAX_EXIF_BYTES else load_exif(info)
    exif[Base.Orientation] = value
    try:
        return exif.tobytes()
    except Exception:  # Pillow read a value that it cannot write; without EXIF the picture is still complete
        return None


def _has_exif(info: Mapping[Any, Any]) -> bool:
    """Return whether EXIF has more than the orientation, which is kept if viewers need it to show the image."""
    return bool(info.get("exif")) and set(load_exif(info)) != {Base.Orientation}


def _has_ifd(info: Mapping[Any, Any], ifd: IFD) -> bool:
    if len(info.get("exif", b"")) > MAX_EXIF_BYTES:
        return False
    try:
        return bool(load_exif(info).get_ifd(ifd))
    except Exception:  # as in load_exif
        return False


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
    """Return the kinds of metadata in a cleaned info, as keys of _KINDS."""
    return [kind for kind, has in _KINDS.items() if has(info)]
