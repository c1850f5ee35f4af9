from itertools import product
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.Image import Resampling

from optimizer.imaging import resample
from optimizer.imaging.decode import Source, open_source
from optimizer.imaging.encoders import ENCODERS
from optimizer.imaging.perception import Reference
from optimizer.imaging.pipeline import optimize
from optimizer.imaging.resample import Area, shrink
from optimizer.settings import Settings
from tests.images import encoded, exif_bytes, in_mode, opened, photo, pixels

CORPUS = Path(__file__).parents[1] / "corpus"
FORMATS = list(ENCODERS)


@pytest.mark.parametrize("size", [(239, 159), (200, 133), (150, 100), (121, 81), (239, 100), (150, 159), (96, 64)])
@pytest.mark.parametrize("area", [(0, 0, 240, 160), (0, 0, 239.25, 159.5), (0.75, 0.5, 240, 160)], ids=str)
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_what_becomes_at_most_two_and_a_half_times_smaller_is_near_lanczos(
    mode: str, area: Area, size: tuple[int, int]
) -> None:
    image = photo().convert(mode)

    made, lanczos = shrink(image, area, size), image.resize(size, Resampling.LANCZOS, area)

    assert (made.mode, made.size) == (mode, size)
    difference = np.abs(pixels(made) - pixels(lanczos))
    assert 0 < difference.mean() < 1.2
    assert abs(float(pixels(made).mean() - pixels(lanczos).mean())) < 0.1


@pytest.mark.parametrize("shrunk", [1, 1.01, 1.25, 1.599, 1.601, 1.899, 1.901, 2, 2.5])
def test_the_taps_are_even_and_keep_the_brightness(shrunk: float) -> None:
    taps = resample._low_pass(shrunk)

    assert taps.sum() == pytest.approx(1, abs=1e-4)
    assert taps == pytest.approx(taps[::-1])


@pytest.mark.parametrize(
    ("mode", "size"), [("RGBA", (50, 40)), ("RGB", (25, 19)), ("RGB", (128, 96)), ("RGB", (60, 5))]
)
@pytest.mark.parametrize("area", [(0, 0, 64, 48), (0.5, 0, 64, 47.25)], ids=str)
def test_any_other_resize_is_lanczos(area: Area, mode: str, size: tuple[int, int]) -> None:
    image = in_mode(mode)

    assert shrink(image, area, size).tobytes() == image.resize(size, Resampling.LANCZOS, area).tobytes()


def test_an_image_that_has_the_size_stays_as_it_is() -> None:
    image = photo()

    assert shrink(image, (0, 0, *image.size), image.size) is image
    assert shrink(image, (0, 0, 239.5, 160), image.size) is not image


def test_the_metadata_stays() -> None:
    image = photo()
    image.info = {"comment": b"kept"}

    assert shrink(image, (0, 0, 240, 160), (200, 133)).info == {"comment": b"kept"}


@pytest.mark.parametrize(("percent", "used"), [(100, 0), (90, 0), (50, 1), (40, 1), (20, 1)])
def test_only_a_jpeg_that_was_decoded_smaller_is_resized_so(
    monkeypatch: pytest.MonkeyPatch, percent: int, used: int
) -> None:
    calls: list[tuple[int, int]] = []

    def count(image: Image.Image, area: Area, size: tuple[int, int]) -> Image.Image:
        calls.append(size)
        return shrink(image, area, size)

    monkeypatch.setattr("optimizer.imaging.steps.shrink", count)

    for format in ("jpeg", "png"):
        optimize(encoded(photo(), format), Settings.parse({"resize_percent": percent, "format": "webp"}))

    assert len(calls) == used


@pytest.fixture(scope="module")
def flower() -> Image.Image:
    """A photo of 1,001 x 667 pixels, which neither 2 nor 4 nor 8 divides."""
    with Image.open(CORPUS / "photo-flower-3mp.jpg") as file:
        return file.resize((1001, 667), Resampling.LANCZOS)


@pytest.mark.whole
@pytest.mark.parametrize("whole", [0, 16_000_000], ids="pixels that are decoded whole: {}".format)
@pytest.mark.parametrize(
    ("percent", "value", "auto"),
    [*product([50, 49, 40, 26, 25, 24, 21, 20, 13, 12, 10], [1], [True]), *product([20], range(2, 9), [True, False])],
)
def test_a_jpeg_decoded_at_less_scores_near_lanczos_of_all_pixels(
    flower: Image.Image, percent: int, value: int, auto: bool, whole: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("optimizer.imaging.decode._WHOLE_PIXELS", whole)
    data = encoded(flower, "jpeg", quality=95, exif=exif_bytes(value))
    asked = Settings.parse({"resize_percent": percent, "format": "png", "lossless": True, "auto_orient": auto})

    fast = optimize(data, asked)

    monkeypatch.setattr(Source, "divisor_for", lambda *_: None)
    lanczos = Reference(opened(optimize(data, asked).data).convert("RGB"))
    assert 85 < lanczos.score(opened(fast.data).convert("RGB")) < 100


@pytest.mark.parametrize(
    ("source", "format", "times", "divisor"),
    [
        *product(["jpeg"], ["jpeg"], [1, 1.5, 1.9], [None]),
        *product(["jpeg"], ["jpeg"], [2, 2.4, 2.5, 4, 4.9], [2]),
        *product(["jpeg"], ["webp", "png", "smallest"], [2, 2.4], [1]),
        *product(["jpeg"], ["webp", "png", "smallest"], [2.5, 4, 4.9], [2]),
        *product(["jpeg"], ["jpeg", "webp"], [5, 8, 9.9], [4]),
        *product(["jpeg"], ["jpeg", "webp"], [10, 16, 50], [8]),
        *product(["png", "webp"], ["jpeg", "webp"], [1, 2, 4, 50], [None]),
    ],
)
def test_a_jpeg_is_decoded_as_small_as_leaves_a_fifth_to_resize_away_and_half_of_one_for_a_jpeg(
    source: str, format: str, times: float, divisor: int | None
) -> None:
    opened = open_source(encoded(photo(500, 350), source))

    assert opened.divisor_for((round(500 / times), round(350 / times)), format) == divisor


def test_of_large_jpegs_half_is_decoded_for_every_format(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = open_source(encoded(photo(1000, 700), "jpeg"))
    monkeypatch.setattr("optimizer.imaging.decode._WHOLE_PIXELS", 699_999)

    assert {format: opened.divisor_for((500, 350), format) for format in FORMATS} == dict.fromkeys(FORMATS, 2)
