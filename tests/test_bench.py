"""What `make bench` computes of its measurements; the measurements themselves are made by running it."""

from pathlib import Path

import pytest
from PIL import Image

from tests.bench.codecs import Curve, Point, ratios
from tests.bench.pictures import Picture
from tests.bench.report import BARS, Bar, Table, bars_table, spread
from tests.images import photo


def curve(*points: tuple[int, int, float], exact: int | None = None) -> Curve:
    """Return a curve of (quality, bytes, score), with a file of so many bytes that keeps every pixel."""
    lossy = [Point(quality, size, score) for quality, size, score in points]
    return Curve(lossy + ([] if exact is None else [Point(100, exact, 100)]))


def test_bytes_at_a_score_are_interpolated_on_a_logarithmic_scale() -> None:
    assert curve((50, 1_000, 60), (90, 4_000, 80)).bytes_at(70) == pytest.approx(2_000)


@pytest.mark.parametrize("score", [59, 81])
def test_bytes_are_never_extrapolated(score: float) -> None:
    assert curve((50, 1_000, 60), (90, 4_000, 80)).bytes_at(score) is None


def test_an_exact_result_reaches_every_score() -> None:
    assert curve((50, 1_000, 60), (90, 4_000, 80), exact=1_500).bytes_at(80) == 1_500
    assert curve((50, 1_000, 60), (90, 4_000, 80), exact=9_000).bytes_at(80) == pytest.approx(4_000)
    assert curve(exact=9_000).bytes_at(80) == 9_000


def test_the_quality_at_a_score_is_one_that_can_be_asked_for() -> None:
    assert curve((50, 1_000, 60), (91, 4_000, 80)).quality_at(70) == 70


def test_a_picture_that_a_stack_does_not_bring_to_the_score_is_left_out() -> None:
    curves = {
        "mine": [curve((50, 100, 60), (90, 200, 80)), curve((50, 100, 60), (90, 200, 80))],
        "theirs": [curve((50, 200, 60), (90, 400, 80)), curve((50, 200, 60), (90, 400, 65))],
    }

    assert ratios(curves, "mine", "theirs", 70) == [pytest.approx(0.5)]


def test_a_bar_is_met_at_its_bound() -> None:
    assert Bar("x", 0.8).judge({"x": 0.8}) == ("0.8", "PASS")
    assert Bar("x", 0.8).judge({"x": 0.81}) == ("0.81", "FAIL")
    assert Bar("x", 70, ">=").judge({"x": 69.9}) == ("69.9", "FAIL")


def test_a_whole_run_fails_by_a_bar_that_was_not_measured() -> None:
    figures = {bar.figure: bar.bound for bar in BARS[1:]}

    assert not bars_table(figures, all_of_them=True)[1]
    assert bars_table(figures, all_of_them=False)[1]


def test_every_bar_has_a_figure_of_its_own() -> None:
    assert len({bar.figure for bar in BARS}) == len(BARS)


def test_a_table_is_markdown() -> None:
    assert Table("Sizes:", ("stack", "bytes"), [("a", "1")]).markdown() == (
        "Sizes:\n\n| stack | bytes |\n|---|---|\n| a | 1 |"
    )


def test_a_spread_tells_median_range_and_count() -> None:
    assert spread([3, 1, 2]) == "2.000 [1.00 to 3.00] 3"
    assert spread([]) == "-"


@pytest.mark.parametrize("format", ["jpeg", "png", "webp"])
def test_an_upload_holds_the_very_pixels_in_another_format(tmp_path: Path, format: str) -> None:
    picture = Picture("photo", photo(), tmp_path)
    path = tmp_path / "upload"

    path.write_bytes(picture.upload(format))

    with Image.open(path) as opened:
        assert opened.format != format.upper()
        assert opened.convert("RGB").tobytes() == picture.image.tobytes() == picture.raw.read_bytes()
