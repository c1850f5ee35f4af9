"""What JPEG promises beyond every encoder, by jpegli and by Pillow where there is no jpegli."""

from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFile, JpegImagePlugin

from optimizer.imaging.decode import open_source, read_info
from optimizer.imaging.encoders import jpeg
from optimizer.imaging.metadata import Info
from optimizer.imaging.perception import similarity
from optimizer.imaging.pipeline import optimize
from optimizer.settings import Settings
from tests.images import (
    cmyk_profile,
    drawing,
    encoded,
    exif_bytes,
    in_mode,
    jpeg_markers,
    noise,
    opened,
    photo,
    pixels,
    psnr,
    smooth,
)

CORPUS = Path(__file__).parents[1] / "corpus"
MODES = ["L", "RGB"]
HALVED, FULL = 2, 0  # what Pillow calls 4:2:0 and 4:4:4


@pytest.fixture
def pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A place where jpegli is not installed."""
    monkeypatch.setattr(jpeg, "_jpegli", lambda: None)


@pytest.fixture(params=["jpegli", "pillow"])
def either(request: pytest.FixtureRequest) -> None:
    if request.param == "pillow":
        request.getfixturevalue("pillow")


def made(image: Image.Image, quality: float = 85, **choice: Any) -> bytes:
    return jpeg.encode(image, replace(Settings(**choice), quality=quality))[0]


def sampling(data: bytes) -> int:
    image = opened(data)
    assert isinstance(image, JpegImagePlugin.JpegImageFile)
    return JpegImagePlugin.get_sampling(image)


@pytest.fixture(scope="module")
def flower() -> Image.Image:
    """A photo from a camera."""
    source = open_source((CORPUS / "photo-flower-3mp.jpg").read_bytes())
    return source.load(4).resize((450, 300), Image.Resampling.LANCZOS)


# --- where jpegli is, and where it is not ---


def test_jpegli_is_installed_here() -> None:
    assert jpeg._jpegli() is not None


def test_without_jpegli_there_is_still_an_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ajpegli", None)
    jpeg._jpegli.cache_clear()

    try:
        data, quality = jpeg.encode(photo(), Settings())
    finally:
        jpeg._jpegli.cache_clear()

    expected = encoded(photo(), "jpeg", quality=85, subsampling="4:2:0")
    assert (opened(data).tobytes(), quality) == (opened(expected).tobytes(), 85)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("quality", [1, 40.4, 87.6, 95])
def test_pillow_works_with_the_whole_quality_that_is_told(quality: float, mode: str, pillow: None) -> None:
    image = photo().convert(mode)

    data, told = jpeg.encode(image, replace(Settings(), quality=quality))

    expected = encoded(image, "jpeg", quality=round(quality), subsampling=FULL if quality >= 88 else HALVED)
    assert told == quality
    assert opened(data).tobytes() == opened(expected).tobytes()
    assert len(data) < len(expected)  # its tables are made for the image


# --- what both promise ---


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("quality", [1, 40, 85, 95])
def test_jpeg_is_progressive(quality: int, mode: str, either: None) -> None:
    data = made(photo().convert(mode), quality)

    markers = [marker for marker, _ in jpeg_markers(data)]
    assert 0xC2 in markers  # progressive frame
    assert markers.count(0xDA) > 1  # in several scans
    assert opened(data).mode == mode


@pytest.mark.parametrize(("asked", "told"), [(1, 1), (85, 85), (95, 95), (96, 95), (100, 95)])
def test_jpeg_quality_is_capped_at_95_and_told_truly(asked: int, told: int, either: None) -> None:
    data, quality = jpeg.encode(photo(), Settings(quality=asked))

    assert quality == told
    assert data == made(photo(), told)


def test_lossless_jpeg_is_of_the_best_quality(either: None) -> None:
    data, quality = jpeg.encode(photo(), Settings(lossless=True, quality=10))

    assert quality == 95
    assert data == made(photo(), 95)
    assert psnr(pixels(opened(data)), pixels(photo())) > 35


@pytest.mark.parametrize(("quality", "expected"), [(1, HALVED), (50, HALVED), (87.9, HALVED), (88, FULL), (95, FULL)])
@pytest.mark.parametrize("picture", [photo, smooth], ids=lambda each: each.__name__)
def test_jpeg_halves_the_chroma_of_photos_below_quality_88_only(
    picture: Any, quality: float, expected: int, either: None
) -> None:
    assert sampling(made(picture(), quality)) == expected


@pytest.mark.parametrize("quality", [1, 50, 85, 95])
def test_jpeg_keeps_the_chroma_of_red_text_on_blue(quality: int, either: None) -> None:
    assert sampling(made(drawing(), quality)) == FULL


def test_full_chroma_keeps_edges_of_colour_that_halved_chroma_smears() -> None:
    image = drawing()

    kept = similarity(image, opened(made(image, 60)))

    assert kept > similarity(image, opened(encoded(image, "jpeg", quality=60, subsampling=HALVED))) + 10


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("quality", [1, 85, 95])
@pytest.mark.parametrize("size", [(1, 1), (1, 16_000), (16_000, 1), (16_383, 3), (2, 2), (8, 9), (17, 255), (99, 257)])
def test_any_shape_can_be_encoded(size: tuple[int, int], quality: int, mode: str, either: None) -> None:
    image = smooth(*size).convert(mode)

    result = opened(made(image, quality))

    assert (result.size, result.mode) == (size, mode)
    if size != (2, 2):  # of 2 x 2 pixels the gradient is an edge, and chroma one pixel
        assert psnr(pixels(result), pixels(image)) > (14 if quality == 1 else 28 if min(size) == 3 else 33)


@pytest.mark.parametrize("mode", MODES)
def test_bands_are_joined_where_they_belong(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jpeg, "_BAND_PIXELS", 10_000)
    image = smooth(40, 700).convert(mode)

    result = opened(made(image, 95))

    assert abs(pixels(result) - pixels(image)).max() < 8


@pytest.mark.parametrize("profile", [b"", cmyk_profile()], ids=["plain", "profile"])
def test_a_converted_cmyk_source_is_encoded(profile: bytes, either: None) -> None:
    data = encoded(in_mode("CMYK", photo()), "jpeg", quality=95, icc_profile=profile)

    result = optimize(data, Settings())

    assert (opened(result.data).mode, opened(result.data).size) == ("RGB", (240, 160))
    assert result.warnings[0].code == "cmyk_converted"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [(60, 40), (400, 300)], ids=["sequential", "progressive"])
def test_all_metadata_is_carried(size: tuple[int, int], mode: str, either: None) -> None:
    image = photo(*size).convert(mode)
    carried: Info = {
        "exif": exif_bytes(6, gps=True, Make="Acme"),
        "xmp": b"<x:xmpmeta>\xc3\xa9</x:xmpmeta>",
        "comment": b"a comment",
        "icc_profile": np.random.default_rng(1).bytes(300_000),  # of five segments
    }
    image.info = dict(carried)

    data = made(image)

    assert read_info(data, "jpeg") == carried
    assert Image.open(BytesIO(data)).size == size


@pytest.mark.parametrize("key", ["exif", "xmp", "comment"])
def test_jpeg_leaves_out_what_does_not_fit_into_a_segment(key: str, either: None) -> None:
    longest = jpeg.MAX_BYTES[key]
    prefix = b"Exif\0\0" if key == "exif" else b""

    for length, fits in ((longest, True), (longest + 1, False)):
        image = smooth()
        image.info = {key: prefix + b"x" * (length - len(prefix))}

        assert (key in read_info(made(image), "jpeg")) == fits


@pytest.mark.parametrize("turned", [1, 6])
def test_jpeg_keeps_the_orientation_of_exif_that_does_not_fit(turned: int, either: None) -> None:
    image = smooth()
    image.info = {"exif": exif_bytes(turned, ImageDescription="x" * 70_000)}

    data = made(image)

    assert opened(data).getexif().get(0x0112, 1) == turned
    assert len(data) < 60_000


@pytest.fixture
def usual_buffer() -> Iterator[None]:
    usual = ImageFile.MAXBLOCK
    yield
    assert usual == ImageFile.MAXBLOCK


@pytest.mark.parametrize("mode", MODES)
def test_noise_that_bursts_pillows_buffer_is_encoded_and_the_buffer_restored(
    mode: str, pillow: None, usual_buffer: None
) -> None:
    image = noise(700, 500, mode)

    if mode == "RGB":  # the bug this guards against; without it the guard can go
        with pytest.raises(OSError, match="broken data stream"):
            jpeg._encode_by_pillow(image, 95, True)
    data, quality = jpeg.encode(image, Settings(quality=95))

    assert (opened(data).size, opened(data).mode, quality) == ((700, 500), mode, 95)


def test_a_jpeg_that_fails_for_another_reason_fails_and_the_buffer_is_restored(
    pillow: None, usual_buffer: None
) -> None:
    with pytest.raises(OSError, match="cannot write mode RGBA"):
        jpeg.encode(noise(mode="RGBA"), Settings(quality=90))


# --- jpegli ---


@pytest.mark.parametrize("mode", MODES)
def test_a_tiny_jpeg_is_sequential_and_smaller_for_it(mode: str) -> None:
    tiny, larger = (photo(100, height).convert(mode) for height in (99, 100))

    markers = [{marker for marker, _ in jpeg_markers(made(image))} for image in (tiny, larger)]

    assert [0xC2 in each for each in markers] == [False, True]


def test_the_distance_falls_with_the_quality_and_never_jumps() -> None:
    distances = [jpeg.distance(quality / 10) for quality in range(10, 951)]

    assert all(far > near for far, near in pairwise(distances))
    assert all(far / near < 1.025 for far, near in pairwise(distances[40:]))
    assert (distances[0], distances[-1]) == pytest.approx((100, 0.35))


@pytest.mark.parametrize("quality", [95.1, 100])
def test_beyond_the_best_quality_there_is_no_distance(quality: float) -> None:
    with pytest.raises(ValueError, match=str(quality)):
        jpeg.distance(quality)


def test_where_chroma_becomes_full_the_picture_stays_as_it_is() -> None:
    flower = opened((CORPUS / "photo-flower-3mp.jpg").read_bytes()).resize((900, 600))  # smaller, its edges are sharp
    below, above = (made(flower, jpeg.FULL_CHROMA_QUALITY + step) for step in (-0.01, 0))

    assert (sampling(below), sampling(above)) == (HALVED, FULL)
    assert abs(similarity(flower, opened(below)) - similarity(flower, opened(above))) < 1
    assert 0.9 < len(above) / len(below) < 1.15


def test_bytes_and_similarity_grow_with_the_quality(flower: Image.Image) -> None:
    results = [made(flower, quality) for quality in (1, 5, 10, 30, 50, 70, 80, 87, 88, 90, 93, 95)]

    scores = [similarity(flower, opened(data)) for data in results]
    assert scores == sorted(scores)
    assert sorted(map(len, results)) == list(map(len, results))
    assert (scores[0] < -50, scores[-1] > 90) == (True, True)


@pytest.mark.parametrize("quality", [40, 75, 90])
def test_the_quality_means_what_it_does_to_libjpeg_in_fewer_bytes(quality: int, flower: Image.Image) -> None:
    usual = encoded(flower, "jpeg", quality=quality, subsampling=FULL if quality >= 88 else HALVED, optimize=True)

    data = made(flower, quality)

    assert abs(similarity(flower, opened(data)) - similarity(flower, opened(usual))) < 4
    alike = next(each for each in range(quality - 2, 96) if _score(flower, each) >= similarity(flower, opened(usual)))
    assert len(made(flower, alike)) < 0.98 * len(usual)


def _score(image: Image.Image, quality: int) -> float:
    return similarity(image, opened(made(image, quality)))
