"""The order of the steps, and the whole way from the bytes of a source to those of a result."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import ceil, prod
from typing import Any, NamedTuple

from PIL.Image import Image

from optimizer.imaging import search, steps
from optimizer.imaging.containers import read_webp_animation, strip_losslessly
from optimizer.imaging.decode import Source, open_source, read_info
from optimizer.imaging.encoders import ENCODERS, ORIGINAL, SMALLEST, webp
from optimizer.imaging.metadata import kinds, orientation
from optimizer.imaging.resample import Area
from optimizer.limits import MAX_ANIMATION_PIXELS, MAX_PIXELS
from optimizer.problems import ResultTooLarge, TooManyPixels
from optimizer.settings import SIMILARITIES, Settings
from optimizer.telemetry import lap

PIPELINE: tuple[steps.Step, ...] = (
    steps.orient,  # first: width and height mean those of the upright picture
    steps.normalize_mode,  # no filter and no profile works on palettes, 1 bit or 16 bits
    steps.convert_cmyk,  # before to_srgb: its profile describes inks, not RGB
    steps.to_srgb,  # before anything computes with colours
    steps.resize,  # early: each later step costs time per pixel
    steps.tone,
    steps.sharpen,  # after resize: its radius is in pixels of the result
    steps.flatten,  # after the tone steps: they must not change the background colour
    steps.strip_metadata,  # last: nothing after it may add to image.info
)

# If only these steps did something, the source's own encoding still shows the picture and can be kept.
SAME_PIXELS = frozenset([steps.normalize_mode, steps.strip_metadata])
# These steps only store the same picture in another way. All other steps change how it looks.
SAME_LOOK = SAME_PIXELS | {steps.orient, steps.convert_cmyk, steps.to_srgb}


class Warning(NamedTuple):
    """Something that happened to the picture and that the user would not notice otherwise."""

    code: str
    detail: str


ANIMATION_REDUCED = Warning("animation_reduced", "Only the first frame of the animation was kept.")
QUALITY_LOWERED = Warning("quality_lowered", "The quality was lowered: turned or converted, the file would have grown.")
NO_SEARCH = Warning("no_search", "Pinch does not search for the quality of an animation. It used the one you set.")
DEPTH_REDUCED = Warning("depth_reduced", "16 bits a channel were reduced to 8.")
STEP_WARNINGS: dict[steps.Step, Warning] = {
    steps.convert_cmyk: Warning("cmyk_converted", "CMYK inks were converted to sRGB; colours may shift a little."),
    steps.to_srgb: Warning("profile_converted", "The colours were converted from their own profile to sRGB."),
    steps.flatten: Warning("alpha_flattened", "Transparent areas were filled with the background colour."),
}  # fmt: skip


@dataclass(frozen=True)
class Result:
    """An optimized image, and what the client is told about it."""

    data: bytes
    format: str  # a key of ENCODERS
    width: int  # pixels, as stored
    height: int
    quality: int | None  # what the encoder worked with; None if every pixel was kept
    similarity: float | None  # SSIMULACRA2; None if it was not measured
    target_reached: bool | None  # None if no size was asked for
    kept_original: bool
    metadata_removed: list[str]
    warnings: list[Warning]
    source: Source

    def record(self) -> dict[str, Any]:
        """Return what the API answers about the image, as JSON can hold it."""
        source = self.source
        return {
            "format": self.format,
            "media_type": ENCODERS[self.format].MEDIA_TYPE,
            "width": self.width,
            "height": self.height,
            "bytes": len(self.data),
            "source": {
                "format": source.format,
                "media_type": ENCODERS[source.format].MEDIA_TYPE,
                "width": source.width,
                "height": source.height,
                "bytes": len(source.data),
            },
            "saved_percent": round(100 - 100 * len(self.data) / len(source.data), 1),
            "quality": self.quality,
            "similarity": self.similarity,
            "kept_original": self.kept_original,
            "metadata_removed": self.metadata_removed,
            "warnings": [warning._asdict() for warning in self.warnings],
            **({} if self.target_reached is None else {"target_reached": self.target_reached}),
        }


def optimize(data: bytes, settings: Settings) -> Result:
    """Decode the source, run the steps, encode, and return the result.

    Raises a Problem if the source is refused (see `open_source`), if it cannot be decoded, or if the settings would
    make a result that is too large.
    """
    clock = search.Clock()
    source = open_source(data)
    moving = source.format == "webp" and source.frames > 1  # no other format of ours can hold an animation
    if settings.format == ORIGINAL or (settings.format == SMALLEST and moving):
        settings = replace(settings, format=source.format)
    size = _checked_size(source, settings)
    if _stays_animated(source, settings):
        return _optimize_animation(source, size, settings)
    turned = _upright_size(source, settings) != (source.width, source.height)
    divisor = source.divisor_for(size[::-1] if turned else size, settings.format)
    image = source.load(divisor or 1)
    area = _decoded_area(source, settings, image, divisor) if divisor else None
    lap("decode")
    had = kinds(image.info)
    warnings = _source_warnings(source)
    done: set[steps.Step] = set() if size == _upright_size(source, settings) else {steps.resize}
    for step in PIPELINE:
        bound = steps.resize_to(size, area) if step is steps.resize else step
        before, image = image, bound(image, settings)
        if image is not before:
            done.add(step)
            warnings += [STEP_WARNINGS[step]] if step in STEP_WARNINGS else []
    lap("steps")

    encoded = search.encode(image, settings, clock)
    kept = None
    if len(encoded.data) >= len(data) and settings.format in (source.format, SMALLEST) and done <= SAME_LOOK:
        kept = _keep_original(source, settings) if done <= SAME_PIXELS else None
        if kept is None and encoded.quality is not None and not settings.lossless:
            asked = encoded.quality
            encoded = search.lower(image, settings, clock, encoded, len(data) - 1)
            warnings += (
                [QUALITY_LOWERED] if encoded.quality is not None and round(encoded.quality) < round(asked) else []
            )
    if kept is not None:
        similarity = None if encoded.similarity is None else 100.0
        encoded, warnings = search.Encoded(kept, source.format, None, similarity), []
    left = had if kept == data else kinds(read_info(encoded.data, encoded.format))
    lap("encode")
    return Result(
        data=encoded.data,
        format=encoded.format,
        width=size[0],
        height=size[1],
        quality=None if encoded.quality is None else round(encoded.quality),
        similarity=encoded.similarity,
        target_reached=_target_reached(encoded.data, settings),
        kept_original=kept is not None,
        metadata_removed=[kind for kind in had if kind not in left],
        warnings=warnings,
        source=source,
    )


def _target_reached(data: bytes, settings: Settings) -> bool | None:
    return None if settings.target_bytes is None else len(data) <= settings.target_bytes


def _stays_animated(source: Source, settings: Settings) -> bool:
    return source.frames > 1 and source.format == settings.format == "webp"


def _optimize_animation(source: Source, size: tuple[int, int], settings: Settings) -> Result:
    """Do what `optimize` does with each frame of an animation. It takes one frame at a time: all of them decoded would
    fill the memory.

    The quality is never lowered, because each try would encode all frames again. The function's 28 seconds may not be
    enough for that.
    """
    done: set[steps.Step] = set()
    pipeline = [steps.steady_tone() if step is steps.tone else step for step in PIPELINE]

    def frames() -> Iterator[tuple[Image, int]]:
        for frame, milliseconds in source.load_frames():
            image = frame
            for step in pipeline:
                before, image = image, step(image, settings)
                if image is not before:
                    done.add(step)
            yield image, milliseconds

    background, loop = read_webp_animation(source.data)
    encoded, quality = webp.encode_animation(frames(), size, source.frames, background, loop, settings)
    kept = None
    if len(encoded) >= len(source.data) and done <= SAME_PIXELS:
        kept = _keep_original(source, settings)
    warnings = [STEP_WARNINGS[step] for step in PIPELINE if step in done and step in STEP_WARNINGS]
    if kept is not None:
        encoded, quality = kept, None
    elif settings.auto_quality in SIMILARITIES or settings.target_bytes:
        warnings.append(NO_SEARCH)
    had = kinds(source.info)
    left = had if kept == source.data else kinds(read_info(encoded, settings.format))
    lap("frames")
    return Result(
        data=encoded,
        format=settings.format,
        width=size[0],
        height=size[1],
        quality=None if quality is None else round(quality),
        similarity=None,
        target_reached=_target_reached(encoded, settings),
        kept_original=kept is not None,
        metadata_removed=[kind for kind in had if kind not in left],
        warnings=warnings,
        source=source,
    )


def _upright_size(source: Source, settings: Settings) -> tuple[int, int]:
    """Return the width and height that the source has after `orient`."""
    turned = settings.auto_orient and orientation(source.info) >= 5
    return (source.height, source.width) if turned else (source.width, source.height)


def _decoded_area(source: Source, settings: Settings, image: Image, divisor: int) -> Area:
    """Return the area, in pixels, of the picture within a JPEG that was decoded smaller, after `orient`.

    The decoded size is rounded up to whole pixels, so it is larger than the picture. Resizing all of it would shift the
    picture by up to 7/8 of a pixel, which costs up to 25 points of similarity.
    """
    if image.size == (source.width, source.height):  # not decoded smaller, whatever was asked for
        divisor = 1
    width, height = (side / divisor for side in _upright_size(source, settings))
    origin = orientation(source.info) if settings.auto_orient else 1  # the corner where the stored rows begin
    left = ceil(width) - width if origin in (2, 3, 6, 7) else 0
    top = ceil(height) - height if origin in (3, 4, 7, 8) else 0
    return left, top, left + width, top + height


def _checked_size(source: Source, settings: Settings) -> tuple[int, int]:
    """Return the width and height of the result in pixels, before anything is decoded.

    Raises TooManyPixels if an animation has too many pixels, and ResultTooLarge if the result would have.
    """
    frames, limit, of_all = 1, MAX_PIXELS, ""
    if _stays_animated(source, settings):
        frames, limit, of_all = source.frames, MAX_ANIMATION_PIXELS, " for all frames together"
        if frames * source.width * source.height > limit:
            raise TooManyPixels(
                f"The limit is {limit // 10**6} megapixels{of_all}. Send a shorter or smaller animation, "
                "or choose JPEG or PNG to get its first frame."
            )
    size = _upright_size(source, settings)
    width, height = steps.target_size(size, settings)
    encoder = ENCODERS["png" if settings.format == SMALLEST else settings.format]  # PNG holds any size
    if max(width, height) > encoder.MAX_SIDE:
        raise ResultTooLarge(
            f"The result would be {width} x {height} pixels, but {encoder.TITLE} allows {encoder.MAX_SIDE} a side. "
            "Choose a smaller size or another format."
        )
    if frames * width * height > limit:
        smaller = (replace(settings, resize_percent=percent) for percent in range(settings.resize_percent, 9, -1))
        largest = next(each.resize_percent for each in smaller if frames * prod(steps.target_size(size, each)) <= limit)
        detail = f"Resize to {largest} percent at most: the limit is {limit // 10**6} megapixels{of_all}."
        raise ResultTooLarge(detail, [{"field": "resize_percent", "detail": detail}])
    return width, height


def _source_warnings(source: Source) -> list[Warning]:
    animated = [ANIMATION_REDUCED] if source.frames > 1 else []
    return animated + ([DEPTH_REDUCED] if source.bits > 8 else [])


def _keep_original(source: Source, settings: Settings) -> bytes | None:
    """Return the source's own encoding, stripped if asked; None if stripping would change the picture's orientation."""
    if not settings.strip_metadata:
        return source.data
    if orientation(source.info) != 1:
        return None
    return strip_losslessly(source.data, source.format)
