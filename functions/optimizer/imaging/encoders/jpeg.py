"""JPEG: progressive, encoded by jpegli, or by Pillow if jpegli is not installed."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from io import BytesIO
from itertools import pairwise
from math import exp, log
from threading import Lock
from typing import TYPE_CHECKING, Any

from PIL import ImageFile
from PIL.Image import Image

from optimizer.imaging.content import has_edges_of_color
from optimizer.imaging.metadata import orientation, with_orientation

if TYPE_CHECKING:
    from optimizer.settings import Settings

TITLE = "JPEG"
MEDIA_TYPE = "image/jpeg"
EXTENSION = "jpg"
SUPPORTS_ALPHA = False
LOSSLESS = False
MAX_QUALITY = 95  # above it files grow fast without a visible gain (Pillow's documentation)
MAX_SIDE = 65_500  # JPEG_MAX_DIMENSION of libjpeg

FULL_CHROMA_QUALITY = 88  # from here on halved chroma would be the largest error left

SMALL_PIXELS = 10_000  # below it the tables of many scans cost more than the scans save
LARGE_PIXELS = 16_000_000  # above it they would hold all coefficients, 3 bytes a pixel, to save 4 percent of the bytes

# jpegli's distance at each quality, where its pictures score the same as libjpeg's. So the numbers mean what people are
# used to. The values are medians of 14 photos by SSIMULACRA2. Between two entries the logarithm is linear. Around 88,
# where libjpeg's score jumps because its chroma changes, the table runs smoothly.
_DISTANCES = (
    (1, 100.0), (5, 48.0), (10, 27.0), (20, 14.5), (30, 9.6), (40, 7.0), (50, 5.4), (60, 4.35), (70, 3.3),
    (80, 1.93), (84, 1.5), (88, 1.1), (90, 0.86), (93, 0.53), (95, 0.35),
)  # fmt: skip
_FULL_CHROMA = 1.28  # with full chroma, the distance times this scores the same

_BAND_PIXELS = 2**20  # copied at a time into the array for jpegli

# A marker segment holds 65,533 bytes. For XMP, its name takes 29 of them. Longer metadata cannot be kept.
MAX_BYTES = {"exif": 65_533, "xmp": 65_533 - 29, "comment": 65_533}


def encode(image: Image, settings: "Settings") -> tuple[bytes, float | None]:
    quality = MAX_QUALITY if settings.lossless else min(settings.quality, MAX_QUALITY)
    full_chroma = quality >= FULL_CHROMA_QUALITY or has_edges_of_color(image)
    if (jpegli := _jpegli()) and max(image.size) <= MAX_SIDE:  # it crashes on sizes that JPEG cannot hold
        return _encode_by_jpegli(jpegli, image, quality, full_chroma), quality
    try:
        return _encode_by_pillow(image, quality, full_chroma), quality
    except OSError:
        with _roomy_buffer(image):
            return _encode_by_pillow(image, quality, full_chroma), quality


@cache
def _jpegli() -> Any:
    """Return the module `ajpegli`, or None if it is not installed. First use imports it, because it loads NumPy."""
    try:
        import ajpegli
    except ImportError:
        return None
    return ajpegli


def _encode_by_jpegli(jpegli: Any, image: Image, quality: float, full_chroma: bool) -> bytes:
    import numpy as np

    shape = (image.height, image.width, len(image.mode))
    rows = _BAND_PIXELS // image.width + 1
    if rows >= image.height:
        pixels = np.asarray(image).reshape(shape)
    else:
        pixels = np.empty(shape, np.uint8)
        for top in range(0, image.height, rows):  # in bands; all at once, Pillow would hold the pixels twice
            band = np.asarray(image.crop((0, top, image.width, min(top + rows, image.height))))
            pixels[top : top + rows] = band.reshape(len(band), image.width, -1)
    metadata: dict[str, Any] = _fitting_metadata(image)
    comment = metadata.pop("comment")
    encoded: bytes = jpegli.encode(
        pixels,
        distance=distance(quality) * (_FULL_CHROMA if full_chroma else 1),
        subsampling="444" if full_chroma else "420",
        progressive=2 if SMALL_PIXELS <= image.width * image.height <= LARGE_PIXELS else 0,
        # Off: from quality 70 on, equal SSIMULACRA2 needs 2 to 6 percent fewer bytes, and equal Butteraugli no more.
        adaptive_quantization=False,
        icc_profile=image.info.get("icc_profile"),
        **metadata,
    )
    return _with_comment(encoded, comment)


def distance(quality: float) -> float:
    """Return jpegli's distance at a quality of 1 to 95 with halved chroma; raises ValueError above 95.

    At distance 1 a difference can just be seen.
    """
    for (low, far), (high, near) in pairwise(_DISTANCES):
        if quality <= high:
            share = (quality - low) / (high - low)
            return exp((1 - share) * log(far) + share * log(near))
    raise ValueError(quality)


def _with_comment(encoded: bytes, comment: bytes) -> bytes:
    """Return the JPEG with a comment after its application segments, since EXIF must be the first of these."""
    if not comment:
        return encoded
    place = 2
    while 0xE0 <= encoded[place + 1] <= 0xEF:  # APP0 to APP15
        place += 2 + int.from_bytes(encoded[place + 2 : place + 4])
    return encoded[:place] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2) + comment + encoded[place:]


def _encode_by_pillow(image: Image, quality: float, full_chroma: bool) -> bytes:
    file = BytesIO()
    image.save(
        file,
        "JPEG",
        quality=round(quality),
        progressive=True,
        optimize=True,
        subsampling="4:4:4" if full_chroma else "4:2:0",
        icc_profile=image.info.get("icc_profile"),
        **_fitting_metadata(image),
    )
    return file.getvalue()


def _fitting_metadata(image: Image) -> dict[str, bytes]:
    """Return the image's metadata that fits into a marker segment. If EXIF does not fit, keep only the orientation."""
    present = {key: image.info[key] for key in MAX_BYTES if key in image.info}
    fitting = {key: value for key, value in present.items() if len(value) <= MAX_BYTES[key]}
    fitting.setdefault("comment", b"")  # otherwise Pillow takes it from `info` itself
    turned = orientation(present)
    if turned != 1 and "exif" not in fitting and (exif := with_orientation({}, turned)):
        fitting["exif"] = exif
    return fitting


_buffer_lock = Lock()


@contextmanager
def _roomy_buffer(image: Image) -> Iterator[None]:
    """Let Pillow write progressive JPEGs of noise. They do not fit into its buffer of 1 or 2 bytes a pixel.

    The buffer's size is a global of Pillow. If another thread reads the larger size meanwhile, it has room to spare.
    """
    with _buffer_lock:
        usual = ImageFile.MAXBLOCK
        ImageFile.MAXBLOCK = 8 * image.width * image.height + 2**20
        try:
            yield
        finally:
            ImageFile.MAXBLOCK = usual
