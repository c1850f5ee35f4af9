"""The whole way from a source's bytes to a result's: what is seen, what is carried, what is told, what is refused."""

import re
from io import BytesIO
from itertools import product
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter
from PIL.ExifTags import IFD, Base

from optimizer.imaging import pipeline, search, steps
from optimizer.imaging.decode import Source, open_source
from optimizer.imaging.encoders import ENCODERS
from optimizer.imaging.metadata import MAX_EXIF_BYTES
from optimizer.imaging.pipeline import PIPELINE, STEP_WARNINGS, Result, optimize
from optimizer.limits import MAX_PIXELS
from optimizer.problems import DamagedImage, Problem, ResultTooLarge
from optimizer.settings import Settings
from tests.images import (
    CORNERS,
    MODES,
    ORIENTATIONS,
    animation,
    cmyk_profile,
    corner_colors,
    delta_e,
    displayed,
    displayed_image,
    encoded,
    exif_bytes,
    from_pixels,
    gray_profile,
    hidden_color,
    in_mode,
    jpeg_segment,
    metadata_left,
    noise,
    opened,
    photo,
    pixels,
    png_chunk,
    png_with,
    psnr,
    ramp_png_16bit,
    raw_png,
    rgb_profile,
    riff,
    smooth,
    srgb_profile,
    stored_quarters,
    webp_chunks,
)
from tests.sampling import sampled

pytestmark = pytest.mark.whole

FORMATS = list(ENCODERS)
STORED = [(mode, format) for mode in MODES for format in FORMATS if mode in {
    "jpeg": ("L", "RGB", "CMYK"),
    "png": ("1", "L", "L+tRNS", "LA", "P", "P+tRNS", "RGB", "RGB+tRNS", "RGBA", "I;16"),
    "webp": ("RGB", "RGBA"),
}[format]]  # fmt: skip


def settings(**choice: Any) -> Settings:
    return Settings.parse(choice)


def codes(result: Result) -> list[str]:
    return [warning.code for warning in result.warnings]


def source_file(format: str, image: Image.Image, **options: Any) -> bytes:
    """Return the image in a format, as exactly as the format can."""
    if format == "jpeg":
        options |= {"quality": 97} | ({"subsampling": 0} if image.mode != "CMYK" else {})
    if format == "webp":
        options |= {"lossless": True, "exact": True}
    return encoded(image, format, **options)


# --- what is seen ---


@pytest.mark.parametrize("target", FORMATS)
@pytest.mark.parametrize(("mode", "format"), STORED)
def test_every_mode_becomes_the_same_picture_in_every_format(mode: str, format: str, target: str) -> None:
    data = source_file(format, in_mode(mode, smooth(96, 64)))

    result = optimize(data, settings(format=target, quality=100 if target == "png" else 95, background="#c04010"))

    assert (result.format, result.width, result.height) == (target, 96, 64)
    assert opened(result.data).size == (96, 64)
    shown = displayed(result.data, "#c04010")
    expected = displayed(data, "#c04010")
    assert psnr(shown, expected) > 30
    assert delta_e(shown, expected) < (3 if mode.startswith("P") else 2)  # bands are hard for halved chroma
    assert metadata_left(result.data) == []


@pytest.mark.parametrize(
    ("value", "format", "target", "auto", "strip"),
    sampled(product(ORIENTATIONS, FORMATS, FORMATS, [True, False], [True, False])),
)
def test_a_viewer_shows_the_picture_upright_and_turns_it_only_once(
    value: int, format: str, target: str, auto: bool, strip: bool
) -> None:
    data = source_file(format, stored_quarters(value), exif=exif_bytes(value, gps=True, Make="Acme"))
    asked = settings(format=target, auto_orient=auto, strip_metadata=strip, quality=90)

    result = optimize(data, asked)

    image = opened(result.data)
    assert (image.width, image.height) == (result.width, result.height)
    assert image.getexif().get(Base.Orientation, 1) == (1 if auto else value)
    assert corner_colors(from_pixels(displayed(result.data))) == list(CORNERS)
    assert image.size == ((64, 48) if auto or value < 5 else (48, 64))
    assert (b"Acme" in result.data) == (not strip)
    assert ("exif" in result.metadata_removed) == strip
    assert ("gps" in result.metadata_removed) == strip


@pytest.mark.parametrize("behind", [True, False])
@pytest.mark.parametrize("target", FORMATS)
def test_exif_of_a_png_counts_before_and_behind_its_pixels(target: str, behind: bool) -> None:
    plain = encoded(stored_quarters(6), "png")
    data = png_with(plain, png_chunk(b"eXIf", exif_bytes(6)[6:]), behind_pixels=behind)

    result = optimize(data, settings(format=target, width=32))

    assert opened(result.data).size == (32, 24)
    assert corner_colors(opened(result.data)) == list(CORNERS)


def test_fitting_means_the_upright_picture() -> None:
    data = encoded(stored_quarters(6, 64, 48), "jpeg", exif=exif_bytes(6))

    upright = optimize(data, settings(width=32))
    stored = optimize(data, settings(width=32, auto_orient=False))

    assert (upright.width, upright.height) == (32, 24)
    assert (stored.width, stored.height) == (32, 43)


PROFILED = [
    ("RGB", "jpeg", rgb_profile(1.8, "brg")),
    ("RGB", "png", rgb_profile(1.8, "brg")),
    ("RGBA", "png", rgb_profile(1.4)),
    ("P", "png", rgb_profile(1.4, "gbr")),
    ("P+tRNS", "png", rgb_profile(1.4, "gbr")),
    ("RGB", "webp", rgb_profile(1.8, "brg")),
    ("RGBA", "webp", rgb_profile(1.4)),
    ("L", "jpeg", gray_profile(1.0)),
    ("L", "png", gray_profile(1.0)),
    ("LA", "png", gray_profile(1.0)),
    ("CMYK", "jpeg", cmyk_profile()),
]


@pytest.mark.parametrize("strip", [True, False])
@pytest.mark.parametrize("target", FORMATS)
@pytest.mark.parametrize(("mode", "format", "profile"), PROFILED)
def test_colours_are_those_that_the_profile_means(
    mode: str, format: str, profile: bytes, target: str, strip: bool
) -> None:
    data = source_file(format, in_mode(mode, smooth(96, 64)), icc_profile=profile)

    result = optimize(data, settings(format=target, quality=100 if target == "png" else 97, strip_metadata=strip))

    # With the profile kept, soft edges are laid on the background in its colour space instead of sRGB.
    mixed = not strip and target == "jpeg" and (mode.endswith("A") or mode.endswith("tRNS"))
    assert delta_e(displayed(result.data), displayed(data)) < (6 if mixed else 2)
    if strip:
        assert "icc_profile" not in opened(result.data).info
        assert result.metadata_removed == ["icc"]
        assert codes(result)[:1] == ["cmyk_converted" if mode == "CMYK" else "profile_converted"]


@pytest.mark.parametrize("strip", [True, False])
@pytest.mark.parametrize("target", FORMATS)
@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("profile", [b"junk" * 40, rgb_profile(1.4, "brg"), gray_profile(1.0), cmyk_profile()[:300]])
def test_a_profile_that_is_broken_or_of_another_space_costs_no_picture(
    profile: bytes, mode: str, target: str, strip: bool
) -> None:
    data = source_file("jpeg", in_mode(mode, photo(96, 64)), icc_profile=profile)

    result = optimize(data, settings(format=target, quality=97, strip_metadata=strip))

    if profile[16:20] != {"L": b"GRAY", "RGB": b"RGB ", "CMYK": b"CMYK"}[mode]:
        assert (
            psnr(
                pixels(opened(result.data).convert("RGB")),
                displayed(encoded(opened(data), "png" if mode != "CMYK" else "jpeg", icc_profile=b"")),
            )
            > 25
        )


@pytest.mark.parametrize("target", FORMATS)
@pytest.mark.parametrize("color", [False, True])
def test_16_bit_ramps_keep_their_levels_in_every_format(color: bool, target: str) -> None:
    result = optimize(ramp_png_16bit(color), settings(format=target, lossless=True))

    levels = pixels(opened(result.data).convert("L"))[0, :, 0]
    assert (levels[0], levels[-1]) == (0, 255)
    assert abs(levels - np.linspace(0, 255, 4096)).max() <= 2
    if target != "jpeg":
        assert len(np.unique(levels)) == 256
        assert (np.diff(levels) >= 0).all()


# --- JPEG decoded at less than its size ---


@pytest.fixture
def scales(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The sizes that sources were decoded at."""
    seen: list[tuple[int, int]] = []
    load = Source.load

    def watched(self: Source, divisor: int = 1) -> Image.Image:
        image = load(self, divisor)
        seen.append(image.size)
        return image

    monkeypatch.setattr(Source, "load", watched)
    return seen


@pytest.mark.parametrize("value", [1, 3, 6, 8])
@pytest.mark.parametrize("size", [(401, 299), (97, 1), (1, 64)], ids=str)
def test_a_smaller_jpeg_has_exactly_the_size_that_was_asked_for(size: tuple[int, int], value: int) -> None:
    data = encoded(smooth(*size), "jpeg", exif=exif_bytes(value))
    upright = size if value < 5 else size[::-1]

    choices: list[dict[str, Any]] = [{"resize_percent": percent} for percent in range(10, 50)]
    for choice in [*choices, {"width": 33}, {"height": 17}, {"width": 50, "height": 201}]:
        result = optimize(data, settings(quality=50, **choice))

        expected = steps.target_size(upright, settings(**choice))
        assert (result.width, result.height) == opened(result.data).size == expected


@pytest.mark.parametrize("auto", [True, False])
@pytest.mark.parametrize("value", ORIENTATIONS)
@pytest.mark.parametrize(
    "choice", [{"resize_percent": 10}, {"resize_percent": 24}, {"resize_percent": 39}, {"width": 60}], ids=repr
)
def test_a_jpeg_decoded_at_less_is_the_same_picture(
    choice: dict[str, int], value: int, auto: bool, scales: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = encoded(stored_quarters(value, 320, 240), "jpeg", quality=95, subsampling=0, exif=exif_bytes(value))
    asked = settings(format="png", lossless=True, auto_orient=auto, **choice)

    fast = optimize(data, asked)

    monkeypatch.setattr(Source, "divisor_for", lambda *_: None)
    slow = optimize(data, asked)

    assert max(scales[0]) < max(scales[1]) == 320
    assert min(a >= b for a, b in zip(sorted(scales[0]), sorted((fast.width, fast.height)), strict=True))
    assert psnr(displayed(fast.data), displayed(slow.data)) > 30
    assert corner_colors(from_pixels(displayed(fast.data))) == list(CORNERS)


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_a_photo_decoded_at_less_looks_as_it_does_decoded_whole(mode: str, scales: list[tuple[int, int]]) -> None:
    image = in_mode(mode, photo(300, 200))
    data = encoded(image, "jpeg", quality=97, **({"subsampling": 0} if mode == "RGB" else {}))

    result = optimize(data, settings(format="png", lossless=True, resize_percent=20))

    whole = from_pixels(displayed(data)).resize((60, 40), Image.Resampling.LANCZOS)
    assert scales == [(75, 50)]
    assert psnr(displayed(result.data), pixels(whole)) > 32


@pytest.mark.parametrize("choice", [{}, {"resize_percent": 51}, {"resize_percent": 100}, {"resize_percent": 200}])
@pytest.mark.parametrize("value", [1, 6])
def test_a_jpeg_is_decoded_whole_where_half_is_not_enough(
    value: int, choice: dict[str, int], scales: list[tuple[int, int]]
) -> None:
    optimize(encoded(photo(), "jpeg", exif=exif_bytes(value)), settings(**choice))

    assert scales == [(240, 160)]


@pytest.mark.parametrize("choice", [{"resize_percent": 50}, {"width": 120}, {"height": 80}], ids=repr)
def test_no_resized_jpeg_counts_as_untouched(choice: dict[str, int], scales: list[tuple[int, int]]) -> None:
    data = encoded(noise(240, 160), "jpeg", quality=1)

    result = optimize(data, settings(quality=100, **choice))

    assert scales == [(result.width, result.height)]  # so that the step `resize` has nothing to do
    assert len(result.data) > len(data)
    assert not result.kept_original
    assert opened(result.data).size == steps.target_size((240, 160), settings(**choice))
    assert (result.quality, codes(result)) == (95, [])
    assert (result.source.width, result.source.height) == (240, 160)


# --- steps and their order ---


def test_the_steps_stand_in_the_order_that_they_need() -> None:
    place = PIPELINE.index
    assert PIPELINE[0] is steps.orient
    assert place(steps.normalize_mode) < place(steps.convert_cmyk) < place(steps.to_srgb) < place(steps.resize)
    assert place(steps.resize) < place(steps.tone) < place(steps.sharpen)
    assert place(steps.sharpen) < place(steps.flatten)
    assert PIPELINE[-1] is steps.strip_metadata
    assert len(set(PIPELINE)) == len(PIPELINE) == 9


def test_all_steps_together_are_those_of_pillow_one_after_the_other() -> None:
    image = photo(200, 120)
    chosen = settings(resize_percent=50, width=80, brightness=20, contrast=-30, sharpen=40, lossless=True)

    result = optimize(encoded(image, "png"), chosen)

    expected: Image.Image = image.resize((80, 48), Image.Resampling.LANCZOS)
    expected = ImageEnhance.Brightness(expected).enhance(1.2)
    expected = ImageEnhance.Contrast(expected).enhance(0.7)
    expected = expected.filter(ImageFilter.UnsharpMask(radius=2, percent=200, threshold=3))
    assert (pixels(opened(result.data)) == pixels(expected)).all()


VISIBLE_CHOICES: list[dict[str, Any]] = [
    {"resize_percent": 90},
    {"resize_percent": 110},
    {"width": 50},
    {"height": 20},
    {"brightness": 10},
    {"brightness": -10},
    {"contrast": 10},
    {"contrast": -10},
    {"sharpen": 10},
    {"sharpen": -10},
]


@pytest.mark.parametrize("choice", VISIBLE_CHOICES, ids=repr)
@pytest.mark.parametrize("format", FORMATS)
def test_a_visible_choice_is_made_visible_however_large_the_file_gets(format: str, choice: dict[str, Any]) -> None:
    data = encoded(photo(), format, **({} if format == "png" else {"quality": 5}))

    result = optimize(data, settings(quality=95, **choice))

    assert not result.kept_original
    size = steps.target_size((240, 160), settings(**choice))
    assert opened(result.data).size == size
    plain = opened(data).convert("RGB").resize(size, Image.Resampling.LANCZOS)
    if size == (240, 160):
        assert abs(pixels(opened(result.data).convert("RGB")) - pixels(plain)).mean() > 0.5


@pytest.mark.parametrize("target", FORMATS)
@pytest.mark.parametrize(
    "choice",
    [{}, {"resize_percent": 37}, {"resize_percent": 150}, {"sharpen": 80}, {"sharpen": -40}, {"contrast": 60}],
    ids=repr,
)
@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_hidden_colours_show_in_no_format(mode: str, choice: dict[str, int], target: str) -> None:
    hidden, clean = hidden_color(mode), hidden_color(mode)
    clean.paste((0,) * len(mode), mask=clean.getchannel("A").point(lambda level: 255 - level))
    asked = settings(format=target, quality=90, lossless=True, background="#808080", **choice)

    result, expected = (optimize(encoded(image, "png"), asked) for image in (hidden, clean))

    assert abs(displayed(result.data, "#808080") - displayed(expected.data, "#808080")).max() <= 2


# --- what is carried ---

SECRETS = ("A Private Person", "SN-1234567")


def full_of_metadata(format: str) -> bytes:
    exif = exif_bytes(6, gps=True, thumbnail=True, Artist=SECRETS[0], Make=SECRETS[1])
    xmp = f"<x:xmpmeta>{SECRETS[0]}</x:xmpmeta>".encode()
    profile = rgb_profile(1.8) + SECRETS[1].encode()
    image = photo(96, 64)
    if format == "jpeg":
        data = encoded(image, format, exif=exif, xmp=xmp, icc_profile=profile, comment=SECRETS[0].encode())
        return (
            data[:20] + jpeg_segment(0xED, b"Photoshop 3.0\08BIM\4\4\0\0\0\0\0\x10" + SECRETS[0].encode()) + data[20:]
        )
    data = encoded(image, format, exif=exif, icc_profile=profile, **({"xmp": xmp} if format == "webp" else {}))
    if format == "webp":
        return data
    chunks = (
        png_chunk(b"tEXt", b"Author\0" + SECRETS[0].encode()),
        png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp),
    )
    return png_with(data, *chunks)


HELD = {
    "jpeg": ["exif", "gps", "thumbnail", "iptc", "xmp", "icc", "comment"],
    "png": ["exif", "gps", "thumbnail", "xmp", "icc", "text"],
    "webp": ["exif", "gps", "thumbnail", "xmp", "icc"],
}


@pytest.mark.parametrize("choice", [{}, {"auto_orient": False}, {"quality": 100, "lossless": True}], ids=repr)
@pytest.mark.parametrize("target", FORMATS)
@pytest.mark.parametrize("format", FORMATS)
def test_no_metadata_survives_stripping(format: str, target: str, choice: dict[str, Any]) -> None:
    data = full_of_metadata(format)
    assert all(secret.encode() in data for secret in SECRETS[:1])

    result = optimize(data, settings(format=target, **choice))

    assert not any(secret.encode() in result.data for secret in (*SECRETS, "thumbnail secret"))
    assert result.metadata_removed == HELD[format]
    info = opened(result.data).info
    assert not {"icc_profile", "xmp", "comment", "photoshop", "Author", "XML:com.adobe.xmp"} & set(info)
    assert set(opened(result.data).getexif()) <= {Base.Orientation}
    assert metadata_left(result.data) == [] or choice == {"auto_orient": False}


@pytest.mark.parametrize("auto", [True, False])
@pytest.mark.parametrize("target", FORMATS)
@pytest.mark.parametrize("format", FORMATS)
def test_metadata_survives_when_it_is_kept_where_the_format_can_hold_it(format: str, target: str, auto: bool) -> None:
    data = full_of_metadata(format)

    result = optimize(data, settings(format=target, strip_metadata=False, auto_orient=auto))

    image = opened(result.data)
    before, after = opened(data).getexif(), image.getexif()
    assert after[Base.Orientation] == (1 if auto else 6)
    assert {**after, Base.Orientation: 6, IFD.GPSInfo: 0} == {**before, IFD.GPSInfo: 0}
    assert after.get_ifd(IFD.GPSInfo) == before.get_ifd(IFD.GPSInfo) != {}
    assert image.info["icc_profile"] == opened(data).info["icc_profile"]
    assert SECRETS[0].encode() in image.info["xmp"]
    assert ("comment" in image.info) == (format == target == "jpeg")
    assert ("Author" in image.info) == (format == target == "png")
    lost = [kind for kind in ("iptc", "comment", "text") if kind in HELD[format]]
    if format == target:
        lost = ["iptc"] if format == "jpeg" else []
    assert [kind for kind in result.metadata_removed if kind != "thumbnail"] == lost


@pytest.mark.parametrize("strip", [True, False])
@pytest.mark.parametrize("auto", [True, False])
@pytest.mark.parametrize("target", FORMATS)
def test_exif_of_more_than_a_jpeg_segment_never_turns_the_picture(target: str, auto: bool, strip: bool) -> None:
    data = encoded(stored_quarters(6), "png", exif=exif_bytes(6, ImageDescription="x" * 70_000))

    result = optimize(data, settings(format=target, auto_orient=auto, strip_metadata=strip))

    assert corner_colors(from_pixels(displayed(result.data))) == list(CORNERS)
    assert (b"x" * 1_000 in result.data) == (not strip and target != "jpeg")


@pytest.mark.parametrize("strip", [True, False])
@pytest.mark.parametrize("target", FORMATS)
@pytest.mark.parametrize("format", ["png", "webp"])
def test_of_exif_over_its_limit_only_the_orientation_is_read(format: str, target: str, strip: bool) -> None:
    block = exif_bytes(6, gps=True, ImageDescription="x" * MAX_EXIF_BYTES)
    data = source_file(format, stored_quarters(6), exif=block)

    result = optimize(data, settings(format=target, strip_metadata=strip))

    assert corner_colors(opened(result.data)) == list(CORNERS)
    assert set(opened(result.data).getexif()) <= {Base.Orientation}
    assert result.metadata_removed == ["exif"]


@pytest.mark.parametrize("strip", [True, False])
@pytest.mark.parametrize("target", FORMATS)
@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("exif", [b"Exif\0\0junk", b"Exif\0\0II*\0\xff\xff\0\0", exif_bytes(3, Make="x" * 50)[:-30]])
def test_broken_exif_costs_no_picture(exif: bytes, format: str, target: str, strip: bool) -> None:
    data = source_file(format, smooth(), exif=exif)

    result = optimize(data, settings(format=target, strip_metadata=strip, quality=100))

    assert delta_e(displayed(result.data), displayed(data)) < 2
    assert not strip or metadata_left(result.data) == []


@pytest.mark.parametrize("strip", [True, False])
@pytest.mark.parametrize("target", FORMATS)
@pytest.mark.parametrize("format", ["png", "webp"])
def test_huge_xmp_costs_no_picture(format: str, target: str, strip: bool) -> None:
    xmp = b"<x>" * 10**6
    if format == "png":
        data = png_with(encoded(smooth(), "png"), png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp))
    else:
        data = encoded(smooth(), "webp", lossless=True, xmp=xmp)

    result = optimize(data, settings(format=target, strip_metadata=strip, brightness=1, quality=95))

    assert psnr(displayed(result.data), pixels(smooth())) > 35
    assert (len(result.data) > 10**6) == (not strip and target != "jpeg")


# --- keeping the original ---


def small_source(format: str, **options: Any) -> bytes:
    """Return a file that no encoding at the default settings makes smaller."""
    if format == "png":
        return optimize(encoded(noise(mode="L"), "png"), settings(lossless=True)).data
    return encoded(noise(160, 120), format, quality=1 if format == "webp" else 10, **options)


@pytest.mark.parametrize("strip", [True, False])
@pytest.mark.parametrize("format", FORMATS)
def test_the_original_is_kept_when_no_smaller_file_shows_it(format: str, strip: bool) -> None:
    data = small_source(format)

    result = optimize(data, settings(strip_metadata=strip))

    assert result.kept_original
    assert result.quality is None
    assert result.warnings == []
    assert len(result.data) <= len(data)
    assert (result.width, result.height) == opened(data).size
    assert opened(result.data).tobytes() == opened(data).tobytes()
    assert strip or result.data == data


@pytest.mark.parametrize("format", ["jpeg", "webp"])
def test_a_kept_original_is_stripped_and_says_so(format: str) -> None:
    exif = exif_bytes(gps=True, Artist=SECRETS[0])
    data = small_source(format, exif=exif, xmp=b"<x/>", icc_profile=srgb_profile())

    result = optimize(data, settings(quality=100))

    assert result.kept_original
    assert result.metadata_removed == ["exif", "gps", "xmp", "icc"]
    assert metadata_left(result.data) == []
    assert opened(result.data).tobytes() == opened(data).tobytes()


def test_a_kept_png_is_stripped_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    data = png_with(small_source("png"), png_chunk(b"tEXt", b"Author\0" + SECRETS[0].encode()))
    encode = ENCODERS["png"].encode
    monkeypatch.setattr(ENCODERS["png"], "encode", lambda *each: (encode(*each)[0] + bytes(1_000), None))

    result = optimize(data, settings())

    assert result.kept_original
    assert result.data == small_source("png")
    assert result.metadata_removed == ["text"]


@pytest.mark.parametrize("format", ["jpeg", "webp"])
def test_a_kept_original_keeps_all_of_it_when_asked(format: str) -> None:
    data = small_source(format, exif=exif_bytes(1, gps=True))

    result = optimize(data, settings(quality=100, strip_metadata=False))

    assert result.kept_original
    assert result.data == data
    assert result.metadata_removed == []


@pytest.mark.parametrize("target", FORMATS)
@pytest.mark.parametrize("format", FORMATS)
def test_only_the_format_of_the_source_can_keep_it(format: str, target: str) -> None:
    result = optimize(small_source(format), settings(format=target))

    assert result.format == target == opened(result.data).format.lower()  # type: ignore[union-attr]
    assert result.kept_original == (format == target)


def test_a_kept_animation_keeps_its_frames_and_warns_of_nothing() -> None:
    data = animation("webp", 2, noise(32, 24), quality=1, exif=exif_bytes(gps=True))

    result = optimize(data, settings(quality=100))

    assert result.kept_original
    assert result.warnings == []
    assert getattr(Image.open(BytesIO(result.data)), "n_frames", 1) == 2
    assert metadata_left(result.data) == []


@pytest.mark.parametrize("choice", [{}, {"quality": 75}, {"quality": 100}], ids=repr)
@pytest.mark.parametrize("turned", [1, 6])
@pytest.mark.parametrize("profile", [None, rgb_profile(1.8, "brg")])
def test_rewriting_a_poor_jpeg_makes_it_no_larger(profile: bytes | None, turned: int, choice: dict[str, Any]) -> None:
    data = encoded(photo(), "jpeg", quality=60, exif=exif_bytes(turned), icc_profile=profile)

    result = optimize(data, settings(**choice))

    assert len(result.data) <= len(data)
    assert delta_e(displayed(result.data), displayed(data)) < 6
    if profile or turned != 1:
        assert not result.kept_original
        assert result.quality in range(20, 96)


@pytest.mark.parametrize("asked", [1, 80, 100])
def test_the_search_for_a_smaller_file_ends_with_the_smallest(asked: int, monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(noise(), "jpeg", quality=10, exif=exif_bytes(6))
    encode = ENCODERS["jpeg"].encode
    seen: list[float | None] = []

    def stout(image: Image.Image, settings: Settings) -> tuple[bytes, float | None]:
        encoded, quality = encode(image, settings)
        seen.append(quality)
        return encoded + bytes(10_000), quality

    monkeypatch.setattr(ENCODERS["jpeg"], "encode", stout)

    result = optimize(data, settings(quality=asked))

    assert seen[0] == min(asked, 95)
    assert len(seen) <= 1 + search.TRIES
    assert (result.quality, result.kept_original) == (1, False)
    assert codes(result) == (["quality_lowered"] if asked > 1 else [])


@pytest.mark.parametrize("turned", [1, 6])
def test_lowered_quality_is_told_and_warned_of(turned: int) -> None:
    data = encoded(photo(), "jpeg", quality=60, exif=exif_bytes(turned), icc_profile=rgb_profile(1.8, "brg"))

    same = optimize(data, settings(quality=50))
    lowered = optimize(data, settings(quality=95))

    assert (same.quality, codes(same)) == (50, ["profile_converted"])
    assert lowered.quality in range(40, 95)
    assert codes(lowered) == ["profile_converted", "quality_lowered"]


@pytest.mark.parametrize("choice", [{}, {"brightness": 1}], ids=repr)
def test_lossless_is_not_given_up_for_a_smaller_file(choice: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(noise(160, 120), "jpeg", quality=40, exif=exif_bytes(6))
    encode = ENCODERS["jpeg"].encode
    calls: list[Settings] = []

    def counted(image: Image.Image, settings: Settings) -> tuple[bytes, float | None]:
        calls.append(settings)
        return encode(image, settings)

    monkeypatch.setattr(ENCODERS["jpeg"], "encode", counted)

    result = optimize(data, settings(lossless=True, **choice))

    assert len(calls) == 1

    assert len(result.data) > len(data)
    assert (result.quality, result.kept_original) == (95, False)
    assert codes(result) == []
    assert psnr(displayed(result.data), displayed(data)) > 35


@pytest.mark.parametrize("auto", [True, False])
def test_a_picture_that_lies_on_its_side_is_not_kept_without_its_tag(auto: bool) -> None:
    data = encoded(noise(), "jpeg", quality=10, exif=exif_bytes(6))

    stripped = optimize(data, settings(auto_orient=auto))
    whole = optimize(data, settings(auto_orient=False, strip_metadata=False, lossless=True))

    assert not stripped.kept_original
    assert whole.kept_original
    for result in (stripped, whole):
        assert displayed(result.data).shape == displayed(data).shape == (64, 48, 3)


@pytest.mark.parametrize("format", ["jpeg", "webp"])
def test_quality_is_lowered_only_to_spare_what_nobody_asked_for(format: str) -> None:
    data = encoded(photo(), format, quality=30)

    seen = optimize(data, settings(brightness=1))
    another = optimize(data, settings(format="jpeg" if format == "webp" else "webp"))

    assert seen.quality == another.quality == 85


def test_quality_is_lowered_no_further_than_it_takes() -> None:
    data = encoded(photo(), "jpeg", quality=75, exif=exif_bytes(6))

    result = optimize(data, settings(quality=95))

    assert result.quality in range(60, 95)


# --- what is told ---


def test_each_step_that_warns_is_in_the_pipeline_and_its_codes_differ() -> None:
    others = [each for each in vars(pipeline).values() if isinstance(each, pipeline.Warning)]
    every = [*STEP_WARNINGS.values(), *others]

    assert set(STEP_WARNINGS) <= set(PIPELINE)
    assert len(others) == 4
    assert len({warning.code for warning in every}) == len(every)
    assert all(re.fullmatch(r"[a-z_]+", warning.code) and warning.detail.endswith(".") for warning in every)


WARNED: dict[str, tuple[bytes, dict[str, Any], list[str]]] = {
    "nothing": (encoded(photo(), "png"), {"format": "jpeg"}, []),
    "alpha": (encoded(in_mode("RGBA"), "png"), {"format": "jpeg"}, ["alpha_flattened"]),
    "gray alpha": (encoded(in_mode("LA"), "png"), {"format": "jpeg"}, ["alpha_flattened"]),
    "tRNS": (encoded(in_mode("RGB+tRNS"), "png"), {"format": "jpeg"}, ["alpha_flattened"]),
    "palette with tRNS": (encoded(in_mode("P+tRNS"), "png"), {"format": "jpeg"}, ["alpha_flattened"]),
    "alpha that stays": (encoded(in_mode("RGBA"), "png"), {"format": "webp"}, []),
    "alpha that hides nothing": (encoded(photo().convert("RGBA"), "png"), {"format": "jpeg"}, []),
    "profile": (encoded(photo(), "jpeg", icc_profile=rgb_profile(1.4)), {"format": "webp"}, ["profile_converted"]),
    "profile that stays": (
        encoded(photo(), "jpeg", icc_profile=rgb_profile(1.4)),
        {"format": "webp", "strip_metadata": False},
        [],
    ),
    "sRGB profile": (encoded(photo(), "jpeg", icc_profile=srgb_profile()), {"format": "webp"}, []),
    "CMYK": (encoded(in_mode("CMYK"), "jpeg"), {}, ["cmyk_converted"]),
    "CMYK with a profile": (encoded(in_mode("CMYK"), "jpeg", icc_profile=cmyk_profile()), {}, ["cmyk_converted"]),
    "gray of 16 bits": (ramp_png_16bit(False), {"format": "webp"}, ["depth_reduced"]),
    "RGB of 16 bits": (ramp_png_16bit(True), {"format": "webp"}, ["depth_reduced"]),
    "4 bits": (raw_png((2, 1), 4, 0, [b"\xf0"]), {"format": "webp"}, []),
    "animated WebP": (animation("webp", 3), {"format": "png"}, ["animation_reduced"]),
    "animated PNG": (animation("png", 3), {"format": "webp"}, ["animation_reduced"]),
    "alpha in an animation": (
        animation("webp", 2, in_mode("RGBA"), lossless=True),
        {"format": "jpeg"},
        ["animation_reduced", "alpha_flattened"],
    ),
    "alpha with a profile": (
        encoded(in_mode("RGBA"), "png", icc_profile=rgb_profile(1.4)),
        {"format": "jpeg"},
        ["profile_converted", "alpha_flattened"],
    ),
}


@pytest.mark.parametrize(("data", "choice", "expected"), WARNED.values(), ids=WARNED)
def test_a_warning_is_given_when_its_thing_happens_and_never_else(
    data: bytes, choice: dict[str, Any], expected: list[str]
) -> None:
    result = optimize(data, settings(**choice))

    assert codes(result) == expected


@pytest.mark.parametrize("format", FORMATS)
def test_quality_is_told_only_when_pixels_were_given_up(format: str) -> None:
    data = encoded(photo(), "png")

    lossy = optimize(data, settings(format=format, quality=20))
    lossless = optimize(data, settings(format=format, lossless=True))

    assert lossy.quality == 20
    assert not (pixels(opened(lossy.data).convert("RGB")) == pixels(photo())).all()
    assert lossless.quality == (95 if format == "jpeg" else None)
    exact = (pixels(opened(lossless.data).convert("RGB")) == pixels(photo())).all()
    assert exact == (lossless.quality is None)


def test_a_result_knows_its_source() -> None:
    data = encoded(photo(), "png")

    result = optimize(data, settings(format="webp", width=100))

    source = result.source
    assert (source.data, source.format, source.width, source.height) == (data, "png", 240, 160)
    assert (result.format, result.width, result.height) == ("webp", 100, 67)


@pytest.mark.parametrize("format", FORMATS)
def test_original_means_the_format_of_the_source(format: str) -> None:
    result = optimize(encoded(photo(), format), settings())

    assert result.format == format
    assert opened(result.data).format == format.upper()


@pytest.mark.parametrize("choice", [{}, {"lossless": True}, {"quality": 60}, {"strip_metadata": False}], ids=repr)
@pytest.mark.parametrize("target", FORMATS)
@pytest.mark.parametrize("picture", [photo, noise, smooth], ids=lambda each: each.__name__)
def test_optimizing_a_result_again_makes_it_no_larger(picture: Any, target: str, choice: dict[str, Any]) -> None:
    once = optimize(encoded(picture(), "png"), settings(format=target, **choice))

    twice = optimize(once.data, settings(format=target, **choice))

    assert len(twice.data) <= len(once.data)
    assert twice.warnings == []
    assert twice.metadata_removed == []


# --- what is refused ---


def unread(width: int, height: int, exif: bytes = b"") -> Source:
    """Return a source of this size whose pixels nobody has drawn."""
    return Source(b"", "png", width, height, 8, 1, {"exif": exif} if exif else {}, Image.new("1", (1, 1)))


@pytest.mark.parametrize(
    ("width", "height"), [(5_470, 3_646), (6_016, 3_530), (5_824, 6_062), (441, 66_064), (72, 488_673), (5_000, 10_000)]
)
@pytest.mark.parametrize("percent", [101, 119, 150, 163, 200])
def test_too_large_a_result_is_refused_with_the_largest_percent(percent: int, width: int, height: int) -> None:
    def size(percent: int) -> int:
        wide, high = steps.target_size((width, height), Settings(resize_percent=percent))
        return wide * high

    source = unread(width, height)
    if size(percent) <= MAX_PIXELS:
        pipeline._checked_size(source, Settings(format="png", resize_percent=percent))
        return

    with pytest.raises(ResultTooLarge) as refusal:
        pipeline._checked_size(source, Settings(format="png", resize_percent=percent))

    found = re.fullmatch(r"Resize to (\d+) percent at most: the limit is 50 megapixels\.", refusal.value.detail)
    assert found
    largest = int(found[1])
    assert size(largest) <= MAX_PIXELS < size(largest + 1)
    assert refusal.value.errors == [{"field": "resize_percent", "detail": refusal.value.detail}]


def test_a_result_that_is_fitted_into_a_box_is_measured_after_it() -> None:
    pipeline._checked_size(unread(6_000, 5_000), Settings(format="png", resize_percent=200, width=1_000))


def test_too_large_a_result_is_refused_before_anything_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Source, "load", lambda *_: pytest.fail("decoded"))

    with pytest.raises(ResultTooLarge):
        optimize(raw_png((7_000, 7_000), 8, 2, [b""]), settings(resize_percent=200))


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("upright", [True, False])
def test_a_side_that_the_format_cannot_hold_is_refused(upright: bool, format: str) -> None:
    side = ENCODERS[format].MAX_SIDE
    exif = exif_bytes(6)
    pipeline._checked_size(unread(side, 1, exif) if side < MAX_PIXELS else unread(10, 1), Settings(format=format))
    if side > MAX_PIXELS:
        return

    with pytest.raises(ResultTooLarge, match=f"{ENCODERS[format].TITLE} allows {side} a side"):
        pipeline._checked_size(unread(side + 1, 1, exif), Settings(format=format, auto_orient=upright))


def test_the_size_that_counts_is_the_stored_one_when_nothing_is_turned() -> None:
    source = unread(12_000, 100, exif_bytes(6))
    chosen = {"format": "webp", "width": 16_383, "resize_percent": 200}

    pipeline._checked_size(source, settings(auto_orient=False, **chosen))
    with pytest.raises(ResultTooLarge, match="200 x 24000"):
        pipeline._checked_size(source, settings(**chosen))


def test_16_384_pixels_are_one_too_many_for_a_webp_but_not_for_the_others() -> None:
    data = encoded(Image.new("L", (16_384, 1)), "png")

    with pytest.raises(ResultTooLarge, match=r"16384 x 1 pixels.*another format"):
        optimize(data, settings(format="webp"))
    for choice in ({"format": "png"}, {"format": "jpeg"}, {"format": "webp", "width": 16_383}):
        assert opened(optimize(data, settings(**choice)).data).width >= 16_383


@pytest.mark.parametrize("behind", [True, False])
def test_the_size_that_counts_is_the_upright_one_wherever_its_exif_stands(behind: bool) -> None:
    plain = encoded(Image.new("L", (12_000, 100)), "png")
    data = png_with(plain, png_chunk(b"eXIf", exif_bytes(6)[6:]), behind_pixels=behind)

    with pytest.raises(ResultTooLarge):
        optimize(data, settings(format="webp", width=16_383, resize_percent=200))
    result = optimize(data, settings(format="webp", height=16_383, resize_percent=200))
    assert (result.width, result.height) == (137, 16_383)


def test_every_refusal_says_what_to_do() -> None:
    refused = [
        (b"", settings()),
        (b"GIF89a", settings()),
        (encoded(smooth(), "png")[:-40], settings()),
        (encoded(Image.new("L", (16_384, 1)), "png"), settings(format="webp")),
    ]

    for data, chosen in refused:
        with pytest.raises(Problem) as refusal:
            optimize(data, chosen)
        assert refusal.value.status in (413, 415, 422)
        assert re.search(r"(Choose|Convert|Export|Send|Make|Resize) .*\.$", refusal.value.detail)


@pytest.mark.parametrize("format", FORMATS)
def test_optimize_refuses_what_cannot_be_decoded_to_the_end(format: str) -> None:
    data = encoded(noise(), format)

    with pytest.raises(DamagedImage):
        optimize(data[: len(data) * 2 // 3], settings())


def test_a_webp_with_chunks_behind_its_picture_is_stripped_of_them() -> None:
    data = riff(*webp_chunks(encoded(noise(), "webp", quality=1, exif=exif_bytes(gps=True))), (b"prVt", b"secret"))

    result = optimize(data, settings(quality=100))

    assert result.kept_original
    assert metadata_left(result.data) == []


def test_steps_work_on_every_file_they_meet_through_the_source() -> None:
    """`load` hands over the pixels of the file and what `clean_info` found, and leaves the source's own info alone."""
    source = open_source(encoded(in_mode("L+tRNS"), "png", exif=exif_bytes(6)))

    image = source.load()
    image.info.clear()

    assert set(source.info) == {"transparency", "exif"}
    assert displayed_image(image).shape == (48, 64, 3)
