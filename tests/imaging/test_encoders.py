"""Every encoder of the table by the same claims, and what each format promises beyond them."""

from collections.abc import Callable
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
from ajpegli.errors import EncodeError
from PIL import Image

from optimizer.imaging.content import is_flat
from optimizer.imaging.decode import read_info
from optimizer.imaging.encoders import ENCODERS, png, webp
from optimizer.imaging.metadata import Info
from optimizer.imaging.perception import similarity
from optimizer.imaging.quantize import Palette, Quantizer
from optimizer.settings import Settings
from tests.images import (
    NORMAL_MODES,
    Pixels,
    drawing,
    encoded,
    exif_bytes,
    from_pixels,
    hidden_color,
    in_mode,
    noise,
    opened,
    photo,
    pixels,
    png_chunks,
    psnr,
    smooth,
    srgb_profile,
    webp_chunks,
)
from tests.sampling import sampled

FORMATS = list(ENCODERS)
LOSSLESS = ["png", "webp"]


def modes_of(format: str) -> list[str]:
    return [mode for mode in NORMAL_MODES if ENCODERS[format].SUPPORTS_ALPHA or not mode.endswith("A")]


FORMATS_AND_MODES = [(format, mode) for format in FORMATS for mode in modes_of(format)]


def tiles(colors: int, mode: str = "RGB") -> Image.Image:
    """Return a picture of so many colours."""
    levels = np.random.default_rng(5).permutation(256**2)[:colors]
    palette = np.stack([levels % 256, levels // 256, levels % 7, 255 - levels % 2 * 100], axis=-1)[:, : len(mode)]
    return from_pixels(palette[np.arange(64 * 64).reshape(64, 64) // 3 % colors].astype(np.float64))


# --- every encoder ---


@pytest.mark.parametrize("name", FORMATS)
def test_an_encoder_says_what_its_files_are(name: str) -> None:
    encoder = ENCODERS[name]

    data, _ = encoder.encode(smooth(), Settings())

    image = opened(data)
    assert image.format == name.upper()
    assert Image.MIME[name.upper()] == encoder.MEDIA_TYPE
    assert Image.registered_extensions()[f".{encoder.EXTENSION}"] == name.upper()
    assert encoder.TITLE.lower() == name


@pytest.mark.parametrize(("format", "mode"), FORMATS_AND_MODES)
@pytest.mark.parametrize("choice", [{}, {"quality": 95}, {"quality": 30}, {"lossless": True}], ids=repr)
def test_a_result_opens_with_the_size_and_the_picture(format: str, mode: str, choice: dict[str, int]) -> None:
    image = in_mode(mode)

    data, _ = ENCODERS[format].encode(image, Settings(**choice))  # type: ignore[arg-type]

    result = opened(data).convert(mode)
    assert result.size == image.size
    least = 34 if choice.get("quality") != 30 else 22 if opened(data).mode == "P" else 28
    assert psnr(on_black(result), on_black(image)) > least


def on_black(image: Image.Image) -> Pixels:
    """Return the levels as they show on black, and those of alpha."""
    levels = pixels(image)
    if image.mode.endswith("A"):
        levels[..., :-1] *= levels[..., -1:] / 255
    return levels


@pytest.mark.parametrize(
    ("quality", "format", "mode"),
    sampled((quality, *each) for quality in [1, 10, 50, 85, 88, 95, 100] for each in FORMATS_AND_MODES),
)
def test_noise_of_any_size_can_be_encoded(quality: int, format: str, mode: str) -> None:
    for size in ((1, 1), (3, 2), (120, 90)):
        data, _ = ENCODERS[format].encode(noise(*size, mode=mode), Settings(quality=quality))

        assert opened(data).size == size


@pytest.mark.parametrize("format", FORMATS)
def test_lower_quality_is_smaller(format: str) -> None:
    sizes = [len(ENCODERS[format].encode(photo(), Settings(quality=quality))[0]) for quality in (95, 75, 40, 10)]

    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < sizes[0]


@pytest.mark.parametrize("format", FORMATS)
def test_encoding_does_not_touch_the_image(format: str) -> None:
    image = photo()
    image.info = {"exif": exif_bytes(6), "comment": b"c", "xmp": b"x", "text": {"a": "b"}}
    before = image.tobytes(), dict(image.info)

    ENCODERS[format].encode(image, Settings(quality=40))

    assert (image.tobytes(), image.info) == before


CARRIED: Info = {
    "exif": exif_bytes(1, gps=True, Make="Acme"),
    "icc_profile": srgb_profile(),
    "xmp": b"<x:xmpmeta>\xc3\xa9</x:xmpmeta>",
    "comment": b"a comment",
    "text": {"Title": "café ☕", "Software": "x"},
}
CAN_CARRY = {
    "jpeg": {"exif", "icc_profile", "xmp", "comment"},
    "png": {"exif", "icc_profile", "xmp", "text"},
    "webp": {"exif", "icc_profile", "xmp"},
}


@pytest.mark.parametrize(("format", "mode"), FORMATS_AND_MODES)
@pytest.mark.parametrize("settings", [Settings(), Settings(quality=40), Settings(lossless=True)])
def test_a_file_carries_what_the_image_does_where_the_format_can(settings: Settings, format: str, mode: str) -> None:
    image = in_mode(mode)
    image.info = dict(CARRIED)

    data, _ = ENCODERS[format].encode(image, settings)

    carried = {key: value for key, value in read_info(data, format).items() if key != "transparency"}  # of a palette
    assert carried == {key: CARRIED[key] for key in CAN_CARRY[format]}


@pytest.mark.parametrize(("format", "mode"), FORMATS_AND_MODES)
def test_a_file_carries_nothing_when_the_image_does_not(format: str, mode: str) -> None:
    data, _ = ENCODERS[format].encode(in_mode(mode), Settings())

    assert read_info(data, format) == {}


@pytest.mark.parametrize("format", FORMATS)
def test_the_longest_side_is_what_the_format_holds(format: str) -> None:
    side = ENCODERS[format].MAX_SIDE
    if side > 10**6:
        side = 100_000  # of PNG's two thousand million, as many as a test can draw

    data, _ = ENCODERS[format].encode(Image.new("L", (side, 1), 99), Settings())

    assert opened(data).size == (side, 1)


@pytest.mark.parametrize("format", ["jpeg", "webp"])
def test_more_than_the_longest_side_is_too_much_for_the_format(format: str) -> None:
    # Between the two ajpegli 1.0 dies of a segmentation fault; `_checked_size` lets nothing so long through.
    image = Image.new("L", (ENCODERS[format].MAX_SIDE + 37, 1))

    with pytest.raises((OSError, ValueError, EncodeError)):
        ENCODERS[format].encode(image, Settings())


# --- truth about quality ---


@pytest.mark.parametrize("format", LOSSLESS)
@pytest.mark.parametrize("mode", NORMAL_MODES)
@pytest.mark.parametrize("picture", [smooth, noise, photo], ids=lambda each: each.__name__)
def test_lossless_keeps_every_pixel_and_says_so(picture: Callable[[], Image.Image], mode: str, format: str) -> None:
    image = in_mode(mode, picture())

    data, quality = ENCODERS[format].encode(image, Settings(lossless=True, quality=10))

    result = opened(data).convert(mode)
    assert quality is None
    visible = (
        pixels(image)[..., -1] > 0 if mode.endswith("A") and format == "webp" else np.ones(image.size[::-1], dtype=bool)
    )
    assert (pixels(result)[visible] == pixels(image)[visible]).all()


@pytest.mark.parametrize("quality", [1, 50, 85, 100])
def test_webp_tells_the_quality_it_worked_with(quality: int) -> None:
    data, told = webp.encode(photo(), Settings(quality=quality))

    assert told == quality
    assert [kind for kind, _ in webp_chunks(data)] == [b"VP8 "]


def test_webp_lossless_is_the_lossless_codec() -> None:
    data, _ = webp.encode(photo(), Settings(lossless=True))

    assert [kind for kind, _ in webp_chunks(data)] == [b"VP8L"]


# --- PNG ---


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
@pytest.mark.parametrize("colors", [1, 2, 16, 200, 256])
@pytest.mark.parametrize("quality", [1, 85, 100])
def test_up_to_256_colours_stay_exact(quality: int, colors: int, mode: str) -> None:
    image = tiles(colors, mode)

    data, told = png.encode(image, Settings(quality=quality))

    assert told is None
    assert (pixels(opened(data).convert(mode)) == pixels(image)).all()
    if colors == 16:
        assert opened(data).mode == "P"


@pytest.mark.parametrize("mode", NORMAL_MODES)
def test_png_of_quality_100_keeps_every_pixel(mode: str) -> None:
    image = in_mode(mode, photo())

    data, told = png.encode(image, Settings(quality=100))

    assert told is None
    assert (pixels(opened(data).convert(mode)) == pixels(image)).all()


def test_only_quality_100_keeps_colours_that_nobody_tells_apart() -> None:
    levels = np.random.default_rng(3).integers(0, 343, (128, 128))
    image = from_pixels(100.0 + np.stack([levels // 49, levels // 7 % 7, levels % 7], axis=-1))

    exact, kept = png.encode(image, Settings(quality=100))
    palette, given_up = png.encode(image, Settings(quality=90))

    assert (kept, given_up) == (None, 90)
    assert opened(exact).convert("RGB").tobytes() == image.tobytes()
    assert psnr(pixels(opened(palette).convert("RGB")), pixels(image)) > 40


@pytest.mark.parametrize(
    ("picture", "quality", "mode"),
    sampled(product([smooth, photo, noise], [1, 20, 40.5, 60, 85, 95, 99], ["RGB", "RGBA"])),
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_palette_holds_the_similarity_that_the_quality_promises(
    picture: Callable[[], Image.Image], quality: float, mode: str
) -> None:
    image = in_mode(mode, picture())

    data, told = png.encode(image, with_quality(quality))

    result = opened(data)
    if told is None:
        assert (pixels(result.convert(mode)) == pixels(image)).all()
    else:
        assert told == quality
        assert result.mode == "P"
        assert similarity(image, result.convert(mode)) >= png._between(png._FLOORS, quality)


def with_quality(quality: float) -> Settings:
    """Return settings with a quality that a search has come to, which need not be whole."""
    return replace(Settings(), quality=quality)


@pytest.mark.parametrize("quality", [10, 30, 50, 70, 85])
def test_png_uses_no_more_colours_than_the_aim_needs(quality: int) -> None:
    image = photo()

    data, told = png.encode(image, Settings(quality=quality))

    result = opened(data)
    colors = len(result.getcolors() or [])
    assert told == quality
    assert colors <= 256
    assert similarity(image, result.convert("RGB")) >= png._between(png._AIMS, quality) or colors > 128
    fewer = Quantizer(image).palette(colors // 2).apply(image).convert("RGB")
    assert similarity(image, fewer) < png._between(png._AIMS, quality)


def test_a_small_badge_keeps_its_colour() -> None:
    rows = np.random.default_rng(4).integers(0, 30, (90, 120)).repeat(10, axis=0).repeat(10, axis=1)
    levels = 30 + np.stack([rows, rows + rows % 7, rows + rows % 5], axis=-1) * 6.0
    levels[600:612, 500:512] = (230, 40, 40)
    levels[0, :300] = np.arange(900).reshape(300, 3) % 251  # too many colours for an exact palette

    data, told = png.encode(from_pixels(levels), Settings())

    red, green, blue = pixels(opened(data).convert("RGB"))[606, 506]
    assert told == 85
    assert red - max(green, blue) > 120


@pytest.mark.parametrize("picture", [smooth, photo], ids=lambda each: each.__name__)
def test_less_quality_makes_no_larger_png(picture: Callable[[], Image.Image]) -> None:
    image = picture()

    encodings = [png.encode(image, Settings(quality=quality)) for quality in (100, 95, 85, 70, 50, 30, 10, 1)]

    sizes = [len(data) for data, _ in encodings]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < sizes[0] / 2
    assert encodings[-1][1] == 1


@pytest.mark.parametrize("score", [-80, 0, 45, 60, 82, 97])
def test_the_quality_for_a_score_has_it_for_its_aim(score: float) -> None:
    assert png._between(png._AIMS, png.quality_for(score)) == pytest.approx(score)


def test_scores_beyond_every_aim_get_the_ends_of_the_scale() -> None:
    assert (png.quality_for(-1_000), png.quality_for(100)) == (1, 100)


def test_a_palette_is_used_where_it_is_smaller() -> None:
    image = photo()

    data, told = png.encode(image, Settings(quality=1))

    assert told == 1
    assert len(data) < len(png.encode(image, Settings(lossless=True))[0])


def test_pixels_that_pack_smaller_than_a_palette_are_kept() -> None:
    y, x = np.mgrid[0:256, 0:256]
    image = from_pixels(np.stack([x, y, (x + y) % 256], axis=-1).astype(np.float32))

    data, told = png.encode(image, Settings(quality=30))

    assert told is None
    assert data == png.encode(image, Settings(lossless=True))[0]


def test_an_image_that_no_palette_holds_is_not_mapped(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, int]] = []
    apply = Palette.apply

    def watched(self: Palette, image: Image.Image) -> Image.Image:
        seen.append(image.size)
        return apply(self, image)

    monkeypatch.setattr(Palette, "apply", watched)

    _, told = png.encode(noise(900, 800, "RGBA"), Settings(quality=85))

    assert told is None
    assert set(seen) == {(512, 512)}


@pytest.mark.parametrize("mode", ["L", "LA"])
def test_gray_stays_gray_and_exact(mode: str) -> None:
    image = in_mode(mode, photo())

    data, told = png.encode(image, Settings(quality=1))

    assert told is None
    assert (pixels(opened(data).convert(mode)) == pixels(image)).all()


def test_png_is_packed_better_than_pillow_does() -> None:
    data, _ = png.encode(photo(), Settings(lossless=True))

    assert len(data) < len(encoded(photo(), "png", optimize=True))


def test_the_larger_the_png_the_less_effort_it_gets(monkeypatch: pytest.MonkeyPatch) -> None:
    efforts: list[dict[str, Any]] = []

    def optimize(data: bytes, **options: Any) -> bytes:
        efforts.append(options)
        return data

    monkeypatch.setattr("oxipng.optimize_from_memory", optimize)

    for side in (1_000, 2_000, 3_000):
        png.encode(Image.new("1", (side, side)), Settings(lossless=True))

    assert [(effort["level"], len(effort.get("filter", []))) for effort in efforts] == [(0, 3), (0, 2), (0, 0)]


def test_xmp_that_is_no_utf8_costs_no_picture() -> None:
    image = smooth()
    image.info = {"xmp": b"<x>\xff\xfe</x>"}

    data, _ = png.encode(image, Settings())

    assert b"<x>" in read_info(data, "png")["xmp"]
    assert [kind for kind, _ in png_chunks(data)].count(b"iTXt") == 1


# --- WebP ---


@pytest.mark.parametrize("lossless", [False, True])
@pytest.mark.parametrize(
    ("mode", "size", "lossy_method", "lossless_method"),
    [
        ("RGB", "small", 6, 2),
        ("RGB", "medium", 5, 2),
        ("RGB", "large", 2, 0),
        ("RGBA", "small", 4, 2),
        ("RGBA", "medium", 4, 2),
        ("RGBA", "large", 2, 0),
    ],
)
def test_the_larger_a_webp_and_with_alpha_the_less_effort_it_gets(
    mode: str, size: str, lossy_method: int, lossless_method: int, lossless: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = in_mode(mode, photo())
    count = image.width * image.height
    monkeypatch.setattr(webp, "SMALL_PIXELS", count + (size == "small"))
    monkeypatch.setattr(webp, "LARGE_PIXELS", count - (size == "large"))

    data, _ = webp.encode(image, Settings(lossless=lossless, quality=70))

    method, quality = (lossless_method, 50) if lossless else (lossy_method, 70)
    assert len(data) == len(encoded(image, "webp", lossless=lossless, quality=quality, method=method))


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
@pytest.mark.parametrize("quality", [30, 60, 100])
def test_a_drawing_becomes_a_lossless_webp_where_that_is_no_larger(quality: int, mode: str) -> None:
    image = drawing().convert(mode)

    data, told = webp.encode(image, Settings(quality=quality))

    assert told is None
    assert [kind for kind, _ in webp_chunks(data)] == [b"VP8L"]
    assert len(data) <= len(encoded(image, "webp", quality=quality, method=6))
    assert opened(data).convert("RGB").tobytes() == image.convert("RGB").tobytes()


def test_a_drawing_stays_lossy_where_a_lossless_webp_would_be_larger() -> None:
    image = drawing()
    image.paste(noise(60, 50), (4, 4))

    data, told = webp.encode(image, Settings(quality=1))

    assert is_flat(image)
    assert told == 1
    assert [kind for kind, _ in webp_chunks(data)] == [b"VP8 "]


@pytest.mark.parametrize("choice", [{"quality": 1}, {"quality": 85}, {"lossless": True}], ids=repr)
@pytest.mark.parametrize("format", LOSSLESS)
def test_alpha_is_kept_exactly(format: str, choice: dict[str, int]) -> None:
    image = hidden_color()

    data, _ = ENCODERS[format].encode(image, Settings(**choice))  # type: ignore[arg-type]

    assert opened(data).convert("RGBA").getchannel("A").tobytes() == image.getchannel("A").tobytes()
