import numpy as np
import pytest
from PIL import Image
from PIL.Image import Resampling

from optimizer.imaging import pipeline, resample
from optimizer.imaging.resample import shrink
from optimizer.settings import Settings
from tests.images import encoded, in_mode, photo, pixels


@pytest.mark.parametrize("size", [(239, 159), (200, 133), (150, 100), (121, 81), (240, 100), (150, 160)])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_what_is_less_than_halved_is_near_lanczos(mode: str, size: tuple[int, int]) -> None:
    image = photo().convert(mode)

    made, lanczos = shrink(image, size), image.resize(size, Resampling.LANCZOS)

    assert (made.mode, made.size) == (mode, size)
    difference = np.abs(pixels(made) - pixels(lanczos))
    assert 0 < difference.mean() < 1.2
    assert abs(float(pixels(made).mean() - pixels(lanczos).mean())) < 0.1


@pytest.mark.parametrize("shrunk", [1, 1.01, 1.25, 1.5, 1.599, 1.6, 1.999])
def test_the_taps_are_even_and_keep_the_brightness(shrunk: float) -> None:
    taps = resample._low_pass(shrunk)

    assert taps.sum() == pytest.approx(1, abs=1e-4)
    assert taps == pytest.approx(taps[::-1])


@pytest.mark.parametrize(
    ("mode", "size"), [("RGBA", (50, 40)), ("RGB", (32, 24)), ("RGB", (128, 96)), ("RGB", (60, 5))]
)
def test_any_other_resize_is_lanczos(mode: str, size: tuple[int, int]) -> None:
    image = in_mode(mode)

    assert shrink(image, size).tobytes() == image.resize(size, Resampling.LANCZOS).tobytes()


def test_the_metadata_stays() -> None:
    image = photo()
    image.info = {"comment": b"kept"}

    assert shrink(image, (200, 133)).info == {"comment": b"kept"}


@pytest.mark.parametrize(("percent", "used"), [(100, 0), (90, 0), (50, 0), (40, 1), (20, 1)])
def test_only_a_jpeg_that_was_decoded_smaller_is_resized_so(
    monkeypatch: pytest.MonkeyPatch, percent: int, used: int
) -> None:
    calls: list[tuple[int, int]] = []

    def count(image: Image.Image, size: tuple[int, int]) -> Image.Image:
        calls.append(size)
        return shrink(image, size)

    monkeypatch.setattr("optimizer.imaging.steps.shrink", count)

    for format in ("jpeg", "png"):
        pipeline.optimize(encoded(photo(), format), Settings.parse({"resize_percent": percent, "format": "webp"}))

    assert len(calls) == used
