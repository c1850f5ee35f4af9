"""WebP: lossy, or lossless when asked."""

from io import BytesIO
from typing import TYPE_CHECKING

from PIL.Image import Image

if TYPE_CHECKING:
    from optimizer.settings import Settings

TITLE = "WebP"
MEDIA_TYPE = "image/webp"
EXTENSION = "webp"
SUPPORTS_ALPHA = True
MAX_SIDE = 16_383  # WEBP_MAX_DIMENSION of libwebp

LARGE_PIXELS = 16_000_000  # above it less effort, so that 50 megapixels still end in time


def encode(image: Image, settings: "Settings") -> tuple[bytes, int | None]:
    large = image.width * image.height > LARGE_PIXELS
    lossless = settings.lossless
    file = BytesIO()
    image.save(
        file,
        "WEBP",
        lossless=lossless,
        # In lossless mode libwebp reads `quality` as effort; 50 at method 2 is where it stops paying.
        quality=50 if lossless else settings.quality,
        method=(0 if large else 2) if lossless else (2 if large else 4),
        **{key: image.info[key] for key in ("exif", "xmp", "icc_profile") if key in image.info},
    )
    return file.getvalue(), None if lossless else settings.quality
