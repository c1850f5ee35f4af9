"""JPEG: progressive, with optimised Huffman tables."""

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from threading import Lock
from typing import TYPE_CHECKING

from PIL import ImageFile
from PIL.Image import Image

from optimizer.imaging.metadata import orientation, with_orientation

if TYPE_CHECKING:
    from optimizer.settings import Settings

TITLE = "JPEG"
MEDIA_TYPE = "image/jpeg"
EXTENSION = "jpg"
SUPPORTS_ALPHA = False
MAX_SIDE = 65_500  # JPEG_MAX_DIMENSION of libjpeg

MAX_QUALITY = 95  # above it files grow fast and nothing visible is gained (Pillow's documentation)
FULL_CHROMA_QUALITY = 88  # from here halved chroma would be the largest error left

# A marker segment holds 65,533 bytes; 29 of them name XMP. What is longer cannot be kept.
MAX_BYTES = {"exif": 65_533, "xmp": 65_533 - 29, "comment": 65_533}


def encode(image: Image, settings: "Settings") -> tuple[bytes, int | None]:
    quality = MAX_QUALITY if settings.lossless else min(settings.quality, MAX_QUALITY)
    try:
        return _save(image, quality), quality
    except OSError:
        with _roomy_buffer(image):
            return _save(image, quality), quality


def _save(image: Image, quality: int) -> bytes:
    file = BytesIO()
    image.save(
        file,
        "JPEG",
        quality=quality,
        progressive=True,
        optimize=True,
        subsampling="4:4:4" if quality >= FULL_CHROMA_QUALITY else "4:2:0",
        icc_profile=image.info.get("icc_profile"),
        **_fitting_metadata(image),
    )
    return file.getvalue()


def _fitting_metadata(image: Image) -> dict[str, bytes]:
    """Return what the image carries and a marker segment holds; of EXIF that does not fit, the orientation."""
    present = {key: image.info[key] for key in MAX_BYTES if key in image.info}
    fitting = {key: value for key, value in present.items() if len(value) <= MAX_BYTES[key]}
    fitting.setdefault("comment", b"")  # else Pillow takes it from `info` itself
    turned = orientation(present)
    if turned != 1 and "exif" not in fitting and (exif := with_orientation({}, turned)):
        fitting["exif"] = exif
    return fitting


_buffer_lock = Lock()


@contextmanager
def _roomy_buffer(image: Image) -> Iterator[None]:
    """Let Pillow write progressive JPEGs of noise, which do not fit the 1 or 2 bytes a pixel that it sets aside.

    The size is a global of Pillow; another thread that reads the larger one meanwhile only has room to spare.
    """
    with _buffer_lock:
        usual = ImageFile.MAXBLOCK
        ImageFile.MAXBLOCK = 8 * image.width * image.height + 2**20
        try:
            yield
        finally:
            ImageFile.MAXBLOCK = usual
