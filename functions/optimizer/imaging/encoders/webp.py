"""WebP: lossy, or lossless when asked; stills and animations."""

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

LARGE_PIXELS = 16_000_000  # above it less effort, so that 50 megapixels still end in time
SMALL_PIXELS = 300_000  # below it more: 4 percent of the bytes for milliseconds
MOST_EFFORT = 6


def encode(image: Image, settings: "Settings", method: int | None = None) -> tuple[bytes, float | None]:
    """Encode as every encoder does, a lossy file with another effort than the image's own where one is given."""
    if settings.lossless:
        return _save(image, None), None
    lossy = _save(image, settings.quality, method)
    if is_flat(image) and len(exact := _save(image, None)) <= len(lossy):
        return exact, None
    return lossy, settings.quality


def spares_effort(image: Image) -> bool:
    """Return whether MOST_EFFORT is more than what a lossy file gets, and takes at most twice as long."""
    return _method(image.width * image.height, image.mode.endswith("A"), lossless=False) == MOST_EFFORT - 1


def _save(image: Image, quality: float | None, method: int | None = None) -> bytes:
    """Return the file, lossless where there is no quality."""
    lossless = quality is None
    file = BytesIO()
    image.save(
        file,
        "WEBP",
        lossless=lossless,
        # In lossless mode libwebp reads `quality` as effort; 50 at method 2 is where it stops paying.
        quality=50 if lossless else quality,
        method=_method(image.width * image.height, image.mode.endswith("A"), lossless) if method is None else method,
        **{key: image.info[key] for key in ("exif", "xmp", "icc_profile") if key in image.info},
    )
    return file.getvalue()


def _method(pixels: int, alpha: bool, lossless: bool) -> int:
    """Return libwebp's effort, 0 to 6, for so many pixels.

    Beyond 4 it packs alpha by 4 to 90 times the effort; without alpha 5 takes a tenth longer than 4 for 2 percent.
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
    """Return an animation and its quality, as `encode` does, of `count` frames with the milliseconds that each stays.

    The frames, RGB or RGBA, are taken one by one; the metadata is that of the first. Pillow's own `save_all` would hold
    all of them decoded, hence its encoder without it.
    """
    lossless = settings.lossless
    # The worst that MAX_ANIMATION_PIXELS lets through, 1,000 frames of noise with alpha in all steps,
    # takes 20 s; 40 megapixels of a photo that moves take 4 s.
    quality = 50 if lossless else settings.quality
    method = _method(size[0] * size[1] * count, True, lossless)
    # No key frames, which is libwebp's own default: players start at the first frame, and a picture that mostly stands
    # still takes half the bytes. What else libwebp can try (minimize_size, allow_mixed) saved at most 0.3 percent and
    # took up to ten times as long.
    encoder = _webp.WebPAnimEncoder(size, background, loop, False, 0, 0, False, False)
    begin = 0
    info: dict[Any, Any] | None = None
    for frame, milliseconds in frames:
        info = frame.info if info is None else info
        encoder.add(frame.getim(), begin, lossless, quality, 100, method)
        begin += milliseconds
    encoder.add(None, begin, lossless, quality, 100, 0)  # says when the last one ends
    assert info is not None  # there is a frame
    exif = info.get("exif", b"").removeprefix(b"Exif\0\0")
    data = encoder.assemble(info.get("icc_profile", b""), exif, info.get("xmp", b""))
    return data, None if lossless else settings.quality
