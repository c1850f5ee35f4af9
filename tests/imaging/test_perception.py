"""SSIMULACRA2 against another implementation of it and by what it must say, and the mosaic of a picture."""

from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.ndimage  # type: ignore[import-untyped]
import ssimulacra2.ssimulacra2 as peer  # type: ignore[import-untyped]
from PIL import Image

from optimizer.imaging import perception
from optimizer.imaging.encoders import ENCODERS
from optimizer.imaging.perception import TILE_SIDE, Mosaic, Reference, similarity
from optimizer.settings import Settings
from tests.images import (
    NORMAL_MODES,
    drawing,
    encoded,
    from_pixels,
    hidden_color,
    in_mode,
    noise,
    opened,
    photo,
    pixels,
    smooth,
)
from tests.sampling import sampled

CORPUS = Path(__file__).parents[1] / "corpus"
PICTURES = {
    "flower": ("photo-flower-3mp.jpg", (361, 240)),
    "canyon": ("photo-canyon-adobe-rgb.jpg", (360, 245)),
    "screenshot": ("screenshot-dashboard.png", (400, 250)),
}
LOSSY = ["jpeg", "webp"]


# With a shorter side of 113 to 224 the other implementation leaves the sixth scale out, which libjxl counts.
@cache
def picture(name: str) -> Image.Image:
    file, size = PICTURES[name]
    return opened((CORPUS / file).read_bytes()).convert("RGB").resize(size, Image.Resampling.LANCZOS)


def spoiled(image: Image.Image, format: str, quality: int) -> Image.Image:
    options = {"subsampling": 0} if format == "jpeg" and image.mode == "RGB" else {}
    return opened(encoded(image, format, quality=quality, **options)).convert(image.mode)


def score_of_peer(folder: Path, one: Image.Image, other: Image.Image) -> float:
    one.save(folder / "one.png")
    other.save(folder / "other.png")
    return float(peer.compute_ssimulacra2(folder / "one.png", folder / "other.png"))


@pytest.fixture
def padded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other implementation with zeros on all sides, as libjxl has them; it repeats the picture left and right."""

    def blur(levels: Any, sigma: float = 1.5) -> Any:
        return scipy.ndimage.gaussian_filter(levels, sigma=sigma, truncate=3.33, mode="constant", axes=(0, 1))

    monkeypatch.setattr(peer, "blur_image", blur)


# --- the score ---


@pytest.mark.parametrize(("name", "quality", "format"), sampled(product(PICTURES, [30, 50, 70, 85, 95], LOSSY)))
def test_the_score_is_that_of_another_implementation(
    name: str, format: str, quality: int, padded: None, tmp_path: Path
) -> None:
    image = picture(name)
    candidate = spoiled(image, format, quality)

    # Its kernel is a true Gaussian, not the one that is defined: 0.57 of a screenshot at 53, less elsewhere.
    assert similarity(image, candidate) == pytest.approx(score_of_peer(tmp_path, image, candidate), abs=0.6)


@pytest.mark.parametrize("name", ["flower", "canyon"])
def test_the_best_scores_are_those_of_another_implementation_as_it_is(name: str, tmp_path: Path) -> None:
    image = picture(name)
    candidate = spoiled(image, "jpeg", 94)

    score = score_of_peer(tmp_path, image, candidate)
    assert score > 80
    assert similarity(image, candidate) == pytest.approx(score, abs=0.5)


@pytest.mark.parametrize("mode", NORMAL_MODES)
@pytest.mark.parametrize("size", [(1, 1), (7, 9), (8, 8), (64, 48), (97, 211)], ids=str)
def test_the_same_picture_scores_100(size: tuple[int, int], mode: str) -> None:
    for image in (noise(*size, mode=mode), Image.new(mode, size, 0)):
        assert similarity(image, image.copy()) == pytest.approx(100, abs=0.01)


@pytest.mark.parametrize("format", LOSSY)
def test_the_score_falls_with_the_quality(format: str) -> None:
    scores = [similarity(picture("flower"), spoiled(picture("flower"), format, each)) for each in (95, 80, 60, 30, 5)]

    assert scores == sorted(scores, reverse=True)
    assert scores[0] > scores[-1] + 40


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (7, 9), (9, 7), (8, 8), (3_000, 1), (15, 16)], ids=str)
@pytest.mark.parametrize("mode", NORMAL_MODES)
def test_a_different_picture_of_any_size_scores_less_than_100(mode: str, size: tuple[int, int]) -> None:
    first, second = (Image.new(mode, size, (level,) * (len(mode) - 1) + (255,)) for level in (40, 180)) if (
        mode.endswith("A")
    ) else (Image.new(mode, size, (level,) * len(mode)) for level in (40, 180))  # fmt: skip

    assert similarity(first, second) < 90
    assert np.isfinite(similarity(first, second))


def test_gray_is_compared_as_it_looks() -> None:
    gray = photo().convert("L")
    worse = spoiled(gray, "jpeg", 50)

    score = similarity(gray, worse)

    assert similarity(gray.convert("RGB"), worse) == similarity(gray, worse.convert("RGB")) == score
    assert 0 < score < 90


def test_a_reference_scores_any_number_of_candidates() -> None:
    image = photo()
    reference = Reference(image)

    scores = [reference.score(spoiled(image, "jpeg", quality)) for quality in (20, 90, 20)]

    assert scores[0] == scores[2] == similarity(image, spoiled(image, "jpeg", 20)) < scores[1]


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_colours_that_nobody_sees_do_not_count(mode: str) -> None:
    hidden, clean = hidden_color(mode), hidden_color(mode)
    clean.paste((0,) * len(mode), mask=clean.getchannel("A").point(lambda level: 255 - level))

    assert hidden.tobytes() != clean.tobytes()
    assert similarity(hidden, clean) == pytest.approx(100, abs=0.01)


@pytest.mark.parametrize("level", [round(255 * background) for background in perception._BACKGROUNDS])
@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_what_shows_on_one_background_only_counts(mode: str, level: int) -> None:
    image = Image.new(mode, (64, 48), (*(level,) * (len(mode) - 1), 255))
    hole = image.copy()
    hole.paste((0,) * len(mode), (16, 12, 48, 36))

    assert similarity(image, hole) < 85
    assert similarity(hole, image) < 85


def test_lost_transparency_counts() -> None:
    image = in_mode("RGBA", photo())

    assert similarity(image, image.convert("RGB")) < 50


def test_the_kernel_is_a_gaussian_of_the_sigma_that_is_defined() -> None:
    kernel = perception._kernel().astype(np.float64)

    places = np.arange(len(kernel)) - len(kernel) // 2
    assert len(kernel) % 2 == 1
    assert kernel.sum() == pytest.approx(1, abs=1e-6)
    assert (kernel * places).sum() == pytest.approx(0, abs=1e-6)
    assert (kernel * places**2).sum() == pytest.approx(2.25, abs=1e-5)
    assert (kernel == kernel[::-1]).all()


# --- the mosaic ---


@pytest.mark.parametrize("mode", NORMAL_MODES)
@pytest.mark.parametrize("size", [(513, 512), (600, 600), (1_300, 900)], ids=str)
def test_a_mosaic_is_of_one_size_and_of_tiles_of_the_picture(size: tuple[int, int], mode: str) -> None:
    image = in_mode(mode, smooth(*size))

    result = Mosaic(image).of(image)

    assert (result.size, result.mode) == ((2 * TILE_SIDE, 2 * TILE_SIDE), mode)
    levels, tiles = pixels(image), pixels(result)
    for top, left in ((0, 0), (0, 256), (256, 0), (256, 256)):
        tile = tiles[top : top + 256, left : left + 256]
        assert any(
            (levels[y : y + 256, x : x + 256] == tile).all()
            for y in range(0, size[1] - 255, 16)
            for x in range(0, size[0] - 255, 16)
        )


@pytest.mark.parametrize("size", [(20_000, 16), (16, 20_000), (300_000, 1), (1, 300_000), (5_000, 100)], ids=str)
def test_a_mosaic_of_a_strip_is_of_pieces_of_it(size: tuple[int, int]) -> None:
    image = from_pixels(np.arange(size[0] * size[1] * 3, dtype=np.float32).reshape(size[1], size[0], 3) % 251)

    result = Mosaic(image).of(image)

    assert result.size == (2 * min(256, size[0]), 2 * min(256, size[1]))


@pytest.mark.parametrize("size", [(1, 1), (512, 512), (2_048, 1), (300, 200)], ids=str)
def test_a_picture_of_no_more_pixels_stands_for_itself(size: tuple[int, int]) -> None:
    image = Image.new("L", size)
    mosaic = Mosaic(image)

    assert mosaic.of(image) is image
    assert mosaic.predict(83.5) == 83.5


@pytest.mark.parametrize("size", [(600, 600), (1_024, 512), (1_300, 300), (1_300, 600), (1_000, 1_000)], ids=str)
def test_no_tile_stands_twice_in_a_mosaic_where_there_are_four(size: tuple[int, int]) -> None:
    image = noise(*size, "L")

    result = pixels(Mosaic(image).of(image))

    tiles = {result[y : y + 256, x : x + 256].tobytes() for y in (0, 256) for x in (0, 256)}
    assert len(tiles) == 4


def test_the_tiles_of_a_candidate_come_from_the_same_places() -> None:
    image = noise(1_300, 900)
    down, right = np.mgrid[0:900, 0:1_300] // 16
    marked = from_pixels(np.stack([right, down, right], axis=-1).astype(np.float32))  # by the grid that tiles are on
    mosaic = Mosaic(image)

    original, candidate = pixels(mosaic.of(image)), pixels(mosaic.of(marked))

    for y in (0, 256):
        for x in (0, 256):
            left, top, _ = (int(place) * 16 for place in candidate[y, x])
            assert (original[y : y + 256, x : x + 256] == pixels(image)[top : top + 256, left : left + 256]).all()


def test_the_tiles_are_calm_and_busy_ones() -> None:
    levels = np.random.default_rng(7).normal(0, 1, (1_280, 1_280)) * np.repeat(np.arange(5) * 12, 256)
    image = from_pixels(128 + levels.astype(np.float32))

    tiles = pixels(Mosaic(image).of(image))

    spreads = sorted(tiles[y : y + 256, x : x + 256].std() for y in (0, 256) for x in (0, 256))
    assert spreads[0] < 20
    assert spreads[-1] > 40


@pytest.mark.parametrize("quality", [50, 90])
@pytest.mark.parametrize("format", LOSSY)
def test_a_mosaic_tells_how_alike_the_whole_photo_is(format: str, quality: int) -> None:
    image = opened((CORPUS / "photo-flower-3mp.jpg").read_bytes()).resize((1_100, 733), Image.Resampling.LANCZOS)
    mosaic = Mosaic(image)
    tiles = mosaic.of(image)

    small = ENCODERS[format].encode(tiles, Settings(quality=quality))[0]
    whole = ENCODERS[format].encode(image, Settings(quality=quality))[0]

    predicted = mosaic.predict(similarity(tiles, opened(small)))
    assert predicted == pytest.approx(similarity(image, opened(whole)), abs=3 if format == "jpeg" else 4)


def test_a_prediction_of_the_same_picture_is_100() -> None:
    assert Mosaic(drawing(900, 600)).predict(100) == 100


@pytest.mark.parametrize("place", [(0, 0), (520, 520), (1_049, 793)], ids=str)
def test_a_mosaic_of_a_page_with_one_photo_on_it_shows_the_photo(place: tuple[int, int]) -> None:
    page = Image.new("RGB", (1_280, 1_024), "white")
    page.paste(noise(230, 230), place)

    assert (pixels(Mosaic(page).of(page)) < 255).any()
