"""Makes the file names that people choose safe for a header, a disk and a line of text."""

import re
import unicodedata
from collections.abc import Iterator
from urllib.parse import quote

MAX_STEM_BYTES = 80  # in UTF-8; disks take 255 for the whole name, and S3 2 KB for all metadata
MAX_MARKS = 8  # accents on one character; Tibetan has up to six
# Names that Windows reserves for devices, with any extension (Microsoft, "Naming Files, Paths, and Namespaces").
_RESERVED = re.compile(r"(?i:con|prn|aux|nul|com[0-9]|lpt[0-9])")


def display_name(name: str) -> str:
    """Return the name as messages show it: without folders, controls and direction marks, at most 100 characters."""
    base = re.split(r"[/\\]", name[-1_000:])[-1]
    return "".join(_readable(unicodedata.normalize("NFC", base)))[-100:].strip() or "image"


def _readable(name: str) -> Iterator[str]:
    marks = 0  # on one character; more would pile up over the lines around it
    for c in name:
        kind = unicodedata.category(c)[0]
        if kind == "C":  # controls, direction marks, surrogates and unassigned
            continue
        marks = marks + 1 if kind == "M" else 0
        if marks <= MAX_MARKS:
            yield " " if kind == "Z" else c  # separators


def safe_stem(name: str) -> str:
    """Return the name without its extension, valid on any disk, or "image" if nothing is left."""
    base = display_name(name)
    name, dot, extension = base.rpartition(".")
    stem = re.sub(r'[<>:"|?*%;]', "_", name if dot else extension)
    stem = stem.strip(" .").encode()[:MAX_STEM_BYTES].decode(errors="ignore").strip(" .")
    return f"_{stem}" if _RESERVED.fullmatch(stem.partition(".")[0]) else stem or "image"


def content_disposition(filename: str) -> str:
    """Return the Content-Disposition value (RFC 6266) for a download of this name: in ASCII, and in full (RFC 8187)."""
    ascii_name = "".join(c if c.isascii() and c not in '"\\' else "_" for c in filename)
    return f"attachment; filename=\"{ascii_name}\"; filename*=UTF-8''{quote(filename, safe='')}"
