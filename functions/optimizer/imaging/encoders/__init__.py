"""The table of encoders: one module per format, all with the same names. To add one, write the module and list it."""

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
    MAX_QUALITY: int  # a higher quality changes nothing
    MAX_SIDE: int  # pixels

    def encode(self, image: Image, settings: "Settings") -> tuple[bytes, float | None]:
        """Return the file, and the quality it was made with: 1 to 100, or None if it keeps every pixel.

        The image has mode L, LA, RGB or RGBA (L or RGB if alpha is not supported). Its `info` holds the metadata to
        keep.
        """


ORIGINAL = "original"  # the choice that keeps the source's format
SMALLEST = "smallest"  # the choice of whichever format holds the picture in the fewest bytes
ENCODERS: dict[str, Encoder] = {"jpeg": jpeg, "png": png, "webp": webp}
