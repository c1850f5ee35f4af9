"""Real files through the whole pipeline: each with every choice of settings, and into every format.

The files are those of `tests/corpus`, or of the folder that PINCH_CORPUS names. `make test` tries every pair of file,
format and choice, `make test-all` every combination.
"""

import os
import re
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.ExifTags import IFD, Base
from PIL.Image import Exif

from optimizer.imaging import steps
from optimizer.imaging.decode import open_source
from optimizer.imaging.encoders import ENCODERS
from optimizer.imaging.pipeline import Result, optimize
from optimizer.limits import MAX_PIXELS
from optimizer.problems import DamagedImage, ResultTooLarge
from optimizer.settings import Settings
from tests.images import (
    Pixels,
    coarse,
    delta_e,
    displayed,
    from_pixels,
    metadata_left,
    opened,
    pixels,
    psnr,
    stored_orientation,
)
from tests.sampling import WHOLE, in_turn, sampled

pytestmark = pytest.mark.whole

OWN_CORPUS = Path(__file__).parents[1] / "corpus"
CORPUS = Path(os.environ.get("PINCH_CORPUS") or OWN_CORPUS)
COMPLETE = WHOLE or CORPUS != OWN_CORPUS
FILES = sorted(path.name for path in CORPUS.iterdir() if path.suffix in (".jpg", ".png", ".webp"))
GOOD = [name for name in FILES if not name.startswith("bad-")]
FORMATS = list(ENCODERS)

CHOICES: dict[str, dict[str, Any]] = {
    "defaults": {},
    "all steps": {"resize_percent": 80, "width": 300, "sharpen": 20, "brightness": 10, "contrast": -15, "quality": 95},
    "resize 10": {"resize_percent": 10, "quality": 95},
    "resize 200": {"resize_percent": 200, "quality": 95},
    "strip off": {"strip_metadata": False, "quality": 95},
}


@lru_cache(4)
def data_of(name: str) -> bytes:
    return (CORPUS / name).read_bytes()


@lru_cache(32)
def seen(name: str) -> Image.Image:
    """Return what a viewer shows of the source, on white."""
    return from_pixels(displayed(data_of(name)))


def asked(format: str, choice: str) -> Settings:
    return Settings.parse({"format": format} | CHOICES[choice])


def size_of(name: str) -> tuple[int, int]:
    return seen(name).size


def combinations() -> list[tuple[str, str, str]]:
    """Return file, format and choice; of our own corpus without the slowest that say the least."""

    def worth_it(name: str, format: str, choice: str) -> bool:
        with Image.open(CORPUS / name) as image:
            megapixels = image.width * image.height / 1e6
            plain = not {"exif", "icc_profile", "xmp"} & set(image.info)
        if choice == "resize 200":
            return megapixels < 0.3 and (format != "png" or len(data_of(name)) < 100_000)
        if choice == "strip off" and plain:
            return False
        # A photo becomes a large PNG slowly; smaller photos show the same.
        return not (
            format == "png"
            and megapixels > 1.2
            and name.startswith(("photo", "orient"))
            and choice in ("defaults", "strip off")
        )

    every = product(GOOD, FORMATS, CHOICES)
    return sampled([each for each in every if COMPLETE or worth_it(*each)], COMPLETE)


def looks_like(shown: Pixels, name: str, difference: float = 2) -> bool:
    """Tell whether a picture shows the source: its colours, its contours, and all of it the right way round.

    Compared small: what is asked is whether the right colours stand in the right places, not how well a codec does.
    """
    width, height = (min(96, max(side // 6, 1)) for side in shown.shape[1::-1])
    one, other = (coarse(image, width, height) for image in (from_pixels(shown), seen(name)))
    return delta_e(one, other) < difference and psnr(one, other) > 26


@dataclass(frozen=True)
class Made:
    """What became of a file; the result is None when it was refused as too large."""

    name: str
    choice: str
    settings: Settings
    size: tuple[int, int]  # that it should have
    result: Result | None


@pytest.fixture(scope="module", params=combinations(), ids="-".join)
def made(request: pytest.FixtureRequest) -> Made:
    """One result at a time, for all tests of it: together they would not fit into memory."""
    name, format, choice = request.param
    settings = asked(format, choice)
    size = steps.target_size(size_of(name), settings)
    result = None
    with suppress(ResultTooLarge):
        result = optimize(data_of(name), settings)
    return Made(name, choice, settings, size, result)


def test_only_too_large_a_result_is_refused(made: Made) -> None:
    too_large = made.size[0] * made.size[1] > MAX_PIXELS or max(made.size) > ENCODERS[made.settings.format].MAX_SIDE

    assert (made.result is None) == too_large


def test_every_file_becomes_the_picture_that_was_asked_for(made: Made) -> None:
    if made.result is None:
        return

    image = opened(made.result.data)

    assert (image.format or "").lower() == made.result.format == made.settings.format
    assert image.size == (made.result.width, made.result.height) == made.size
    assert stored_orientation(image) == 1
    assert image.mode in ("1", "L", "LA", "P", "RGB", "RGBA")
    if made.choice != "all steps":
        difference = 4 if made.choice == "resize 10" else 2
        assert looks_like(displayed(made.result.data), made.name, difference)


def test_transparency_is_kept_or_laid_on_the_background(made: Made) -> None:
    if made.result is None:
        return
    source, image = opened(data_of(made.name)), opened(made.result.data)
    transparent = source.has_transparency_data and source.convert("RGBA").getchannel("A").getextrema()[0] != 255
    supported = ENCODERS[made.settings.format].SUPPORTS_ALPHA

    assert image.has_transparency_data == (transparent and supported)
    assert ("alpha_flattened" in codes(made.result)) == (transparent and not supported)
    if image.has_transparency_data and image.size == source.size:
        before, after = (pixels(each.convert("RGBA").getchannel("A")) for each in (source, image))
        assert abs(before - after).mean() < 1


def test_no_metadata_survives_stripping(made: Made) -> None:
    if made.result is None or not made.settings.strip_metadata:
        return
    data = made.result.data

    assert metadata_left(data) == []
    assert [text for text in texts_in(data_of(made.name)) if text in data] == []
    for mark in (b"Exif\0\0", b"http://ns.adobe.com", b"ICC_PROFILE", b"Photoshop 3.0", b"xmpmeta"):
        assert mark not in data


def codes(result: Result) -> list[str]:
    return [warning.code for warning in result.warnings]


TURNED = [name for name in GOOD if stored_orientation(opened(data_of(name))) != 1]
NARROW = [name for name in GOOD if open_source(data_of(name)).width <= 1_100]
PROFILED = [name for name in GOOD if open_source(data_of(name)).info.get("icc_profile") or "cmyk" in name]


@pytest.mark.parametrize(("name", "format", "strip"), sampled(product(PROFILED, FORMATS, [True, False])))
def test_colours_of_a_file_with_a_profile_stay_right(name: str, format: str, strip: bool) -> None:
    side = 400 if format == "png" else None  # in the others halved chroma would be too large a part of so few pixels
    exact = format == "png"  # a palette holds the look, but not every mean as strictly as this asks
    settings = Settings(format=format, quality=95, lossless=exact, strip_metadata=strip, width=side, height=side)

    result = optimize(data_of(name), settings)

    assert looks_like(displayed(result.data), name)
    assert ("icc_profile" in opened(result.data).info) == (not strip and "cmyk" not in name)


def texts_in(data: bytes) -> set[bytes]:
    """Return every text of some length in the EXIF of a file: names, numbers, dates."""
    exif = Exif()
    exif.load(open_source(data).info.get("exif", b""))
    tags = [exif, *(exif.get_ifd(ifd) for ifd in (IFD.Exif, IFD.GPSInfo, IFD.IFD1))]
    texts = [value for each in tags for value in each.values() if isinstance(value, str)]
    return {text.encode() for text in texts if len(text) >= 6}


@pytest.mark.parametrize("name", GOOD)
def test_what_was_removed_is_told(name: str) -> None:
    image = opened(data_of(name))
    exif = image.getexif()
    present = {
        "exif": set(exif) - {Base.Orientation},
        "gps": exif.get_ifd(IFD.GPSInfo),
        "icc": image.info.get("icc_profile"),
        "xmp": image.info.get("xmp"),
        "comment": image.info.get("comment"),
    }

    removed = optimize(data_of(name), Settings(format="webp", width=100)).metadata_removed

    assert {kind for kind, content in present.items() if content} == set(removed) & set(present)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("name", [name for name in GOOD if "gps" in name])
def test_exif_gps_and_xmp_survive_when_metadata_is_kept(name: str, format: str) -> None:
    before = opened(data_of(name))

    after = opened(optimize(data_of(name), Settings(format=format, strip_metadata=False, width=300)).data)

    tags = {**before.getexif(), Base.Orientation: 1}
    moved = {IFD.Exif, IFD.GPSInfo}  # their values are places in the file
    assert {tag: value for tag, value in after.getexif().items() if tag not in moved} == {
        tag: value for tag, value in tags.items() if tag not in moved
    }
    assert after.getexif().get_ifd(IFD.GPSInfo) == before.getexif().get_ifd(IFD.GPSInfo) != {}
    assert after.info.get("xmp") == before.info.get("xmp")


@pytest.mark.parametrize(("name", "strip", "format"), sampled(product(TURNED, [True, False], FORMATS)))
def test_without_auto_orient_the_tag_stays_and_the_picture_looks_the_same(name: str, strip: bool, format: str) -> None:
    settings = Settings(format=format, auto_orient=False, strip_metadata=strip, width=300, height=300)

    result = optimize(data_of(name), settings)

    image = opened(result.data)
    assert stored_orientation(image) == stored_orientation(opened(data_of(name)))
    assert looks_like(displayed(result.data), name)


@pytest.mark.parametrize("name", GOOD)
def test_nothing_asked_makes_no_file_larger(name: str) -> None:
    data = data_of(name)

    result = optimize(data, Settings())

    assert len(result.data) <= len(data)
    if result.kept_original:
        before, after = Image.open(BytesIO(data)), Image.open(BytesIO(result.data))
        assert after.tobytes() == before.tobytes()
        assert result.quality is None
        assert result.warnings == []


@pytest.mark.parametrize(("name", "format"), in_turn(GOOD, FORMATS, COMPLETE))
def test_optimizing_a_result_again_makes_it_no_larger(name: str, format: str) -> None:
    side = None if COMPLETE else 200
    once = optimize(data_of(name), Settings(format=format, width=side, height=side))

    twice = optimize(once.data, Settings(format=format))

    assert len(twice.data) <= len(once.data)
    assert (twice.metadata_removed, twice.warnings) == ([], [])


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("name", [name for name in FILES if name.startswith("bad-")])
def test_a_truncated_file_is_refused_as_damaged(name: str, format: str) -> None:
    with pytest.raises(DamagedImage, match="damaged or cut off") as refusal:
        optimize(data_of(name), Settings(format=format))

    assert refusal.value.status == 422


@pytest.mark.parametrize(("name", "format"), in_turn(NARROW, ["png", "webp"], COMPLETE))
def test_lossless_keeps_the_pixels_of_every_file(name: str, format: str) -> None:
    result = optimize(data_of(name), Settings(format=format, lossless=True, strip_metadata=False))

    assert abs(displayed(result.data) - pixels(seen(name))).max() <= 1
    assert result.quality is None


def test_16_bit_rings_keep_their_levels() -> None:
    name = next((name for name in GOOD if "16bit" in name), None)
    if name is None:
        return

    result = optimize(data_of(name), Settings(format="webp", lossless=True))

    assert [warning.code for warning in result.warnings] == ["depth_reduced"]
    before, after = pixels(opened(data_of(name))), pixels(opened(result.data))
    assert (np.unique(before) == np.unique(after)).all()


def test_the_corpus_says_where_each_file_is_from() -> None:
    listed = re.findall(r"^\| (\S+\.(?:jpg|png|webp)) \|", (OWN_CORPUS / "README.md").read_text(), re.MULTILINE)

    assert listed == sorted(path.name for path in OWN_CORPUS.iterdir() if path.suffix != ".md")
