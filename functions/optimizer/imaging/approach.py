"""Finds the quality at which a measured value meets a goal, with as few measurements as possible."""

from collections.abc import Callable
from math import exp, log, prod
from typing import NamedTuple


class Axis(NamedTuple):
    """A scale for quality on which the measured value grows in a nearly straight line."""

    of: Callable[[float], float]  # from a quality, 1 to 100, to its place on the axis
    quality: Callable[[float], float]  # from a place on the axis to the quality


def _axis(quality: float) -> float:
    return log(quality / (105 - quality))


def _quality(at: float) -> float:
    return min(max(105 / (1 + exp(-at)), 1), 100)


def _quantizer_axis(quality: float) -> float:
    """Return the place of a quality, 1 to 100, on the axis for WebP.

    It follows QualityToCompression of libwebp, which has a kink at 75, to libwebp's quantizer of 0 to 127. On photos,
    the logarithm of bytes is nearest to a straight line over the logarithm of the quantizer plus 20.
    """
    share = quality / 100
    linear = share * 2 / 3 if share < 0.75 else 2 * share - 1
    return -log(20 + 127 * (1 - linear ** (1 / 3)))


def _quantizer_quality(at: float) -> float:
    linear = min(max(1 - (exp(-at) - 20) / 127, 0), 1) ** 3
    return min(max(100 * (linear * 1.5 if linear < 0.5 else (linear + 1) / 2), 1), 100)


COMMON = Axis(_axis, _quality)  # for scores, and for the bytes of JPEG
QUANTIZER = Axis(_quantizer_axis, _quantizer_quality)  # for the bytes of WebP


def _never() -> bool:
    return False


def approach(
    measure: Callable[[float], float],
    goal: float,
    tolerance: float,
    slope: float,
    start: float,
    most: float,
    tries: int,
    axis: Axis = COMMON,
    hurried: Callable[[], bool] = _never,
) -> None:
    """Measure at qualities from 1 to `most` until a value is within the tolerance of the goal, or time is short.

    The measured value grows with the quality, by about `slope` per unit of the axis. The next quality is on the line or
    parabola through the known values nearest to the goal. If that is outside the range that is left, it is on the line
    between the ends of the range, or at the end that was not measured yet. At most `tries` values are measured. Nothing
    is returned: `measure` keeps what it finds.
    """
    low, high, at = (axis.of(quality) for quality in (1, most, min(start, most)))
    known: dict[float, float] = {}  # from the measured value to its place on the axis
    for _ in range(tries):
        value = measure(axis.quality(at))
        if abs(value - goal) <= tolerance or at == (high if value < goal else low) or hurried():
            return
        low, high = (at, high) if value < goal else (low, at)
        known[value] = at
        nearest = sorted(known, key=lambda each: abs(each - goal))[:3]
        if len(nearest) == 1:
            at = min(max(at + (goal - value) / slope, low), high)
            continue
        at = _interpolate({each: known[each] for each in nearest}, goal)
        if not low < at < high:
            below, above = [each for each in known if each < goal], [each for each in known if each >= goal]
            at = high if below else low
            if below and above:
                at = _interpolate({max(below): low, min(above): high}, goal)


def between(known: dict[float, float], goal: float) -> float:
    """Return the value at `goal` on the line between its two neighbours, or the value of its only neighbour."""
    below, above = [each for each in known if each < goal], [each for each in known if each >= goal]
    ends = ([max(below)] if below else []) + ([min(above)] if above else [])
    return _interpolate({each: known[each] for each in ends}, goal)


def _interpolate(known: dict[float, float], goal: float) -> float:
    """Return the value at `goal` of Lagrange's polynomial through the known values."""
    return sum(
        value * prod((goal - other) / (each - other) for other in known if other != each)
        for each, value in known.items()
    )
