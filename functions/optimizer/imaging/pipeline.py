"""The order of the steps, and the whole way from a source's bytes to a result's."""

from dataclasses import dataclass, replace
from math import prod
from typing import NamedTuple

from PIL.Image import Image

from optimizer.imaging import steps
from optimizer.imaging.containers import strip_losslessly
from optimizer.imaging.decode import Source, open_source, read_info
from optimizer.imaging.encoders import ENCODERS, ORIGINAL
from optimizer.imaging.metadata import kinds, orientation
from optimizer.limits import MAX_PIXELS
from optimizer.problems import ResultTooLarge
from optimizer.settings import Settings
from optimizer.telemetry import lap

PIPELINE: tuple[steps.Step, ...] = (
    steps.orient,  # first: width and height mean those of the upright picture
    steps.normalize_mode,  # palettes, 1 and 16 bits: no filter and no profile works on them
    steps.convert_cmyk,  # before to_srgb: its profile describes inks, not RGB
    steps.to_srgb,  # before anything computes with colours
    steps.resize,  # early: what follows costs by the pixel
    steps.brightness,
    steps.contrast,  # after brightness: it turns about the mean of what is seen
    steps.sharpen,  # after resize: its radius is in pixels of the result
    steps.flatten,  # after the tone steps: the background keeps the colour that was asked for
    steps.strip_metadata,  # last: nothing after it may add to image.info
)

# Steps after which the source's own encoding still shows the picture, so that it can be kept,
SAME_PIXELS = frozenset([steps.normalize_mode, steps.strip_metadata])
# and steps that store the same picture in another way. Any other changes how it looks.
SAME_LOOK = SAME_PIXELS | {steps.orient, steps.convert_cmyk, steps.to_srgb}


class Warning(NamedTuple):
    """Something that happened to the picture and would otherwise be silent."""

    code: str
    detail: str


ANIMATION_REDUCED = Warning("animation_reduced", "Only the first frame of the animation was kept.")
QUALITY_LOWERED = Warning("quality_lowered", "Less quality was used: turned or converted, the file would have grown.")
DEPTH_REDUCED = Warning("depth_reduced", "16 bits a channel were reduced to 8.")
STEP_WARNINGS: dict[steps.Step, Warning] = {
    steps.convert_cmyk: Warning("cmyk_converted", "CMYK inks were converted to sRGB; colours may shift a little."),
    steps.to_srgb: Warning("profile_converted", "The colours were converted from their own profile to sRGB."),
    steps.flatten: Warning("alpha_flattened", "Transparency was laid on the background colour."),
}  # fmt: skip


@dataclass(frozen=True)
class Result:
    """An optimized image and what the client is told of it."""

    data: bytes
    format: str  # a key of ENCODERS
    width: int  # pixels, as stored
    height: int
    quality: int | None  # what the encoder worked with; None when every pixel was kept
    kept_original: bool
    metadata_removed: list[str]
    warnings: list[Warning]
    source: Source


def optimize(data: bytes, settings: Settings) -> Result:
    """Decode the source, run the steps, encode, and return the result.

    Raises a Problem when the source is refused or when the settings would make a result that is too large.
    """
    source = open_source(data)
    if settings.format == ORIGINAL:
        settings = replace(settings, format=source.format)
    _check_size(source, settings)
    image = source.load()
    lap("decode")
    had = kinds(image.info)
    warnings = _source_warnings(source)
    done: set[steps.Step] = set()
    for step in PIPELINE:
        before, image = image, step(image, settings)
        if image is not before:
            done.add(step)
            warnings += [STEP_WARNINGS[step]] if step in STEP_WARNINGS else []
    lap("steps")

    encoded, quality = ENCODERS[settings.format].encode(image, settings)
    kept = None
    if len(encoded) >= len(data) and settings.format == source.format and done <= SAME_LOOK:
        kept = _keep_original(source, settings) if done <= SAME_PIXELS else None
        if kept is None:
            asked = quality
            encoded, quality = _lower_quality(image, settings, encoded, quality, len(data))
            warnings += [QUALITY_LOWERED] if quality != asked else []
    if kept is not None:
        encoded, quality, warnings = kept, None, []
    left = had if kept == data else kinds(read_info(encoded, settings.format))
    lap("encode")
    return Result(
        data=encoded,
        format=settings.format,
        width=image.width,
        height=image.height,
        quality=quality,
        kept_original=kept is not None,
        metadata_removed=[kind for kind in had if kind not in left],
        warnings=warnings,
        source=source,
    )


def _check_size(source: Source, settings: Settings) -> None:
    """Raise ResultTooLarge when the result would be, before anything is decoded."""
    size = (source.width, source.height)
    if settings.auto_orient and orientation(source.info) >= 5:
        size = (source.height, source.width)
    width, height = steps.target_size(size, settings)
    encoder = ENCODERS[settings.format]
    if max(width, height) > encoder.MAX_SIDE:
        raise ResultTooLarge(
            f"The result would be {width} x {height} pixels, and {encoder.TITLE} holds {encoder.MAX_SIDE} a side. "
            "Choose a smaller size or another format."
        )
    if width * height > MAX_PIXELS:
        smaller = (replace(settings, resize_percent=percent) for percent in range(settings.resize_percent, 9, -1))
        largest = next(each.resize_percent for each in smaller if prod(steps.target_size(size, each)) <= MAX_PIXELS)
        detail = f"Resize to {largest} percent at the most: the limit is {MAX_PIXELS // 10**6} megapixels."
        raise ResultTooLarge(detail, [{"field": "resize_percent", "detail": detail}])


def _source_warnings(source: Source) -> list[Warning]:
    animated = [ANIMATION_REDUCED] if source.frames > 1 else []
    return animated + ([DEPTH_REDUCED] if source.bits > 8 else [])


def _keep_original(source: Source, settings: Settings) -> bytes | None:
    """Return the source's own encoding, stripped if asked; None when stripping would turn the picture."""
    if not settings.strip_metadata:
        return source.data
    if orientation(source.info) != 1:
        return None
    return strip_losslessly(source.data, source.format)


def _lower_quality(
    image: Image, settings: Settings, encoded: bytes, quality: int | None, limit: int
) -> tuple[bytes, int | None]:
    """Encode again with less quality until the file is smaller than `limit` bytes, five times at the most.

    A source of lower quality than asked for would otherwise grow only because its pixels were turned or converted;
    about at its own quality it does not.
    """
    if quality is None or settings.lossless:
        return encoded, quality
    for percent in (90, 70, 50, 25, 10):
        if len(encoded) < limit:
            break
        lower = replace(settings, quality=max(1, settings.quality * percent // 100))
        encoded, quality = ENCODERS[settings.format].encode(image, lower)
    return encoded, quality
