"""Palettes: which colours are chosen, what stands for transparency, and where dithering helps."""

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from optimizer.imaging import quantize
from optimizer.imaging.perception import similarity
from optimizer.imaging.quantize import Quantizer
from tests.images import from_pixels, hidden_color, in_mode, noise, photo, pixels, quarters, smooth

SIZES = [(1, 1), (1, 300), (300, 1), (7, 5), (64, 48)]


def in_colors(image: Image.Image, colors: int = 256, *, dither: bool = False) -> Image.Image:
    palette = Quantizer(image).palette(colors)
    return (palette.dithered() if dither else palette).apply(image)


def used(image: Image.Image) -> int:
    return len(image.getcolors(1 << 24) or [])


@pytest.mark.parametrize("dither", [False, True])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
@pytest.mark.parametrize("size", SIZES)
def test_any_size_keeps_its_size_and_gets_a_palette(size: tuple[int, int], mode: str, dither: bool) -> None:
    result = in_colors(noise(*size, mode=mode), 16, dither=dither)

    assert (result.mode, result.size) == ("P", size)
    assert used(result) <= 16


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
@pytest.mark.parametrize("colors", [2, 4, 16, 100, 256])
def test_no_palette_is_longer_than_asked(colors: int, mode: str) -> None:
    palette = Quantizer(in_mode(mode, photo())).palette(colors)

    assert len(palette.rgba) <= colors


def test_as_many_colours_as_the_palette_has_stay_exact() -> None:
    levels = np.random.default_rng(1).integers(0, 256, (200, 3))
    image = from_pixels(levels[np.arange(64 * 64).reshape(64, 64) % 200].astype(np.float32))

    assert (pixels(in_colors(image).convert("RGB")) == pixels(image)).all()


@pytest.mark.parametrize("dither", [False, True])
@pytest.mark.parametrize("colors", [2, 8, 256])
def test_what_is_transparent_stays_so_and_nothing_else_becomes_it(colors: int, dither: bool) -> None:
    image = in_mode("RGBA", photo())
    levels = pixels(image)
    levels[:, :40, 3] = 0
    levels[:, 200:, 3] = 255
    image = from_pixels(levels)

    alpha = pixels(in_colors(image, colors, dither=dither).convert("RGBA"))[..., 3]

    assert (alpha[:, :40] == 0).all()
    assert (alpha[:, 200:] > 0).all()
    if colors == 256:
        assert (alpha[:, 200:] == 255).all()


def test_hidden_colours_cost_no_entry_and_change_nothing() -> None:
    shown = pixels(hidden_color(width=200, height=200))
    hidden = shown.copy()
    hidden[..., :3] = np.where(shown[..., 3:] == 0, pixels(noise(200, 200)), shown[..., :3])

    plain, loud = (Quantizer(from_pixels(each)).palette(256) for each in (shown, hidden))

    assert (plain.rgba == loud.rgba).all()
    assert len(loud.rgba) == 2
    assert (
        loud.apply(from_pixels(hidden)).convert("RGBA").tobytes()
        == plain.apply(from_pixels(shown)).convert("RGBA").tobytes()
    )


def test_levels_of_alpha_are_kept_within_a_few() -> None:
    image = Image.new("RGBA", (256, 64), (200, 40, 40, 255))
    image.putalpha(Image.linear_gradient("L").transpose(Image.Transpose.ROTATE_90).resize((256, 64)))

    difference = np.abs(pixels(in_colors(image).convert("RGBA")) - pixels(image))

    assert difference[..., 3].max() <= 6
    shown = pixels(image)[..., 3] > 32  # below it the rounding of the colour counts for little
    assert difference[shown].max() <= 8


@pytest.mark.parametrize("colors", [8, 32, 256])
@pytest.mark.parametrize("picture", [smooth, photo], ids=lambda each: each.__name__)
def test_the_palette_is_better_than_the_one_of_pillow(picture: Callable[[], Image.Image], colors: int) -> None:
    image = picture()
    pillows = image.quantize(colors, Image.Quantize.MEDIANCUT, kmeans=4, dither=Image.Dither.NONE)

    assert similarity(image, in_colors(image, colors).convert("RGB")) > similarity(image, pillows.convert("RGB")) + 1


def test_with_alpha_the_palette_is_better_than_the_one_of_pillow() -> None:
    image = in_mode("RGBA", photo())
    pillows = image.quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)

    assert similarity(image, in_colors(image).convert("RGBA")) > similarity(image, pillows.convert("RGBA")) + 10


def test_more_colours_are_more_alike() -> None:
    image = photo()

    scores = [similarity(image, in_colors(image, 2**bits).convert("RGB")) for bits in range(1, 9)]

    assert scores == sorted(scores)


def test_dark_colours_are_told_apart_as_well_as_light_ones() -> None:
    """In linear light the dark half of a ramp would be two or three colours."""
    ramp = from_pixels(np.tile(np.arange(256, dtype=np.float32)[None, :, None], (16, 1, 3)))

    levels = np.unique(pixels(in_colors(ramp, 16).convert("L")))

    assert 7 <= (levels < 128).sum() <= 10


def test_soft_gradients_are_dithered_and_look_better() -> None:
    image = smooth(512, 384)

    banded, dithered = (in_colors(image, 64, dither=dither) for dither in (False, True))

    assert similarity(image, dithered.convert("RGB")) > similarity(image, banded.convert("RGB")) + 5
    shrunk = [pixels(each.convert("RGB").resize((64, 48), Image.Resampling.BOX)) for each in (image, banded, dithered)]
    assert np.abs(shrunk[2] - shrunk[0]).mean() < 0.7 * np.abs(shrunk[1] - shrunk[0]).mean()


def test_soft_gradients_of_alpha_are_dithered() -> None:
    image = smooth(512, 384)
    image.putalpha(Image.linear_gradient("L").resize(image.size))

    banded, dithered = (in_colors(image, 256, dither=dither) for dither in (False, True))

    assert similarity(image, dithered.convert("RGBA")) > similarity(image, banded.convert("RGBA"))


def test_flat_art_is_not_dithered() -> None:
    image = quarters()

    assert in_colors(image, dither=True).tobytes() == in_colors(image).tobytes()


def test_busy_parts_are_not_dithered() -> None:
    image = noise(64, 64)

    same = pixels(in_colors(image, dither=True)) == pixels(in_colors(image))

    assert same.mean() > 0.99


def test_bands_of_rows_leave_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    image = photo()
    whole = in_colors(image, 64, dither=True)
    monkeypatch.setattr(quantize, "BAND_PIXELS", image.width * 24)

    assert in_colors(image, 64, dither=True).tobytes() == whole.tobytes()


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_the_same_picture_gets_the_same_palette(mode: str) -> None:
    image = noise(400, 300, mode)

    one, other = (in_colors(image, 64, dither=True) for _ in range(2))

    assert one.tobytes() == other.tobytes()
    assert one.getpalette() == other.getpalette()


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_random_pixels_are_bounded_work(mode: str) -> None:
    quantizer = Quantizer(noise(1_100, 1_000, mode))

    assert len(quantizer._counts) <= quantize.MAX_POINTS


def test_a_large_picture_is_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantize, "SAMPLE_PIXELS", 10_000)
    image = photo(480, 320)

    result = in_colors(image)

    assert result.size == image.size
    assert similarity(image, result.convert("RGB")) > 70
