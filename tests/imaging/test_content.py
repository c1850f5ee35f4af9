"""What kind of picture it is: drawings and photos, made in code and of the corpus, and the smallest shapes."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from optimizer.imaging.content import has_edges_of_color, is_flat
from tests.images import NORMAL_MODES, drawing, from_pixels, in_mode, noise, opened, photo, smooth

CORPUS = Path(__file__).parents[1] / "corpus"
PHOTOS = ["photo-flower-3mp.jpg", "photo-canyon-adobe-rgb.jpg", "photo-tulips-alpha.png", "photo-flower-display-p3.jpg"]
FLAT = ["screenshot-dashboard.png", "screenshot-table-dark.png", "graphic-dashboard-palette.png"]
TINY = [(1, 1), (2, 1), (1, 2), (2, 2), (3, 3), (1, 500), (500, 1), (2, 500), (500, 2), (16_000, 1), (1, 16_000)]


def corpus(name: str) -> Image.Image:
    return opened((CORPUS / name).read_bytes()).convert("RGB")


@pytest.mark.parametrize("size", [(240, 160), (900, 600), (2_400, 1_600)], ids=str)
def test_a_drawing_is_flat_and_has_edges_of_colour_in_any_size(size: tuple[int, int]) -> None:
    image = drawing().resize(size, Image.Resampling.NEAREST)

    assert is_flat(image)
    if size != (2_400, 1_600):  # so much larger, an edge is what one in hundred blocks shows
        assert has_edges_of_color(image)


@pytest.mark.parametrize("size", [(240, 160), (1_100, 700)], ids=str)
def test_a_photo_is_not_flat_and_has_no_edges_of_colour_in_any_size(size: tuple[int, int]) -> None:
    image = photo(*size)

    assert not is_flat(image)
    assert not has_edges_of_color(image)


@pytest.mark.parametrize("name", PHOTOS)
def test_photos_of_the_corpus_are_photos(name: str) -> None:
    assert not is_flat(corpus(name))
    assert not has_edges_of_color(corpus(name))


@pytest.mark.parametrize("name", FLAT)
def test_screenshots_of_the_corpus_are_flat(name: str) -> None:
    assert is_flat(corpus(name))


@pytest.mark.parametrize("offset", [0, 1])
def test_stripes_of_colour_are_edges_and_stripes_of_gray_are_not(offset: int) -> None:
    columns = (np.arange(200) + offset) // 3 % 2
    levels = np.broadcast_to(columns[None, :, None], (100, 200, 3)).astype(np.float32)

    assert has_edges_of_color(from_pixels(levels * (200, 0, -200) + (20, 30, 220)))
    assert not has_edges_of_color(from_pixels(levels * 255))


def test_one_colour_has_no_edges() -> None:
    assert not has_edges_of_color(Image.new("RGB", (300, 200), "red"))
    assert is_flat(Image.new("RGB", (300, 200), "red"))


def test_noise_is_not_flat() -> None:
    assert not is_flat(noise())
    assert has_edges_of_color(noise())


@pytest.mark.parametrize("picture", [smooth, noise, drawing], ids=lambda each: each.__name__)
def test_gray_has_no_edges_of_colour(picture: object) -> None:
    image = picture() if callable(picture) else None
    assert isinstance(image, Image.Image)

    assert not has_edges_of_color(image.convert("L"))
    assert not has_edges_of_color(image.convert("L").convert("RGB"))


@pytest.mark.parametrize("mode", NORMAL_MODES)
@pytest.mark.parametrize("size", TINY, ids=str)
def test_shapes_that_leave_little_to_see_are_told_without_harm(size: tuple[int, int], mode: str) -> None:
    flat, random = Image.new(mode, size), noise(*size, mode=mode)

    assert is_flat(flat) == (size[0] >= 4)
    assert not is_flat(random)
    if not mode.endswith("A"):
        assert not has_edges_of_color(flat)
        assert has_edges_of_color(random) in ((True, False) if mode == "RGB" and min(size) > 1 else (False,))


@pytest.mark.parametrize("columns", [4, 5, 6])
def test_few_columns_are_compared_with_each_other(columns: int) -> None:
    image = from_pixels(np.array([[(220, 20, 20), (20, 40, 200)] * 3] * 5_000, np.float32)[:, :columns])

    assert not is_flat(image)
    assert has_edges_of_color(image)


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_alpha_counts_as_a_colour(mode: str) -> None:
    image = drawing().convert(mode)
    assert is_flat(image)

    image.putalpha(Image.linear_gradient("L").rotate(90).resize(image.size))
    assert not is_flat(image)
    assert not is_flat(in_mode(mode, photo()))
