"""What is sent under load: small images of several formats, and settings. Standard library only: locust reads it."""

from pathlib import Path
from typing import Any, NamedTuple

CORPUS = Path(__file__).parent.parent / "corpus"
MEDIA_TYPES = {
    "photo-flower-cmyk.jpg": "image/jpeg",
    "photo-tulips-alpha-lossy.webp": "image/webp",
    "graphic-logo-alpha.png": "image/png",
    "screenshot-terminal-gray.png": "image/png",
    "graphic-logo-palette-trns.png": "image/png",
    "edge-1x1.png": "image/png",
}
SETTINGS: tuple[dict[str, Any], ...] = (
    {"format": "webp", "width": 200},
    {"format": "jpeg", "quality": 70, "width": 320, "sharpen": 20},
    {"format": "png", "lossless": True, "width": 120},
)


class Source(NamedTuple):
    """A file and what a client says of it."""

    name: str
    media_type: str
    data: bytes


def sources() -> list[Source]:
    return [Source(name, media_type, (CORPUS / name).read_bytes()) for name, media_type in MEDIA_TYPES.items()]
