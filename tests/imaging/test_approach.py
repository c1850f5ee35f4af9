"""The way to a goal: how short it is, where it stays, and that it arrives."""

from collections.abc import Callable
from math import exp, log

import pytest

from optimizer.imaging.approach import COMMON, QUANTIZER, approach

CURVES: dict[str, Callable[[float], float]] = {
    "as expected": lambda quality: 13 * COMMON.of(quality),
    "flatter": lambda quality: COMMON.of(quality) / 5,
    "steeper": lambda quality: 200 * COMMON.of(quality),
    "linear in quality": float,
    "bent": lambda quality: exp(quality / 12),
    "bent the other way": log,
    "steps": lambda quality: quality // 20 * 10,
    "one step": lambda quality: 50.0 * (quality > 63),
    "constant": lambda _: 42.0,
    "half as steep": lambda quality: 6.5 * COMMON.of(quality),
    "a little bent": lambda quality: 13 * COMMON.of(quality) - COMMON.of(quality) ** 2,
    "falling": lambda quality: -quality,
    "rough": lambda quality: quality + 7 * (round(quality * 7) % 3),
}
GOALS = [-1e6, -50, 0, 1, 20, 42, 49.9, 77, 1e6]


@pytest.mark.parametrize("most", [100, 95, 84, 37.5, 1])
@pytest.mark.parametrize("goal", GOALS)
@pytest.mark.parametrize("curve", CURVES)
def test_the_way_to_any_goal_is_short_and_stays_in_its_bounds(curve: str, goal: float, most: float) -> None:
    asked: list[float] = []

    def measure(quality: float) -> float:
        asked.append(quality)
        return CURVES[curve](quality)

    approach(measure, goal, 0.5, 13, min(84, most), most, 5)

    assert 1 <= len(asked) <= 5
    assert all(1 - 1e-9 <= quality <= most + 1e-9 for quality in asked)
    assert len(set(asked)) == len(asked)


@pytest.mark.parametrize("tries", [1, 2, 3, 4, 5])
def test_the_way_ends_after_so_many_tries(tries: int) -> None:
    asked: list[float] = []

    approach(lambda quality: asked.append(quality) or quality // 30, 1.5, 0, 13, 84, 100, tries)  # type: ignore[func-returns-value]

    assert len(asked) == tries


@pytest.mark.parametrize("curve", ["as expected", "half as steep", "a little bent"])
@pytest.mark.parametrize("share", [0.05, 0.2, 0.4, 0.6, 0.8, 0.95])
def test_a_goal_on_a_smooth_curve_is_reached(share: float, curve: str) -> None:
    measured: list[float] = []
    goal = CURVES[curve](1 + 99 * share)
    tolerance = abs(CURVES[curve](100) - CURVES[curve](1)) / 100

    def measure(quality: float) -> float:
        measured.append(CURVES[curve](quality))
        return measured[-1]

    approach(measure, goal, tolerance, 13, 84, 100, 5)

    assert min(abs(each - goal) for each in measured) <= tolerance


@pytest.mark.parametrize(("goal", "end"), [(-1e6, 1), (1e6, 90)])
def test_beyond_both_ends_the_end_is_tried_and_then_no_more(goal: float, end: float) -> None:
    asked: list[float] = []

    def measure(quality: float) -> float:
        asked.append(quality)
        return quality

    approach(measure, goal, 0.5, 13, 84, 90, 5)

    assert asked[-1] == pytest.approx(end)
    assert len(asked) == 2


def test_the_axis_of_webp_gives_every_quality_back() -> None:
    for quality in (1, 10, 50, 74.9, 75, 75.1, 90, 100):
        assert QUANTIZER.quality(QUANTIZER.of(quality)) == pytest.approx(quality)
