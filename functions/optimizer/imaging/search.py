"""Encodes to reach a goal instead of a given quality: a similarity, a size, or the format with the fewest bytes."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from math import log
from time import monotonic
from typing import NamedTuple

from PIL import Image as pillow
from PIL.Image import Image

from optimizer.imaging.approach import COMMON, QUANTIZER, Axis, approach, between
from optimizer.imaging.encoders import ENCODERS, SMALLEST, png, webp
from optimizer.settings import SIMILARITIES, Settings

TRIALS = 4  # encodes of a mosaic to find a similarity
TRIES = 5  # encodes of the whole image to find a size
COLORS = (2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, png.DITHERED)  # palettes to fit a PNG into a size
COLOR_TRIES = 4  # palettes to try
USED = 0.7  # of a size; if a palette uses less, a larger one is tried even if it is predicted not to fit
# From the start of a job. After that, nothing optional is tried any more. One encode of 50 megapixels may take 5.
SEARCH_SECONDS = 10
SCORE_TOLERANCE = 0.5  # points of SSIMULACRA2; a mosaic does not predict the whole image more exactly
WHOLE_TOLERANCE = 1.5  # points; if the whole image's score is further from the goal, it is encoded once more
SIZE_TOLERANCE = 0.02  # of the requested size; a file may be that much smaller
CLOSE = 1.15  # times the bytes of the best mosaic; up to here a format may still be the smallest for the whole image

HASTE = 0.5  # of a size; the goal when the next palette must fit
SURE = 0.45  # of the slope; used when one encode must fit, since bytes fall more slowly far from the known quality
MORE_EFFORT = 0.03  # of the bytes of a WebP, saved by the most effort at the same quality; measured 2.5 to 5.5 percent

# The slope on photos for one unit of an axis, in points of SSIMULACRA2 and in the logarithm of bytes.
_POINTS = 13
_LOG_BYTES = {"jpeg": (COMMON, 0.7), "webp": (QUANTIZER, 1.4)}


class Encoded(NamedTuple):
    """A file, and what is known about it."""

    data: bytes
    format: str  # a key of ENCODERS
    quality: float | None  # None if every pixel was kept
    similarity: float | None = None  # SSIMULACRA2, if it was measured


class Clock:
    """Times a job and its encodes, so that its search ends in time however long each takes.

    `now` tells the time in seconds; only differences count.
    """

    def __init__(self, now: Callable[[], float] = monotonic) -> None:
        self._now = now
        self._ends = now() + SEARCH_SECONDS
        self._longest = 0.0

    def encode(self, image: Image, settings: Settings, goal: float | None = None) -> Encoded:
        """Do and time what `_encode` does."""
        return self.time(lambda: _encode(image, settings, goal))

    def time(self, encode: Callable[[], Encoded]) -> Encoded:
        """Do and time one encode."""
        begun = self._now()
        encoded = encode()
        self._longest = max(self._longest, self._now() - begun)
        return encoded

    def allows(self, encodes: int) -> bool:
        """Return whether there is time for so many more, the longest so far."""
        return self._now() + encodes * self._longest <= self._ends


def encode(image: Image, settings: Settings, clock: Clock | None = None) -> Encoded:
    """Encode an image of mode L, LA, RGB or RGBA as the settings ask. Find format and quality if they leave that open.

    If both a similarity and a size are given, the result is no better than the similarity and no larger than the size.
    If the size cannot be reached, the result is the smallest file that was made. `clock` is the job's.
    """
    clock = clock or Clock()
    alike = settings.auto_quality in SIMILARITIES
    if not alike and settings.format != SMALLEST:
        return _fit(image, settings, clock) if settings.target_bytes else clock.encode(image, settings)
    view = _View(image)
    goal, found = view.choose(settings)
    close = [choice for size, choice in found if size <= CLOSE * found[0][0]]
    # A PNG that is not close would need a palette that looks worse than the lossy formats at their lowest quality.
    fitting = [choice for _, choice in found if choice in close or choice.format != "png"]
    if settings.target_bytes and not (alike or settings.lossless):
        encoded = _fit_first(image, fitting, clock)
        return encoded._replace(similarity=view.score(encoded.data))
    encoded = clock.encode(image, close[0], goal)
    for choice in close[1:]:
        if clock.allows(2):
            encoded = min(encoded, clock.encode(image, choice, goal), key=_size)
    score = view.score(encoded.data)
    fixed = settings.lossless or encoded.format == "png" or abs(goal - score) <= WHOLE_TOLERANCE
    if encoded.quality is not None and not fixed and clock.allows(2 if settings.target_bytes else 1):
        # Lossy encoders distribute their bytes over a picture. They may treat the whole a little differently from its
        # tiles.
        most = ENCODERS[encoded.format].MAX_QUALITY
        quality = min(COMMON.quality(COMMON.of(encoded.quality) + (goal - score) / _POINTS), most)
        if quality != encoded.quality:
            encoded = clock.encode(image, replace(settings, format=encoded.format, quality=quality))
            score = view.score(encoded.data)
    if settings.target_bytes and _size(encoded) > settings.target_bytes and not settings.lossless:
        first = replace(settings, format=encoded.format, quality=encoded.quality or 100)
        others = [choice for choice in fitting if choice.format != first.format]
        encoded = _fit_first(image, [first, *others], clock, encoded)
        score = view.score(encoded.data)
    return encoded._replace(similarity=score)


def lower(image: Image, settings: Settings, clock: Clock, made: Encoded, target: int) -> Encoded:
    """Return the image encoded again, at a lower quality than `made`, so that it fits into `target` bytes."""
    assert made.quality is not None
    settings = replace(settings, format=made.format, quality=made.quality, target_bytes=target)
    lowered = _fit(image, settings, clock, made)
    return lowered if made.similarity is None else lowered._replace(similarity=_View(image).score(lowered.data))


def _size(encoded: Encoded) -> int:
    return len(encoded.data)


def _fit_first(image: Image, choices: list[Settings], clock: Clock, made: Encoded | None = None) -> Encoded:
    """Return the result of `_fit` for the first of the choices that meets the target, or the smallest if none does."""
    fitted: list[Encoded] = []
    for choice in choices:
        if fitted and not clock.allows(2):
            break
        fitted.append(_fit(image, choice, clock, made))
        if choice.target_bytes and _size(fitted[-1]) <= choice.target_bytes:
            return fitted[-1]
    return min(fitted, key=_size)


def _fit(image: Image, settings: Settings, clock: Clock, known: Encoded | None = None) -> Encoded:
    """Return the best of a few encodes that fit into the target's bytes, or the smallest of them if none fits.

    `known` was made before and does not fit. If it has this format, no higher quality than its own is tried.
    """
    target = settings.target_bytes
    assert target is not None
    made = [known] if known and known.format == settings.format else []
    if settings.lossless or (settings.format == "png" and png.has_few_colors(image)):
        return made[0] if made else clock.encode(image, settings)  # quality changes nothing here
    most = min(settings.quality if known else 100, ENCODERS[settings.format].MAX_QUALITY)

    def measure(quality: float) -> float:
        made.append(clock.encode(image, replace(settings, quality=quality)))
        return log(_size(made[-1]))

    def hurried() -> bool:
        return not clock.allows(2)  # time for one more encode and one that surely fits

    if settings.format == "png":
        _choose_colors(png.Palettes(image), target, most, clock, made, hurried)
    else:
        _home_in(image, settings, measure, made, most, hurried)
    fitting = [each for each in made if _size(each) <= target]
    # Of lossy files, the larger is the better. A lossless one may be smaller and is still better.
    return max(fitting, key=lambda each: (each.quality is None, _size(each))) if fitting else min(made, key=_size)


def _choose_colors(
    palettes: png.Palettes,
    target: int,
    most: float,
    clock: Clock,
    made: list[Encoded],
    hurried: Callable[[], bool],
) -> None:
    """Add PNGs to `made`: one in all colours if it may fit, and palettes, up to the largest one that fits."""

    def encode(colors: int | None) -> int:
        def task() -> Encoded:
            data, quality = palettes.encode(colors)
            return Encoded(data, "png", quality)

        made.append(clock.time(task))
        return _size(made[-1])

    exact = not made and most >= 100  # whether all colours must still be tried
    if exact and palettes.expected(None) <= target:
        exact = False
        if encode(None) <= target:
            return
    exceeds = len(COLORS) if palettes.dithers() else len(COLORS) - 1  # the lowest place in COLORS that does not fit
    errors: dict[float, float] = {}  # by place: the logarithm of a file's bytes over the predicted bytes
    if made and (count := png.colors_of(made[0].data)):
        place = bisect_left(COLORS, count)
        exceeds = min(exceeds, place + (count == png.PALETTE_COLORS))  # a palette of 256 may be dithered
        errors[place] = log(_size(made[0]) / palettes.expected(COLORS[place]))
    elif most < 100:
        exceeds = max(1, bisect_right(range(exceeds), most, key=lambda at: palettes.quality(COLORS[at])))

    def told(at: int) -> float:
        return log(palettes.expected(COLORS[at]))

    _narrow(lambda at: log(encode(COLORS[at])), told, errors, log(target), exceeds, hurried)
    if exact and not hurried() and palettes.may_fit(target):
        encode(None)


def _narrow(
    measure: Callable[[int], float],
    told: Callable[[int], float],
    errors: dict[float, float],
    target: float,
    exceeds: int,
    hurried: Callable[[], bool],
) -> None:
    """Find the highest place below `exceeds` whose value is within the target, with at most COLOR_TRIES measurements.

    `told` predicts the value at a place. `errors` are the differences to the values that were measured before. All are
    logarithms of bytes, which grow with the place.
    """

    def predicted(at: int) -> float:
        return told(at) + (between(errors, at) if errors else 0)

    fits, left_over = -1, 0.0
    for left in reversed(range(COLOR_TRIES)):
        hurry = hurried()
        if exceeds - fits == 1 or (hurry and fits >= 0):
            return
        careful = hurry or (left == 1 and fits < 0)
        at = bisect_right(range(exceeds), target + careful * log(HASTE), max(fits, 0), key=predicted) - 1
        if fits < 0:
            at = max(at, 0) if left and (errors or not hurry) else 0
        elif at <= fits:
            if left_over <= -log(USED):
                return
            at = (fits + exceeds) // 2
        value = measure(at)
        errors[at] = value - told(at)
        if value <= target:
            fits, left_over = at, target - value
        else:
            exceeds = at
        if hurry:
            return


def _home_in(
    image: Image,
    settings: Settings,
    measure: Callable[[float], float],
    made: list[Encoded],
    most: float,
    hurried: Callable[[], bool],
) -> None:
    """Add lossy encodes to `made` until one is close to the target, or until one fits if time is short."""
    target = settings.target_bytes or 0
    aim = log(target * (1 - SIZE_TOLERANCE / 2))
    axis, slope = _LOG_BYTES[settings.format]
    harder = settings.format == "webp" and webp.spares_effort(image)
    tries = TRIES - harder
    start = min(80, most)
    if made:
        start = axis.quality(_at(axis, made[0]) + (aim - log(_size(made[0]))) / slope)
        if made[0].quality == 1:
            return
    if not (made and hurried()):
        approach(measure, aim, SIZE_TOLERANCE / 2, slope, start, most, tries, axis, hurried)
    sizes = {log(_size(each)): axis.of(each.quality) for each in made if each.quality is not None}
    if hurried():
        least = min(made, key=_size)
        if _size(least) > target and (least.quality is None or least.quality > 1.01):
            if len(sizes) > 1:
                slope = min(slope, (max(sizes) - min(sizes)) / max(sizes[max(sizes)] - sizes[min(sizes)], 0.01))
            measure(axis.quality(_at(axis, least) + (aim - SIZE_TOLERANCE - log(_size(least))) / (SURE * slope)))
    elif harder and sizes and len(made) >= tries and min(abs(size - aim) for size in sizes) > SIZE_TOLERANCE / 2:
        # The bytes of WebP change in steps, which may skip the target. With more effort the steps are elsewhere.
        quality = axis.quality(between(sizes, aim + MORE_EFFORT))
        data, used = webp.encode(image, replace(settings, quality=quality), webp.MOST_EFFORT)
        made.append(Encoded(data, "webp", used))


def _at(axis: Axis, encoded: Encoded) -> float:
    """Return a file's place on the axis. For a lossless file it is that of quality 80."""
    return axis.of(80 if encoded.quality is None else encoded.quality)


def _encode(image: Image, settings: Settings, goal: float | None = None) -> Encoded:
    """Encode once. If there is a score to reach, a PNG is asked for the score, since its quality is not continuous."""
    if settings.format == "png" and goal is not None:
        data, quality = png.encode(image, settings, goal - SCORE_TOLERANCE)
    else:
        data, quality = ENCODERS[settings.format].encode(image, settings)
    return Encoded(data, settings.format, quality)


class _View:
    """A mosaic that represents an image while qualities and formats are compared. Its cost is limited."""

    def __init__(self, image: Image) -> None:
        from optimizer.imaging.perception import Mosaic, Reference

        self._image = image
        self._mosaic = Mosaic(image)
        self._tiles = self._mosaic.of(image)
        self._reference = Reference(self._tiles)

    def score(self, data: bytes) -> float:
        """Return the similarity (SSIMULACRA2) of a file of the whole image, predicted from its mosaic."""
        return round(self._mosaic.predict(self._reference.score(self._mosaic.of(_decoded(data)))), 1)

    def choose(self, settings: Settings) -> tuple[float, list[tuple[int, Settings]]]:
        """Return the score to reach, and for each format the mosaic's bytes and the settings that reach the score.

        The format with the fewest bytes comes first. Without an `auto_quality`, the score is the one that the quality
        gives in the first format that can hold the image.
        """
        formats = self._holding(settings) if settings.format == SMALLEST else [settings.format]
        goal = float(SIMILARITIES.get(settings.auto_quality) or self._try(replace(settings, format=formats[0]))[1])
        found = (self._reach(goal, replace(settings, format=each)) for each in formats)
        return goal, sorted(found, key=lambda each: each[0])

    def _holding(self, settings: Settings) -> list[str]:
        """Return the formats that can hold the image's size and transparency, and every pixel if lossless is set."""
        transparent, side = self._image.mode.endswith("A"), max(self._image.size)
        able = {
            name: side <= each.MAX_SIDE
            and (each.SUPPORTS_ALPHA or not transparent)
            and (each.LOSSLESS or not settings.lossless)
            for name, each in ENCODERS.items()
        }
        return [name for name in ("jpeg", "webp", "png") if able[name]]

    def _reach(self, goal: float, settings: Settings) -> tuple[int, Settings]:
        """Return the mosaic's bytes at the lowest quality that reaches the score, and the settings with it."""
        if settings.format == "png":
            settings = replace(settings, quality=png.quality_for(goal))
        if settings.format == "png" or settings.lossless:
            return self._try(settings, goal)[0], settings
        tried: dict[float, tuple[int, float]] = {}

        def measure(quality: float) -> float:
            tried[quality] = self._try(replace(settings, quality=quality))
            return tried[quality][1]

        approach(measure, goal, SCORE_TOLERANCE, _POINTS, 84, ENCODERS[settings.format].MAX_QUALITY, TRIALS)
        reaching = [quality for quality, (_, score) in tried.items() if score >= goal - SCORE_TOLERANCE]
        best = (
            min(reaching, key=lambda each: tried[each][0]) if reaching else max(tried, key=lambda each: tried[each][1])
        )
        return tried[best][0], replace(settings, quality=best)

    def _try(self, settings: Settings, goal: float | None = None) -> tuple[int, float]:
        """Return the bytes and the score of the mosaic with these settings."""
        data = _encode(self._tiles, settings, goal).data
        return len(data), self._mosaic.predict(self._reference.score(_decoded(data)))


def _decoded(data: bytes) -> Image:
    """Return the pixels of a file that we encoded, in a mode that `perception` takes."""
    image = pillow.open(BytesIO(data))
    if image.mode == "P":
        return image.convert("RGBA" if image.has_transparency_data else "RGB")
    image.load()
    return image
