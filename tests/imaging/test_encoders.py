"""Every encoder of the table by the same claims, and what each format promises beyond them."""

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageFile, JpegImagePlugin

from optimizer.imaging.decode import read_info
from optimizer.imaging.encoders import ENCODERS, jpeg, png, webp
from optimizer.imaging.metadata import Info
from optimizer.settings import Settings
from tests.images import (
    NORMAL_MODES,
    encoded,
    exif_bytes,
    from_pixels,
    hidden_color,
    in_mode,
    jpeg_markers,
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
    least = 28 if choice.get("quality") == 30 else 34
    visible = pixels(image)[..., -1] > 0 if mode.endswith("A") else np.ones((48, 64), dtype=bool)
    assert psnr(pixels(result)[visible], pixels(image)[visible]) > least


@pytest.mark.parametrize(("format", "mode"), FORMATS_AND_MODES)
@pytest.mark.parametrize("quality", [1, 10, 50, 85, 88, 95, 100])
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

    assert read_info(data, format) == {key: CARRIED[key] for key in CAN_CARRY[format]}


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
def test_one_pixel_more_than_the_longest_side_is_too_much_for_the_format(format: str) -> None:
    image = Image.new("L", (ENCODERS[format].MAX_SIDE + 37, 1))

    with pytest.raises((OSError, ValueError)):
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


# --- JPEG ---


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("quality", [1, 40, 85, 95])
def test_jpeg_is_progressive(quality: int, mode: str) -> None:
    data, _ = jpeg.encode(photo().convert(mode), Settings(quality=quality))

    markers = [marker for marker, _ in jpeg_markers(data)]
    assert 0xC2 in markers  # progressive frame
    assert markers.count(0xDA) > 1  # in several scans
    assert opened(data).mode == mode


def test_jpeg_has_tables_made_for_the_image() -> None:
    image = photo()

    data, _ = jpeg.encode(image, Settings(quality=85))

    plain = encoded(image, "jpeg", quality=85)
    assert len(data) < len(plain)
    assert opened(data).tobytes() == opened(plain).tobytes()


@pytest.mark.parametrize(("asked", "told"), [(1, 1), (85, 85), (95, 95), (96, 95), (100, 95)])
def test_jpeg_quality_is_capped_at_95_and_told_truly(asked: int, told: int) -> None:
    data, quality = jpeg.encode(photo(), Settings(quality=asked))

    assert quality == told
    sampling = 0 if told >= 88 else 2
    expected = encoded(photo(), "jpeg", quality=told, subsampling=sampling)
    assert opened(data).tobytes() == opened(expected).tobytes()


def test_lossless_jpeg_is_of_the_best_quality() -> None:
    data, quality = jpeg.encode(photo(), Settings(lossless=True, quality=10))

    assert quality == 95
    assert opened(data).tobytes() == opened(encoded(photo(), "jpeg", quality=95, subsampling=0)).tobytes()


@pytest.mark.parametrize(("quality", "sampling"), [(1, 2), (50, 2), (87, 2), (88, 0), (95, 0)])
def test_jpeg_halves_chroma_below_quality_88_only(quality: int, sampling: int) -> None:
    data, _ = jpeg.encode(photo(), Settings(quality=quality))

    image = opened(data)
    assert isinstance(image, JpegImagePlugin.JpegImageFile)
    assert JpegImagePlugin.get_sampling(image) == sampling


def test_noise_that_bursts_pillows_buffer_is_encoded_and_the_buffer_restored() -> None:
    image = noise(700, 500)
    usual = ImageFile.MAXBLOCK

    with pytest.raises(OSError, match="broken data stream"):  # the bug this guards against; without it the guard can go
        jpeg._save(image, 95)
    data, quality = jpeg.encode(image, Settings(quality=95))

    assert (opened(data).size, quality) == ((700, 500), 95)
    assert usual == ImageFile.MAXBLOCK


def test_a_jpeg_that_fails_for_another_reason_fails_and_the_buffer_is_restored() -> None:
    usual = ImageFile.MAXBLOCK

    with pytest.raises(OSError, match="cannot write mode RGBA"):
        jpeg.encode(noise(mode="RGBA"), Settings())

    assert usual == ImageFile.MAXBLOCK


@pytest.mark.parametrize("key", ["exif", "xmp", "comment"])
def test_jpeg_leaves_out_what_does_not_fit_into_a_segment(key: str) -> None:
    longest = jpeg.MAX_BYTES[key]
    prefix = b"Exif\0\0" if key == "exif" else b""

    for length, fits in ((longest, True), (longest + 1, False)):
        image = smooth()
        image.info = {key: prefix + b"x" * (length - len(prefix))}

        data, _ = jpeg.encode(image, Settings())

        assert (key in read_info(data, "jpeg")) == fits


@pytest.mark.parametrize("turned", [1, 6])
def test_jpeg_keeps_the_orientation_of_exif_that_does_not_fit(turned: int) -> None:
    image = smooth()
    image.info = {"exif": exif_bytes(turned, ImageDescription="x" * 70_000)}

    data, _ = jpeg.encode(image, Settings())

    assert opened(data).getexif().get(0x0112, 1) == turned
    assert len(data) < 60_000


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
    assert psnr(pixels(opened(palette).convert("RGB")), pixels(image)) > 50


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
@pytest.mark.parametrize("quality", [1, 20, 40, 60, 80, 99])
@pytest.mark.parametrize("picture", [smooth, photo, noise], ids=lambda each: each.__name__)
def test_a_palette_holds_the_signal_that_the_quality_promises(
    picture: Callable[[], Image.Image], quality: int, mode: str
) -> None:
    image = in_mode(mode, picture())

    data, told = png.encode(image, Settings(quality=quality))

    result = opened(data)
    if told is None:
        assert (pixels(result.convert(mode)) == pixels(image)).all()
    else:
        assert told == quality
        assert result.mode == "P"
        assert psnr(pixels(result.convert(mode)), pixels(image)) >= 30 + quality / 5


def test_a_palette_is_used_where_it_is_smaller() -> None:
    image = photo()

    data, told = png.encode(image, Settings(quality=1))

    assert told == 1
    assert len(data) < len(png.encode(image, Settings(lossless=True))[0])


def test_a_palette_that_is_not_smaller_is_not_used() -> None:
    image = noise(12, 24)  # the palette alone is as long as the pixels
    image.putpixel((0, 0), (1, 2, 3))

    _, told = png.encode(image, Settings(quality=1))

    assert told is None


def test_a_palette_must_hold_the_whole_image_not_only_the_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    image = photo(600, 400)
    seen: list[tuple[int, int]] = []

    def holds(quantized: Image.Image, image: Image.Image, quality: int) -> bool:
        seen.append(image.size)
        return image.width <= png.SAMPLE_SIDE

    monkeypatch.setattr(png, "_holds", holds)

    _, told = png.encode(image, Settings(quality=50))

    assert told is None
    assert seen == [(256, 171), (600, 400)]


def test_a_sample_that_no_palette_holds_spares_the_whole_image(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, int]] = []
    quantize = png._quantize

    def watched(image: Image.Image) -> Image.Image:
        seen.append(image.size)
        return quantize(image)

    monkeypatch.setattr(png, "_quantize", watched)

    png.encode(noise(600, 400), Settings(quality=85))

    assert seen == [(256, 171)]


@pytest.mark.parametrize("mode", ["L", "LA"])
def test_gray_stays_gray_and_exact(mode: str) -> None:
    image = in_mode(mode, photo())

    data, told = png.encode(image, Settings(quality=1))

    assert told is None
    assert (pixels(opened(data).convert(mode)) == pixels(image)).all()


def test_png_is_packed_better_than_pillow_does() -> None:
    data, _ = png.encode(photo(), Settings(lossless=True))

    assert len(data) < len(encoded(photo(), "png", optimize=True))


@pytest.mark.parametrize("pixels", [10, 1_000_000, 1_000_001, 8_000_000, 8_000_001, 50_000_000])
def test_the_larger_the_png_the_less_effort_it_gets(pixels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    levels: list[int] = []

    def optimize(data: bytes, level: int) -> bytes:
        levels.append(level)
        return data

    monkeypatch.setattr("oxipng.optimize_from_memory", optimize)
    monkeypatch.setattr(Image.Image, "save", lambda *_, **__: None)

    png._save(Image.new("1", (pixels, 1)), Image.new("1", (pixels, 1)))

    assert levels == [2 if pixels <= 1_000_000 else 1 if pixels <= 8_000_000 else 0]


def test_xmp_that_is_no_utf8_costs_no_picture() -> None:
    image = smooth()
    image.info = {"xmp": b"<x>\xff\xfe</x>"}

    data, _ = png.encode(image, Settings())

    assert b"<x>" in read_info(data, "png")["xmp"]
    assert [kind for kind, _ in png_chunks(data)].count(b"iTXt") == 1


# --- WebP ---


@pytest.mark.parametrize("lossless", [False, True])
@pytest.mark.parametrize(("large", "lossy_method", "lossless_method"), [(False, 4, 2), (True, 2, 0)])
def test_a_large_webp_gets_less_effort(
    large: bool, lossy_method: int, lossless_method: int, lossless: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = photo()
    monkeypatch.setattr(webp, "LARGE_PIXELS", image.width * image.height - large)

    data, _ = webp.encode(image, Settings(lossless=lossless, quality=70))

    method, quality = (lossless_method, 50) if lossless else (lossy_method, 70)
    assert len(data) == len(encoded(image, "webp", lossless=lossless, quality=quality, method=method))


@pytest.mark.parametrize("choice", [{"quality": 1}, {"quality": 85}, {"lossless": True}], ids=repr)
@pytest.mark.parametrize("format", LOSSLESS)
def test_alpha_is_kept_exactly(format: str, choice: dict[str, int]) -> None:
    image = hidden_color()

    data, _ = ENCODERS[format].encode(image, Settings(**choice))  # type: ignore[arg-type]

    assert opened(data).convert("RGBA").getchannel("A").tobytes() == image.getchannel("A").tobytes()
