"""PNG: lossless, or a palette where 256 colours hold the image; packed by oxipng."""

from io import BytesIO
from math import inf, log10
from typing import TYPE_CHECKING

import oxipng
from PIL import Image as pillow
from PIL import ImageChops, ImageStat
from PIL.Image import Image, Quantize, Resampling
from PIL.PngImagePlugin import PngInfo

if TYPE_CHECKING:
    from optimizer.settings import Settings

TITLE = "PNG"
MEDIA_TYPE = "image/png"
EXTENSION = "png"
SUPPORTS_ALPHA = True
MAX_SIDE = 2**31 - 1

PALETTE_COLORS = 256
SAMPLE_SIDE = 256  # pixels; what 256 colours cannot hold in a sample they cannot hold in the whole

# oxipng's level for images up to so many pixels: its cost grows with both, and 50 megapixels must end in time.
_LEVELS = ((1_000_000, 2), (8_000_000, 1))
_LAST_LEVEL = 0


def encode(image: Image, settings: "Settings") -> tuple[bytes, int | None]:
    exact = _save(image, image)
    quantized = None if settings.lossless else _palette(image, settings.quality)
    if quantized:
        smaller = _save(quantized, image)
        if len(smaller) < len(exact):
            return smaller, settings.quality
    return exact, None


def _palette(image: Image, quality: int) -> Image | None:
    """Return the image in 256 colours when they hold the quality."""
    if quality == 100 or image.mode not in ("RGB", "RGBA") or image.getcolors(PALETTE_COLORS):
        return None  # oxipng makes an exact palette by itself where the colours fit into one
    sample = image.copy()
    sample.thumbnail((SAMPLE_SIDE, SAMPLE_SIDE), Resampling.NEAREST)
    if not _holds(_quantize(sample), sample, quality):
        return None
    quantized = _quantize(image)
    return quantized if _holds(quantized, image, quality) else None


def _quantize(image: Image) -> Image:
    # The octree is what Pillow has for alpha. No dithering: it costs bytes, and what needs it does not pass `_holds`.
    method = Quantize.FASTOCTREE if image.mode == "RGBA" else Quantize.MEDIANCUT
    return image.quantize(PALETTE_COLORS, method, dither=pillow.Dither.NONE)


def _holds(quantized: Image, image: Image, quality: int) -> bool:
    """Tell whether the signal-to-noise ratio is at least 30 dB plus a fifth of the quality.

    At the default of 85 that is 47 dB, a root mean square error of 1.1 levels: no banding to see.
    """
    difference = ImageChops.difference(quantized.convert(image.mode), image)
    squares = [rms**2 for rms in ImageStat.Stat(difference).rms]
    mean = sum(squares) / len(squares)
    return (10 * log10(255**2 / mean) if mean else inf) >= 30 + quality / 5


def _save(candidate: Image, image: Image) -> bytes:
    """Return the candidate as a file that carries the metadata of `image`."""
    texts = PngInfo()
    for keyword, text in image.info.get("text", {}).items():
        texts.add_itxt(keyword, text)
    if "xmp" in image.info:
        texts.add_itxt("XML:com.adobe.xmp", image.info["xmp"].decode(errors="replace"))
    file = BytesIO()
    candidate.save(
        file,
        "PNG",
        compress_level=1,  # oxipng packs it anew
        pnginfo=texts,
        exif=image.info.get("exif"),
        icc_profile=image.info.get("icc_profile"),
    )
    pixels = image.width * image.height
    level = next((level for limit, level in _LEVELS if pixels <= limit), _LAST_LEVEL)
    return oxipng.optimize_from_memory(file.getvalue(), level=level)
