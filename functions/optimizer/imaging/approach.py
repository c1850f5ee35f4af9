"""Finds the quality at which what is measured meets a goal, by as few measures as that takes."""

from collections.abc import Callable
from math import exp, log, prod
from typing import NamedTuple


class Axis(NamedTuple):
    """A measure of quality on which what is measured grows in a nearly straight line."""

    of: Callable[[float], float]  # a quality
    quality: Callable[[float], float]  # at a place on the axis


def _axis(quality: float) -> float:
    return log(quality / (105 - quality))


def _quality(at: float) -> float:
    return min(max(105 / (1 + exp(-at)), 1), 100)


def _quantizer_axis(quality: float) -> float:
    """Follow QualityToCompression of libwebp, which has a kink at 75, to its quantizer of 0 to 127.

    The logarithm of bytes is nearest to straight over that of the quantizer and 20 more (on photos).
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
    """Measure at qualities from 1 to `most` until one is as near to the goal as the tolerance says, or time is short.

    What is measured grows with the quality, by about `slope` for each unit of the axis. The next quality is on the line
    or parabola through the nearest that are known; where that leads out of what is left, on the line between its ends,
    or at the far one.
    """
    low, high, at = (axis.of(quality) for quality in (1, most, min(start, most)))
    known: dict[float, float] = {}  # where on the axis by what was measured there
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
    """Return the value at `goal` on the line between its neighbours; that of the nearest where it has but one."""
    below, above = [each for each in known if each < goal], [each for each in known if each >= goal]
    ends = ([max(below)] if below else []) + ([min(above)] if above else [])
    return _interpolate({each: known[each] for each in ends}, goal)


def _interpolate(known: dict[float, float], goal: float) -> float:
    """Return the value at `goal` of Lagrange's polynomial through the known values."""
    return sum(
        value * prod((goal - other) / (each - other) for other in known if other != each)
        for each, value in known.items()
    )
