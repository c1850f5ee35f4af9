"""Each step of the pipeline on its own: what it changes, what it leaves, and that it never touches its input."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter, ImageStat

from optimizer.imaging import steps
from optimizer.imaging.encoders import ENCODERS
from optimizer.imaging.metadata import orientation
from optimizer.imaging.pipeline import PIPELINE
from optimizer.settings import Settings
from tests.images import (
    CORNERS,
    MODES,
    NORMAL_MODES,
    ORIENTATIONS,
    cmyk_profile,
    corner_colors,
    delta_e,
    displayed_image,
    exif_bytes,
    from_pixels,
    gray_profile,
    hidden_color,
    in_mode,
    noise,
    opened,
    photo,
    pixels,
    ramp_png_16bit,
    rgb_profile,
    smooth,
    srgb_profile,
    stored_quarters,
)

BUSY = Settings(
    format="jpeg", resize_percent=50, width=20, sharpen=50, brightness=20, contrast=20, background="#336699"
)
PROFILES = {"L": gray_profile(1.0), "RGB": rgb_profile(1.8, "brg"), "CMYK": cmyk_profile()}


def profile_for(image: Image.Image) -> bytes:
    return PROFILES[{"L": "L", "LA": "L", "CMYK": "CMYK"}.get(image.mode, "RGB")]


def with_info(image: Image.Image) -> Image.Image:
    metadata: dict[str, Any] = {"exif": exif_bytes(6, Make="Acme"), "comment": b"c", "xmp": b"x", "text": {"a": "b"}}
    image.info.update(metadata, icc_profile=profile_for(image))
    return image


# --- every step ---


@pytest.mark.parametrize("mode", NORMAL_MODES)
@pytest.mark.parametrize("step", PIPELINE, ids=lambda step: step.__name__)
def test_a_step_with_nothing_to_do_returns_the_very_image(step: steps.Step, mode: str) -> None:
    image = in_mode(mode)

    assert step(image, Settings(format="png")) is image


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("settings", [BUSY, Settings(format="png"), Settings(format="jpeg", sharpen=-50)])
@pytest.mark.parametrize("step", PIPELINE, ids=lambda step: step.__name__)
def test_a_step_never_changes_its_input(step: steps.Step, settings: Settings, mode: str) -> None:
    image = with_info(in_mode(mode))
    if PIPELINE.index(step) > PIPELINE.index(steps.convert_cmyk):
        image = steps.convert_cmyk(steps.normalize_mode(image, settings), settings)
    mode, data, info = image.mode, image.tobytes(), deepcopy(image.info)

    step(image, settings)

    assert (image.mode, image.tobytes(), image.info) == (mode, data, info)


@pytest.mark.parametrize("mode", NORMAL_MODES)
@pytest.mark.parametrize("step", PIPELINE, ids=lambda step: step.__name__)
def test_metadata_passes_every_step_but_those_that_use_it_up(step: steps.Step, mode: str) -> None:
    image = with_info(in_mode(mode))
    used_up: dict[steps.Step, set[str]] = {
        steps.to_srgb: {"icc_profile"},
        steps.strip_metadata: {"comment", "xmp", "text", "icc_profile"},
    }
    rewritten = {"exif"} if step in (steps.orient, steps.strip_metadata) else set()

    result = step(image, BUSY)

    assert set(result.info) == set(image.info) - used_up.get(step, set())
    assert all(result.info[key] == image.info[key] for key in set(result.info) - rewritten)


# --- orient ---


@pytest.mark.parametrize("value", ORIENTATIONS)
def test_orient_turns_the_picture_upright_and_resets_the_tag(value: int) -> None:
    image = stored_quarters(value)
    image.info["exif"] = exif_bytes(value, Make="Acme")

    result = steps.orient(image, Settings())

    assert result.size == (64, 48)
    assert corner_colors(result) == list(CORNERS)
    assert orientation(result.info) == 1
    assert b"Acme" in result.info["exif"]


@pytest.mark.parametrize("value", ORIENTATIONS)
def test_orient_does_nothing_when_it_is_off(value: int) -> None:
    image = stored_quarters(value)
    image.info["exif"] = exif_bytes(value)

    assert steps.orient(image, Settings(auto_orient=False)) is image


def test_orient_drops_exif_that_it_cannot_reset(monkeypatch: pytest.MonkeyPatch) -> None:
    image = stored_quarters(6)
    image.info["exif"] = exif_bytes(6)
    monkeypatch.setattr(steps, "with_orientation", lambda *_: None)

    result = steps.orient(image, Settings())

    assert result.info == {}
    assert corner_colors(result) == list(CORNERS)


# --- normalize_mode ---

NORMALIZED = {
    "1": "L",
    "L": "L",
    "L+tRNS": "LA",
    "LA": "LA",
    "P": "RGB",
    "P+tRNS": "RGBA",
    "PA": "RGBA",
    "RGB": "RGB",
    "RGB+tRNS": "RGBA",
    "RGBA": "RGBA",
    "CMYK": "CMYK",
    "I;16": "L",
}


@pytest.mark.parametrize("mode", MODES)
def test_normalize_mode_leaves_a_mode_that_steps_work_on_and_the_same_picture(mode: str) -> None:
    image = in_mode(mode)

    result = steps.normalize_mode(image, Settings())

    assert result.mode == NORMALIZED[mode]
    assert "transparency" not in result.info
    assert abs(displayed_image(result, "#ff00ff") - displayed_image(image, "#ff00ff")).max() <= 1


@pytest.mark.parametrize("mode", ["LA", "RGBA", "PA"])
def test_normalize_mode_drops_alpha_that_hides_nothing(mode: str) -> None:
    image = smooth().convert("L" if mode == "LA" else "RGB").convert(mode)

    result = steps.normalize_mode(image, Settings())

    assert result.mode == ("L" if mode == "LA" else "RGB")
    assert result.tobytes() == image.convert(result.mode).tobytes()


@pytest.mark.parametrize("alpha", [0, 254])
def test_normalize_mode_keeps_alpha_that_hides_a_little_of_one_pixel(alpha: int) -> None:
    image = smooth().convert("RGBA")
    image.putpixel((3, 4), (1, 2, 3, alpha))

    assert steps.normalize_mode(image, Settings()) is image


@pytest.mark.parametrize("color", [False, True])
def test_a_16_bit_ramp_keeps_its_levels(color: bool) -> None:
    image = opened(ramp_png_16bit(color))

    result = steps.normalize_mode(image, Settings())

    levels = pixels(result)[0, :, 0]
    assert result.mode == ("RGB" if color else "L")
    assert len(np.unique(levels)) == 256
    assert (np.diff(levels) >= 0).all()
    assert (levels[0], levels[-1]) == (0, 255)
    assert abs(levels - np.linspace(0, 255, 4096)).max() <= 1


# --- convert_cmyk ---


def test_convert_cmyk_multiplies_the_inks_as_browsers_do() -> None:
    image = noise(mode="CMYK")

    result = steps.convert_cmyk(image, Settings())

    inks = pixels(image)
    expected = (255 - inks[..., :3]) * (255 - inks[..., 3:]) / 255
    assert result.mode == "RGB"
    assert abs(pixels(result) - expected).max() <= 1


@pytest.mark.parametrize("strip", [True, False])
def test_convert_cmyk_uses_the_profile_and_drops_it(strip: bool) -> None:
    image = in_mode("CMYK")
    image.info |= {"icc_profile": cmyk_profile(), "comment": b"c"}

    result = steps.convert_cmyk(image, Settings(strip_metadata=strip))

    assert delta_e(pixels(result), displayed_image(image)) < 1
    assert delta_e(pixels(result), pixels(image.convert("RGB"))) > 20
    assert result.info == {"comment": b"c"}


@pytest.mark.parametrize("profile", [b"junk", rgb_profile(1.8, "brg"), gray_profile(1.0), cmyk_profile()[:200]])
def test_convert_cmyk_ignores_a_profile_that_is_broken_or_of_another_space(profile: bytes) -> None:
    image = in_mode("CMYK")
    image.info["icc_profile"] = profile

    result = steps.convert_cmyk(image, Settings())

    assert result.tobytes() == image.convert("RGB").tobytes()
    assert result.info == {}


# --- to_srgb ---


@pytest.mark.parametrize("mode", NORMAL_MODES)
def test_to_srgb_shows_the_colours_that_the_profile_means(mode: str) -> None:
    image = in_mode(mode)
    image.info["icc_profile"] = profile_for(image)

    result = steps.to_srgb(image, Settings())

    assert result.mode == mode
    assert result.info == {}
    assert delta_e(displayed_image(result), displayed_image(image)) < 1
    del image.info["icc_profile"]
    assert delta_e(displayed_image(result), displayed_image(image)) > 5
    if mode.endswith("A"):
        assert result.getchannel("A").tobytes() == image.getchannel("A").tobytes()


@pytest.mark.parametrize("profile", [srgb_profile(), rgb_profile(2.2).replace(b"curv", b"curv")])
def test_to_srgb_leaves_what_is_srgb_under_another_name(profile: bytes) -> None:
    image = smooth()
    image.info["icc_profile"] = profile

    result = steps.to_srgb(image, Settings())

    if profile == srgb_profile():
        assert result is image
    else:  # a plain power of 2.2 is near sRGB, but not the same in the shadows
        assert delta_e(pixels(result), displayed_image(image)) < 1


@pytest.mark.parametrize("mode", NORMAL_MODES)
@pytest.mark.parametrize(
    "profile", [b"junk", b"", rgb_profile(1.8)[:150], cmyk_profile(), rgb_profile(1.8, "brg"), gray_profile(1.0)]
)
def test_to_srgb_ignores_a_profile_that_is_broken_or_of_another_space(profile: bytes, mode: str) -> None:
    image = in_mode(mode)
    if profile == profile_for(image):
        profile = b"\0" + profile
    image.info["icc_profile"] = profile

    assert steps.to_srgb(image, Settings()) is image


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_to_srgb_ignores_a_profile_that_has_no_transform(mode: str) -> None:
    image = in_mode(mode)
    profile = profile_for(image)
    image.info["icc_profile"] = profile.replace(b"TRC", b"xxx")

    assert steps.to_srgb(image, Settings()) is image


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_to_srgb_leaves_pixels_and_profile_together_when_metadata_is_kept(mode: str) -> None:
    image = in_mode(mode)
    image.info["icc_profile"] = profile_for(image)

    assert steps.to_srgb(image, Settings(strip_metadata=False)) is image


@pytest.mark.parametrize("mode", ["L", "LA"])
def test_to_srgb_converts_gray_in_any_case_because_not_every_format_has_it(mode: str) -> None:
    image = in_mode(mode)
    image.info |= {"icc_profile": profile_for(image), "comment": b"c"}

    result = steps.to_srgb(image, Settings(strip_metadata=False))

    assert result.info == {"comment": b"c"}
    assert delta_e(displayed_image(result), displayed_image(image)) < 1


# --- resize ---


@pytest.mark.parametrize(
    ("size", "choice", "expected"),
    [
        ((100, 50), {}, (100, 50)),
        ((100, 50), {"resize_percent": 10}, (10, 5)),
        ((100, 50), {"resize_percent": 200}, (200, 100)),
        ((12_000, 16), {"resize_percent": 10}, (1_200, 2)),
        ((1, 1), {"resize_percent": 10}, (1, 1)),
        ((3, 1_000), {"resize_percent": 10}, (1, 100)),
        ((100, 50), {"width": 50}, (50, 25)),
        ((100, 50), {"height": 10}, (20, 10)),
        ((100, 50), {"width": 50, "height": 10}, (20, 10)),
        ((100, 50), {"width": 10, "height": 40}, (10, 5)),
        ((100, 50), {"width": 101}, (100, 50)),
        ((100, 50), {"width": 1_000, "height": 1_000}, (100, 50)),
        ((100, 50), {"width": 1}, (1, 1)),
        ((1_000, 2), {"width": 10}, (10, 1)),
        ((100, 50), {"resize_percent": 50, "width": 60}, (50, 25)),
        ((100, 50), {"resize_percent": 200, "width": 60}, (60, 30)),
        ((100, 50), {"resize_percent": 200, "width": 150}, (150, 75)),
        ((200, 301), {"resize_percent": 50, "height": 150}, (100, 150)),
    ],
)
def test_percent_comes_first_then_the_image_is_fitted(
    size: tuple[int, int], choice: dict[str, int], expected: tuple[int, int]
) -> None:
    settings = Settings(**choice)  # type: ignore[arg-type]

    assert steps.target_size(size, settings) == expected
    assert steps.resize(Image.new("L", size), settings).size == expected


@pytest.mark.parametrize("size", [(1, 1), (7, 300), (300, 7), (64, 48)])
@pytest.mark.parametrize("box", [(64, None), (None, 48), (300, 300), (16_383, 16_383)])
def test_resize_never_enlarges_to_fit(size: tuple[int, int], box: tuple[int | None, int | None]) -> None:
    width, height = steps.target_size(size, Settings(width=box[0], height=box[1]))

    assert width <= min(size[0], box[0] or size[0])
    assert height <= min(size[1], box[1] or size[1])


def test_resize_is_sharp_and_without_moire() -> None:
    image = photo()

    result = steps.resize(image, Settings(resize_percent=40))

    assert result.tobytes() == image.resize((96, 64), Image.Resampling.LANCZOS).tobytes()


# --- brightness and contrast ---


@pytest.mark.parametrize("value", range(-100, 101))
def test_brightness_and_contrast_are_those_of_pillow_for_opaque_images(value: int) -> None:
    if value == 0:
        return
    for image in (photo(60, 40), photo(60, 40).convert("L")):
        factor = 1 + value / 100

        lighter = steps.tone(image, Settings(brightness=value))
        stronger = steps.tone(image, Settings(contrast=value))

        assert lighter.tobytes() == ImageEnhance.Brightness(image).enhance(factor).tobytes()
        assert stronger.tobytes() == ImageEnhance.Contrast(image).enhance(factor).tobytes()


@pytest.mark.parametrize("contrast", [-100, -40, 30, 100])
@pytest.mark.parametrize("brightness", [-100, -35, 1, 25, 100])
@pytest.mark.parametrize("picture", [photo, smooth, noise], ids=lambda each: each.__name__)
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_contrast_is_about_the_mean_of_what_brightness_made(
    mode: str, picture: Callable[[], Image.Image], brightness: int, contrast: int
) -> None:
    image = picture().convert(mode)

    result = steps.tone(image, Settings(brightness=brightness, contrast=contrast))

    lighter = ImageEnhance.Brightness(image).enhance(1 + brightness / 100)
    expected = ImageEnhance.Contrast(lighter).enhance(1 + contrast / 100)
    assert abs(pixels(result) - pixels(expected)).max() <= 2


@pytest.mark.parametrize("value", [-100, -30, 30, 100])
@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_contrast_ignores_colours_hidden_under_transparency(mode: str, value: int) -> None:
    image = hidden_color(mode)
    alpha = image.getchannel("A")
    visible = image.convert(mode[:-1]).crop(alpha.getbbox())
    mean = int(ImageStat.Stat(visible.convert("L")).mean[0] + 0.5)
    pivot = Image.new("L", visible.size, mean).convert(visible.mode)

    result = steps.tone(image, Settings(contrast=value))

    expected = Image.blend(pivot, visible, 1 + value / 100)
    assert result.convert(mode[:-1]).crop(alpha.getbbox()).tobytes() == expected.tobytes()


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_tone_leaves_alpha_as_it_is(mode: str) -> None:
    image = in_mode(mode)

    for chosen in (BUSY, Settings(brightness=20), Settings(contrast=20)):
        result = steps.tone(image, chosen)

        assert result.mode == mode
        assert result.tobytes() != image.tobytes()
        assert result.getchannel("A").tobytes() == image.getchannel("A").tobytes()


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_contrast_of_a_fully_transparent_image_does_no_harm(mode: str) -> None:
    image = Image.new(mode, (8, 8))

    result = steps.tone(image, BUSY)

    assert result.getchannel("A").getextrema() == (0, 0)


# --- sharpen ---


@pytest.mark.parametrize("value", [1, 30, 100])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_sharpen_is_an_unsharp_mask_of_radius_2_and_5_percent_a_step(mode: str, value: int) -> None:
    image = photo().convert(mode)

    result = steps.sharpen(image, Settings(sharpen=value))

    expected = image.filter(ImageFilter.UnsharpMask(radius=2, percent=5 * value, threshold=3))
    assert result.tobytes() == expected.tobytes()
    assert value == 1 or result.tobytes() != image.tobytes()


@pytest.mark.parametrize("value", [-1, -30, -100])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_below_zero_sharpen_is_a_blur_of_a_tenth_of_a_pixel_a_step(mode: str, value: int) -> None:
    image = photo().convert(mode)

    result = steps.sharpen(image, Settings(sharpen=value))

    assert result.tobytes() == image.filter(ImageFilter.GaussianBlur(-value / 10)).tobytes()


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
@pytest.mark.parametrize("value", [20, 100])
def test_sharpen_leaves_alpha_as_it_is_and_works_on_what_is_visible(mode: str, value: int) -> None:
    image = photo().convert(mode)
    image.putalpha(Image.linear_gradient("L").resize(image.size).point(lambda level: max(level, 1)))

    result = steps.sharpen(image, Settings(sharpen=value))

    unsharp = ImageFilter.UnsharpMask(radius=2, percent=5 * value, threshold=3)
    assert result.mode == mode
    assert result.getchannel("A").tobytes() == image.getchannel("A").tobytes()
    assert result.convert(mode[:-1]).tobytes() == image.convert(mode[:-1]).filter(unsharp).tobytes()


# --- transparency ---

COLOR_MOVES = [
    Settings(format="png", resize_percent=30),
    Settings(format="png", resize_percent=170),
    Settings(format="png", width=17),
    Settings(format="png", sharpen=100),
    Settings(format="png", sharpen=10),
    Settings(format="png", sharpen=-10),
    Settings(format="png", sharpen=-100),
]


@pytest.mark.parametrize(
    "settings", COLOR_MOVES, ids=lambda each: f"{each.resize_percent}% {each.width} {each.sharpen}"
)
@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_hidden_colours_never_reach_visible_pixels(mode: str, settings: Settings) -> None:
    image = hidden_color(mode)

    clean = image.copy()
    clean.paste((0,) * len(mode), mask=image.getchannel("A").point(lambda level: 255 - level))

    result, expected = (steps.sharpen(steps.resize(each, settings), settings) for each in (image, clean))

    assert abs(displayed_image(result) - displayed_image(expected)).max() <= 1
    middle = pixels(result)[result.height // 2, result.width // 2]
    assert middle[:-1] == pytest.approx(pixels(image)[24, 24, :-1], abs=10)


@pytest.mark.parametrize("value", [10, 100])
@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_sharpen_leaves_one_colour_as_it_is_up_to_the_edge_of_transparency(mode: str, value: int) -> None:
    image = hidden_color(mode)

    result = steps.sharpen(image, Settings(sharpen=value))

    assert abs(displayed_image(result) - displayed_image(image)).max() <= 3


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_blur_softens_alpha_as_it_does_a_mask(mode: str) -> None:
    image = hidden_color(mode)

    result = steps.sharpen(image, Settings(sharpen=-30))

    expected = image.getchannel("A").filter(ImageFilter.GaussianBlur(3))
    assert result.getchannel("A").tobytes() == expected.tobytes()


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_resize_keeps_the_edges_of_alpha(mode: str) -> None:
    image = hidden_color(mode)

    result = steps.resize(image, Settings(resize_percent=50))

    assert (
        result.getchannel("A").tobytes() == image.getchannel("A").resize((24, 24), Image.Resampling.LANCZOS).tobytes()
    )


# --- flatten ---


@pytest.mark.parametrize("background", ["#ffffff", "#000000", "#336699", "#808080"])
@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_flatten_lays_the_picture_on_the_background(mode: str, background: str) -> None:
    image = in_mode(mode)

    result = steps.flatten(image, Settings(format="jpeg", background=background))

    assert abs(pixels(result.convert("RGB")) - displayed_image(image, background)).max() <= 1
    gray = mode == "LA" and background != "#336699"
    assert result.mode == ("L" if gray else "RGB")


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_flatten_hides_what_alpha_hid(mode: str) -> None:
    result = steps.flatten(hidden_color(mode), Settings(format="jpeg", background="#0000ff"))

    assert result.getpixel((0, 0)) == (0, 0, 255)


@pytest.mark.parametrize("format", ENCODERS)
@pytest.mark.parametrize("mode", NORMAL_MODES)
def test_flatten_works_only_for_formats_without_alpha(mode: str, format: str) -> None:
    image = in_mode(mode)

    result = steps.flatten(image, Settings(format=format))

    assert (result is image) == (mode in ("L", "RGB") or ENCODERS[format].SUPPORTS_ALPHA)
    assert not result.mode.endswith("A") or ENCODERS[format].SUPPORTS_ALPHA


# --- strip_metadata ---


@pytest.mark.parametrize("mode", NORMAL_MODES)
def test_strip_metadata_leaves_nothing(mode: str) -> None:
    image = with_info(in_mode(mode))
    image.info["exif"] = exif_bytes(1, gps=True, Make="Acme")

    result = steps.strip_metadata(image, Settings())

    assert result.info == {}
    assert result.tobytes() == image.tobytes()


@pytest.mark.parametrize("value", range(2, 9))
def test_strip_metadata_leaves_an_orientation_that_viewers_need_and_no_other_tag(value: int) -> None:
    image = smooth()
    image.info["exif"] = exif_bytes(value, gps=True, thumbnail=True, Make="Acme")

    result = steps.strip_metadata(image, Settings(auto_orient=False))

    assert result.info == {"exif": exif_bytes(value)}


def test_strip_metadata_keeps_everything_when_it_is_off() -> None:
    image = with_info(smooth())

    assert steps.strip_metadata(image, Settings(strip_metadata=False)) is image


def test_a_picture_made_for_these_tests_is_what_it_says() -> None:
    """The helpers that these tests trust: levels survive the way to an image and back."""
    assert (pixels(from_pixels(pixels(smooth()))) == pixels(smooth())).all()
