"""The table of encoders: one module per format, all with the same names. To add one, write it and list it."""

from typing import TYPE_CHECKING, Protocol

from PIL.Image import Image

from optimizer.imaging.encoders import jpeg, png, webp

if TYPE_CHECKING:
    from optimizer.settings import Settings


class Encoder(Protocol):
    """What each module of this package offers."""

    TITLE: str
    MEDIA_TYPE: str
    EXTENSION: str
    SUPPORTS_ALPHA: bool
    LOSSLESS: bool  # can keep every pixel
    MAX_QUALITY: int  # above it, nothing changes
    MAX_SIDE: int  # pixels

    def encode(self, image: Image, settings: "Settings") -> tuple[bytes, float | None]:
        """Return the file and the quality, 1 to 100, it was made with; None when it keeps every pixel.

        The image is L, LA, RGB or RGBA (L or RGB where alpha is not supported); its `info` holds the metadata to keep.
        """


ORIGINAL = "original"  # the choice that keeps the source's format
SMALLEST = "smallest"  # and the one that takes whatever holds the picture in the fewest bytes
ENCODERS: dict[str, Encoder] = {"jpeg": jpeg, "png": png, "webp": webp}
