"""Encoding by aim: what is reached, at what cost, and that no aim is too much for any image."""

from collections.abc import Callable
from itertools import count, product
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from optimizer.imaging import perception, search
from optimizer.imaging.decode import open_source
from optimizer.imaging.encoders import ENCODERS, png
from optimizer.imaging.perception import similarity
from optimizer.imaging.pipeline import optimize
from optimizer.imaging.search import SIZE_TOLERANCE, TRIALS, TRIES, Encoded
from optimizer.settings import SIMILARITIES, Settings
from tests.images import drawing, encoded, exif_bytes, in_mode, noise, opened, photo, pixels, smooth
from tests.sampling import WHOLE, sampled

pytestmark = pytest.mark.whole

CORPUS = Path(__file__).parents[1] / "corpus"
LOSSY = ["jpeg", "webp"]
SIDE = 32  # of a tile, for small pictures to be searched as large ones are
CALLS: list[tuple[tuple[int, int], str]] = []  # size and format of each encode since the test began
AIMS: list[dict[str, Any]] = [
    {"auto_quality": "balanced"},
    {"target_bytes": 1_000},
    {"auto_quality": "high", "target_bytes": 1_000},
    {"auto_quality": "small", "target_bytes": 1_000, "lossless": True},
]


def settings(**choice: Any) -> Settings:
    return Settings.parse(choice)


@pytest.fixture(scope="module")
def flower() -> Image.Image:
    """A photo from a camera, larger than its mosaic."""
    source = open_source((CORPUS / "photo-flower-3mp.jpg").read_bytes())
    return source.load(2).resize((720, 480), Image.Resampling.LANCZOS)


@pytest.fixture(autouse=True)
def counted(monkeypatch: pytest.MonkeyPatch) -> None:
    CALLS.clear()
    encode = search._encode

    def count(image: Image.Image, settings: Settings, goal: float | None = None) -> Encoded:
        CALLS.append((image.size, settings.format))
        return encode(image, settings, goal)

    def count_palette(palettes: png.Palettes, colors: int | None) -> tuple[bytes, float | None]:
        CALLS.append((palettes._image.size, "png"))
        return in_colors(palettes, colors)

    in_colors = png.Palettes.encode
    monkeypatch.setattr(search, "_encode", count)
    monkeypatch.setattr(png.Palettes, "encode", count_palette)


# --- a similarity ---


@pytest.mark.parametrize("aim", SIMILARITIES)
@pytest.mark.parametrize("format", LOSSY)
def test_auto_quality_reaches_its_similarity_for_the_price_of_a_few_mosaics(
    format: str, aim: str, flower: Image.Image
) -> None:
    result = search.encode(flower, settings(format=format, auto_quality=aim))

    whole = similarity(flower, opened(result.data))
    assert abs(whole - SIMILARITIES[aim]) < 4
    assert result.similarity is not None
    assert abs(whole - result.similarity) < 3
    assert result.quality is not None
    assert [size for size, _ in CALLS].count(flower.size) <= 2  # once more where tiles and whole do not agree
    assert 1 <= [size for size, _ in CALLS].count((512, 512)) <= TRIALS
    assert len(CALLS) <= TRIALS + 2


@pytest.mark.parametrize("format", LOSSY)
def test_the_more_alike_the_larger(format: str) -> None:
    results = [search.encode(photo(), settings(format=format, auto_quality=aim)) for aim in SIMILARITIES]

    sizes = [len(each.data) for each in results]
    assert sizes == sorted(sizes, reverse=True)


@pytest.mark.parametrize("aim", SIMILARITIES)
@pytest.mark.parametrize("image", [photo(120, 80), smooth(120, 80), drawing()], ids=["photo", "smooth", "drawing"])
def test_a_png_is_as_alike_as_asked_by_a_palette_or_by_all_its_colours(image: Image.Image, aim: str) -> None:
    result = search.encode(image, settings(format="png", auto_quality=aim))

    whole = similarity(image, opened(result.data).convert("RGB"))
    assert result.similarity == pytest.approx(whole, abs=0.1)
    assert whole >= SIMILARITIES[aim] - search.SCORE_TOLERANCE
    assert (result.quality is None) == (whole > 99.9)


def test_what_cannot_be_more_alike_is_as_alike_as_it_gets() -> None:
    image = noise(120, 90)

    result = search.encode(image, settings(format="webp", auto_quality="high"))

    assert result.similarity is not None
    best = ENCODERS["webp"].encode(image, settings(quality=100))[0]
    assert result.similarity >= min(90 - search.SCORE_TOLERANCE, similarity(image, opened(best)) - 1)


@pytest.mark.parametrize("format", ["png", "webp"])
@pytest.mark.parametrize("aim", AIMS[::2], ids=repr)
def test_lossless_comes_before_any_aim(aim: dict[str, Any], format: str) -> None:
    result = search.encode(photo(), settings(format=format, lossless=True, **aim))

    assert (result.quality, result.similarity) == (None, 100)
    assert (pixels(opened(result.data).convert("RGB")) == pixels(photo())).all()


@pytest.mark.parametrize("format", [*ENCODERS])
def test_lossless_is_encoded_once_whatever_the_target(format: str) -> None:
    search.encode(photo(), settings(format=format, lossless=True, target_bytes=1_000))

    assert [name for _, name in CALLS] == [format]


def test_without_an_aim_nothing_is_measured() -> None:
    result = search.encode(photo(), settings(format="jpeg", quality=70))

    assert (result.quality, result.similarity) == (70, None)
    assert [name for _, name in CALLS] == ["jpeg"]


# --- a size ---


@pytest.mark.parametrize("target", [15_000, 30_000, 60_000, 110_000])
@pytest.mark.parametrize("format", LOSSY)
def test_a_target_is_used_up_and_never_exceeded(format: str, target: int, flower: Image.Image) -> None:
    result = search.encode(flower, settings(format=format, target_bytes=target))

    assert 0.94 * target <= len(result.data) <= target
    assert len(CALLS) <= TRIES
    assert result.similarity is None


@pytest.mark.parametrize("target", [1_000, 4_000, 20_000])
def test_a_target_for_a_png_is_not_exceeded(target: int) -> None:
    image = photo(90, 60)

    result = search.encode(image, settings(format="png", target_bytes=target))

    exact = len(ENCODERS["png"].encode(image, settings(lossless=True))[0])
    smallest = len(ENCODERS["png"].encode(image, settings(quality=1))[0])
    assert len(result.data) <= max(target, smallest)
    assert len(CALLS) <= search.COLOR_TRIES
    if target >= exact:
        assert result.quality in (None, 100)


def test_a_png_gets_as_many_colours_as_fit_with_a_tenth_to_spare(
    flower: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = flower.resize((150, 100))
    monkeypatch.setattr(perception, "TILE_SIDE", SIDE)
    palettes = png.Palettes(image)
    choices = [*search.COLORS[: None if palettes.dithers() else -1], None]
    sizes = [len(palettes.encode(colors)[0]) for colors in choices[::-2]][::-1]
    CALLS.clear()

    results = [search.encode(image, settings(format="png", target_bytes=size + size // 10)) for size in sizes]

    assert len(CALLS) <= search.COLOR_TRIES * len(sizes)
    assert all(0 <= len(result.data) / size - 1 <= 0.1 for result, size in zip(results, sizes, strict=True))
    qualities = [result.quality or 100 for result in results]
    assert qualities == sorted(qualities)
    assert qualities[0] < 10
    assert qualities[-1] == 100


@pytest.mark.parametrize(("share", "used"), [(0.9, 0.85), (1.02, 0.98), *[(0.6, 0.95)] * WHOLE])
def test_a_png_whose_mosaic_misleads_uses_its_target_all_the_same(share: float, used: float) -> None:
    image = Image.open(CORPUS / "graphic-triangles-alpha.png").convert("RGBA")
    target = int(len(png.encode(image, settings(lossless=True))[0]) * share)

    result = search.encode(image, settings(format="png", target_bytes=target))

    assert used * target <= len(result.data) <= target
    assert (result.quality is None) == (share > 1)


def test_a_png_without_loss_that_is_smaller_than_its_palettes_is_taken() -> None:
    image = smooth(1200, 900).convert("RGB")
    image.paste(noise(64, 64), (100, 100))  # which the mosaic takes for a quarter of the picture
    exact = len(png.encode(image, settings(lossless=True))[0])

    result = search.encode(image, settings(format="png", target_bytes=exact + exact // 20))

    assert (result.quality, len(result.data)) == (None, exact)


@pytest.mark.parametrize("format", LOSSY)
def test_a_target_that_nothing_meets_gives_the_smallest_and_says_so(format: str, flower: Image.Image) -> None:
    result = optimize(encoded(flower, "png"), settings(format=format, target_bytes=1_000))

    assert result.target_reached is False
    assert result.quality == 1
    assert result.data == ENCODERS[format].encode(flower, settings(quality=1))[0]
    assert len(CALLS) <= TRIES


@pytest.mark.parametrize(("format", "best"), [("jpeg", 95), ("webp", 100)])
def test_a_target_with_room_to_spare_gives_the_best_quality(format: str, best: int) -> None:
    result = optimize(encoded(photo(), "png"), settings(format=format, target_bytes=10**6))

    assert (result.target_reached, result.quality, result.kept_original) == (True, best, False)


@pytest.mark.parametrize("format", LOSSY)
def test_a_target_with_room_to_spare_keeps_the_original(format: str) -> None:
    data = encoded(photo(), format, quality=40, exif=exif_bytes(1, Make="Acme"))

    result = optimize(data, settings(target_bytes=10**6))

    assert (result.target_reached, result.kept_original) == (True, True)
    assert len(result.data) <= len(data)


@pytest.mark.parametrize("format", LOSSY)
def test_no_file_grows_to_use_its_target_up(format: str) -> None:
    data = encoded(photo(), format, quality=40, exif=exif_bytes(6))

    result = optimize(data, settings(target_bytes=len(data) * 3))

    assert len(result.data) < len(data)
    assert result.target_reached is True


# --- when encodes take too long ---


PICTURES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "photo": lambda flower: flower.resize((150, 100)),
    "alpha": lambda flower: in_mode("RGBA", flower.resize((150, 100))),
    "noise": lambda _: noise(150, 100),
}


@pytest.fixture(scope="module")
def least(flower: Image.Image) -> dict[tuple[str, str], int]:
    """The bytes of each picture in each format that holds it, at the least quality."""
    pictures = {name: make(flower) for name, make in PICTURES.items()}
    return {
        (name, format): len(ENCODERS[format].encode(picture, settings(quality=1))[0])
        for (name, picture), format in product(pictures.items(), ENCODERS)
        if ENCODERS[format].SUPPORTS_ALPHA or not picture.mode.endswith("A")
    }


@pytest.mark.parametrize(
    ("name", "format", "hurry"),
    sampled(product(PICTURES, [*ENCODERS, "smallest"], [("off", 3), ("off", 11), ("high", 11)])),
)
def test_a_target_is_met_in_time_however_long_an_encode_takes(
    name: str,
    format: str,
    hurry: tuple[str, int],
    flower: Image.Image,
    least: dict[tuple[str, str], int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    auto, seconds = hurry
    image = PICTURES[name](flower)
    able = [each for each in (ENCODERS if format == "smallest" else [format]) if (name, each) in least]
    if not able:
        return
    now = [0.0]
    timed = search._encode

    def slow(encoded: Image.Image, *options: Any) -> Encoded:
        now[0] += seconds * (encoded.size == image.size)
        return timed(encoded, *options)

    def slow_palette(palettes: png.Palettes, colors: int | None) -> tuple[bytes, float | None]:
        now[0] += seconds
        return in_colors(palettes, colors)

    in_colors = png.Palettes.encode
    monkeypatch.setattr(png.Palettes, "encode", slow_palette)
    monkeypatch.setattr(search, "_encode", slow)
    monkeypatch.setattr(perception, "TILE_SIDE", SIDE)

    for target in (1_000, 2 * min(least[name, each] for each in able)):
        now[0] = 0
        asked = settings(format=format, auto_quality=auto, target_bytes=target)
        result = search.encode(image, asked, search.Clock(now=lambda: now[0]))

        assert now[0] <= max(search.SEARCH_SECONDS + seconds, 2 * seconds)
        if target > 1_000 and format != "smallest":
            assert len(result.data) <= target
        if target == 1_000 and format != "smallest" and len(result.data) > target:
            assert len(result.data) <= 1.05 * least[name, format]


def test_without_time_a_palette_is_lowered_but_not_to_two_colours() -> None:
    image = photo(90, 60)
    made = search.encode(image, settings(format="png", quality=80))
    seconds = count(step=search.SEARCH_SECONDS + 1)  # the time is over when it is looked at again

    lowered = search.lower(
        image, settings(format="png"), search.Clock(now=lambda: next(seconds)), made, len(made.data) - 1
    )

    assert len(lowered.data) < len(made.data)
    assert len(opened(lowered.data).getcolors() or []) > 2


# --- both, and the smallest ---


@pytest.mark.parametrize("format", LOSSY)
def test_with_both_aims_a_result_is_no_larger_than_the_one_and_no_better_than_the_other(
    format: str, flower: Image.Image
) -> None:
    alone = search.encode(flower, settings(format=format, auto_quality="balanced"))

    for target in (30_000, 10**6):
        result = search.encode(flower, settings(format=format, auto_quality="balanced", target_bytes=target))

        assert len(result.data) <= min(target, 1.02 * len(alone.data))
        assert result.similarity is not None
        assert alone.similarity is not None
        assert result.similarity <= alone.similarity + 1
        assert (result.similarity < 75) == (target == 30_000)


@pytest.mark.parametrize("aim", [{}, {"auto_quality": "balanced"}], ids=repr)
def test_smallest_meets_a_target_in_another_format_when_the_best_one_cannot(aim: dict[str, Any]) -> None:
    image = noise(200, 200, "L").point(lambda level: 112 + 32 * (level > 127))  # a bit a pixel, in PNG
    bytes_of = {name: len(search.encode(image, settings(format=name, quality=1)).data) for name in ENCODERS}
    assert search.encode(image, settings(format="smallest", **aim)).format == "png"
    target = (min(bytes_of.values()) + bytes_of["png"]) // 2

    result = search.encode(image, settings(format="smallest", target_bytes=target, **aim))

    assert len(result.data) <= target < bytes_of["png"]


@pytest.mark.parametrize("aim", [{}, {"auto_quality": "balanced"}], ids=repr)
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_a_flat_drawing_is_smallest_without_any_loss(mode: str, aim: dict[str, Any]) -> None:
    image = drawing().convert(mode)
    if mode == "RGBA":
        image.putalpha(drawing().convert("L").point(lambda level: 255 if level > 60 else 0))

    result = search.encode(image, settings(format="smallest", **aim))

    assert result.format in ("png", "webp")
    assert (result.quality, result.similarity) == (None, 100)


@pytest.mark.parametrize("aim", [{"quality": 50}, {"auto_quality": "balanced"}], ids=repr)
def test_a_photo_is_smallest_as_jpeg_or_webp(aim: dict[str, Any], flower: Image.Image) -> None:
    result = search.encode(flower, settings(format="smallest", **aim))

    assert result.format in LOSSY
    assert result.similarity is not None
    assert [size for size, _ in CALLS].count(flower.size) <= 3


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_no_jpeg_is_made_of_what_is_transparent(mode: str) -> None:
    data = encoded(in_mode(mode, photo(96, 64)), "png")

    for aim in ({}, {"auto_quality": "small"}, {"target_bytes": 2_000}):
        result = optimize(data, settings(format="smallest", **aim))

        assert "jpeg" not in {format for _, format in CALLS}
        assert opened(result.data).has_transparency_data
        assert result.similarity is not None
        assert "alpha_flattened" not in [warning.code for warning in result.warnings]


def test_lossless_is_smallest_as_png_or_webp() -> None:
    result = search.encode(photo(), settings(format="smallest", lossless=True))

    assert "jpeg" not in {format for _, format in CALLS}
    assert (result.quality, result.similarity) == (None, 100)


def test_no_webp_is_made_of_what_is_too_wide_for_it() -> None:
    result = optimize(encoded(smooth(16_384, 4), "png"), settings(format="smallest"))

    assert (result.width, result.height) == (16_384, 4)
    assert "webp" not in {format for _, format in CALLS}


@pytest.mark.parametrize("picture", [photo, smooth, drawing], ids=lambda each: each.__name__)
@pytest.mark.parametrize("aim", SIMILARITIES)
def test_smallest_is_no_larger_than_any_format_at_the_same_aim(
    aim: str, picture: Callable[[int, int], Image.Image]
) -> None:
    image = picture(120, 80)

    result = search.encode(image, settings(format="smallest", auto_quality=aim))

    sizes = [len(search.encode(image, settings(format=format, auto_quality=aim)).data) for format in ENCODERS]
    assert len(result.data) <= min(sizes)


def test_smallest_keeps_a_source_that_is_smaller() -> None:
    data = encoded(noise(160, 120), "jpeg", quality=10)

    result = optimize(data, settings(format="smallest"))

    assert (result.kept_original, result.format, result.similarity) == (True, "jpeg", 100)


# --- whatever the image ---

SMALL = [Image.new("L", (1, 1), 9), Image.new("LA", (1, 1)), noise(1, 1), noise(9, 7, "RGBA"), noise(20, 20, "L")]
LONG = [Image.new("L", (8_000, 1)), Image.new("RGB", (1, 8_000), "red"), in_mode("LA", photo(9, 2_000))]


@pytest.mark.parametrize("aim", AIMS, ids=repr)
@pytest.mark.parametrize(
    ("image", "format"),
    [*product(SMALL, [*ENCODERS, "smallest"]), *product(LONG, ["smallest"])],  # which tries all of them
    ids=lambda each: each if isinstance(each, str) else f"{each.mode}-{each.width}-{each.height}",
)
def test_no_aim_is_too_much_for_any_image(image: Image.Image, format: str, aim: dict[str, Any]) -> None:
    asked = settings(format=format, **aim)

    result = optimize(encoded(image, "png"), asked)

    assert opened(result.data).size == image.size
    assert (result.similarity is None) == ("auto_quality" not in aim and format != "smallest")
    assert (result.target_reached is None) == ("target_bytes" not in aim)
    assert result.similarity is None or result.similarity <= 100


# --- sizes that go in steps, or do not ---


def test_a_size_is_met_within_its_tolerance_where_the_bytes_are_smooth(flower: Image.Image) -> None:
    result = search.encode(flower, settings(format="jpeg", target_bytes=40_000))

    assert 40_000 * (1 - 3 * SIZE_TOLERANCE) <= len(result.data) <= 40_000


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_where_steps_of_webp_leave_a_size_out_the_last_try_takes_more_effort_but_not_with_alpha(
    mode: str, flower: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    methods: list[int | None] = []

    def in_steps(image: Image.Image, settings: Settings, method: int | None = None) -> tuple[bytes, float]:
        methods.append(method)
        large = settings.quality > 79.5
        return bytes((9_850 if method else 10_200) if large else 9_000), settings.quality

    monkeypatch.setattr(ENCODERS["webp"], "encode", in_steps)

    result = search.encode(flower.convert(mode), settings(format="webp", target_bytes=10_000))

    spared = mode == "RGB"
    assert methods == [None] * (TRIES - spared) + [6] * spared
    assert len(result.data) == (9_850 if spared else 9_000)


def test_a_webp_that_is_lossless_at_every_try_has_no_quality_to_interpolate() -> None:
    image = drawing(1200, 800)

    result = search.encode(image, settings(format="webp", target_bytes=1_000))

    assert result.quality is None
    assert len(result.data) > 1_000
