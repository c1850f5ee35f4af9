"""WebP: lossy, or lossless if asked or if that is smaller; stills and animations."""

from collections.abc import Iterable
from io import BytesIO
from typing import TYPE_CHECKING, Any

from PIL import _webp
from PIL.Image import Image

from optimizer.imaging.content import is_flat

if TYPE_CHECKING:
    from optimizer.settings import Settings

TITLE = "WebP"
MEDIA_TYPE = "image/webp"
EXTENSION = "webp"
SUPPORTS_ALPHA = True
LOSSLESS = True
MAX_QUALITY = 100
MAX_SIDE = 16_383  # WEBP_MAX_DIMENSION of libwebp

LARGE_PIXELS = 16_000_000  # above it with less effort, so that 50 megapixels still end in time
SMALL_PIXELS = 300_000  # below it with more effort, which saves 4 percent of the bytes for milliseconds
MOST_EFFORT = 6


def encode(image: Image, settings: "Settings", method: int | None = None) -> tuple[bytes, float | None]:
    """As `Encoder.encode`. A given `method`, 0 to 6, replaces the effort that fits the image, for a lossy file."""
    if settings.lossless:
        return _save(image, None), None
    lossy = _save(image, settings.quality, method)
    if is_flat(image) and len(exact := _save(image, None)) <= len(lossy):
        return exact, None
    return lossy, settings.quality


def spares_effort(image: Image) -> bool:
    """Return whether a lossy file gets less than MOST_EFFORT, and MOST_EFFORT takes at most twice as long."""
    return _method(image.width * image.height, image.mode.endswith("A"), lossless=False) == MOST_EFFORT - 1


def _save(image: Image, quality: float | None, method: int | None = None) -> bytes:
    """Return the file, which is lossless if the quality is None."""
    lossless = quality is None
    file = BytesIO()
    image.save(
        file,
        "WEBP",
        lossless=lossless,
        # In lossless mode libwebp treats `quality` as effort. More than 50 at method 2 does not pay off.
        quality=50 if lossless else quality,
        method=_method(image.width * image.height, image.mode.endswith("A"), lossless) if method is None else method,
        **{key: image.info[key] for key in ("exif", "xmp", "icc_profile") if key in image.info},
    )
    return file.getvalue()


def _method(pixels: int, alpha: bool, lossless: bool) -> int:
    """Return libwebp's effort, 0 to 6, for so many pixels.

    Above 4 it packs alpha with 4 to 90 times the effort. Without alpha, 5 takes a tenth longer than 4 and saves 2
    percent of the bytes.
    """
    if pixels > LARGE_PIXELS:
        return 0 if lossless else 2
    if lossless:
        return 2
    if alpha:
        return 4
    return MOST_EFFORT if pixels < SMALL_PIXELS else MOST_EFFORT - 1


def encode_animation(
    frames: Iterable[tuple[Image, int]],
    size: tuple[int, int],
    count: int,
    background: int,
    loop: int,
    settings: "Settings",
) -> tuple[bytes, float | None]:
    """Return an animation of `count` frames and its quality, as `encode` does. Each frame comes with its milliseconds.

    The frames, RGB or RGBA of this size, are taken one by one. The metadata is that of the first. `background` (BGRA,
    lowest byte first) and `loop` (0 is for ever) are as `read_webp_animation` returns them. Pillow's own `save_all`
    would hold all frames decoded, so its encoder is called directly.
    """
    lossless = settings.lossless
    # The worst case within MAX_ANIMATION_PIXELS is 1,000 frames of noise with alpha in all steps: 20 s.
    # 40 megapixels of a photo that moves take 4 s.
    quality = 50 if lossless else settings.quality
    method = _method(size[0] * size[1] * count, True, lossless)
    # No key frames, as is libwebp's own default. Players start at the first frame anyway, and a picture that mostly
    # stands still takes half the bytes. The other options of libwebp (minimize_size, allow_mixed) saved at most 0.3
    # percent and took up to ten times as long.
    encoder = _webp.WebPAnimEncoder(size, background, loop, False, 0, 0, False, False)
    begin = 0
    info: dict[Any, Any] | None = None
    for frame, milliseconds in frames:
        info = frame.info if info is None else info
        encoder.add(frame.getim(), begin, lossless, quality, 100, method)
        begin += milliseconds
    encoder.add(None, begin, lossless, quality, 100, 0)  # tells when the last frame ends
    assert info is not None  # there is at least one frame
    exif = info.get("exif", b"").removeprefix(b"Exif\0\0")
    data = encoder.assemble(info.get("icc_profile", b""), exif, info.get("xmp", b""))
    return data, None if lossless else settings.quality
