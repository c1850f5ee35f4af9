"""What holds for every choice of settings and every picture, tried on choices and pictures that Hypothesis makes up.

They are always the same ones, and few; PINCH_EXAMPLES is how many of each.
"""

import os
import re
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from PIL.ExifTags import Base

from optimizer.imaging.encoders import ENCODERS, ORIGINAL, SMALLEST
from optimizer.imaging.pipeline import Result, optimize
from optimizer.imaging.steps import target_size
from optimizer.problems import ResultTooLarge
from optimizer.settings import PROPERTIES, Settings
from tests.images import drawing, exif_bytes, in_mode, metadata_left, noise, opened, photo, rgb_profile, smooth
from tests.imaging.test_pipeline import STORED, source_file

pytestmark = pytest.mark.whole

EXAMPLES = int(os.environ.get("PINCH_EXAMPLES", "0"))
PICTURES = {"smooth": smooth, "photo": photo, "drawing": drawing, "noise": noise}
SIDE = st.integers(1, 120)
LONG = st.integers(121, 3_000)


def examples(count: int) -> settings:
    return settings(
        derandomize=True,
        deadline=None,
        database=None,
        max_examples=EXAMPLES or count,
        suppress_health_check=list(HealthCheck),
    )


def values(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Return what the declaration of a setting allows, its ends and what is near the lower one more often."""
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "pattern" in schema:
        return st.from_regex(schema["pattern"], fullmatch=True)
    if schema["type"] == "boolean":
        return st.booleans()
    low, high = schema["minimum"], schema["maximum"]
    near = st.integers(low, min(high, low + 2 * (120 if low < 1_000 else low)))
    numbers = st.one_of(near, st.integers(low, high), st.sampled_from([low, high]))
    return numbers | st.none() if "null" in schema["type"] else numbers


def payloads(*left_out: str) -> st.SearchStrategy[dict[str, Any]]:
    optional = {name: values(schema) for name, schema in PROPERTIES.items() if name not in left_out}
    return st.fixed_dictionaries({}, optional=optional)


SIZES = st.one_of(
    st.tuples(SIDE, SIDE), st.tuples(SIDE, SIDE), st.tuples(st.just(1), SIDE | LONG), st.tuples(SIDE | LONG, st.just(1))
)


class File(NamedTuple):
    """A picture, and the file that holds it."""

    stored: tuple[str, str]  # mode and format
    picture: str
    size: tuple[int, int]
    turned: int  # its EXIF orientation
    described: bool  # with more EXIF
    profiled: bool

    def data(self) -> bytes:
        mode, format = self.stored
        options: dict[str, Any] = {}
        if self.described or self.turned != 1:
            more: dict[str, Any] = {"gps": True, "Make": "Acme"} if self.described else {}
            options["exif"] = exif_bytes(self.turned, **more)
        if self.profiled and mode.startswith("RGB"):
            options["icc_profile"] = rgb_profile(1.8)
        return source_file(format, in_mode(mode, PICTURES[self.picture](*self.size)), **options)


FILES = st.builds(
    File,
    stored=st.sampled_from(STORED),
    picture=st.sampled_from(list(PICTURES)),
    size=SIZES,
    turned=st.just(1) | st.integers(1, 8),
    described=st.booleans(),
    profiled=st.booleans(),
)
NOTHING_TO_DO = ("resize_percent", "width", "height", "sharpen", "brightness", "contrast")


def optimized(data: bytes, asked: Settings) -> Result:
    """Return the result; what no format could hold is no example."""
    try:
        return optimize(data, asked)
    except ResultTooLarge:
        assume(False)
        raise


@examples(50)
@given(file=FILES, choice=payloads())
def test_a_result_is_what_was_asked_for(file: File, choice: dict[str, Any]) -> None:
    data = file.data()
    asked = Settings.parse(choice)
    source = opened(data)

    result = optimized(data, asked)

    image = opened(result.data)
    upright = source.size[::-1] if asked.auto_orient and file.turned >= 5 else source.size
    formats: dict[str, list[str | None]] = {ORIGINAL: [source.format], SMALLEST: [name.upper() for name in ENCODERS]}
    assert image.format in formats.get(asked.format, [asked.format.upper()])
    assert image.format == result.format.upper()
    assert image.size == (result.width, result.height) == target_size(upright, asked)
    assert max(image.size) <= ENCODERS[result.format].MAX_SIDE
    assert result.target_reached == (len(result.data) <= asked.target_bytes if asked.target_bytes else None)
    assert result.quality is None or 1 <= result.quality <= ENCODERS[result.format].MAX_QUALITY
    assert result.similarity is None or result.similarity <= 100
    if asked.strip_metadata:
        left = file.turned != 1 and not asked.auto_orient
        assert has_only_orientation(result.data, file.turned) if left else metadata_left(result.data) == []


def has_only_orientation(data: bytes, value: int) -> bool:
    """Tell whether the tag of a picture that is still turned is all that is left."""
    names = [name.lower() for name in metadata_left(data)]
    return dict(opened(data).getexif()) == {Base.Orientation: value} and all(
        "exif" in name or re.fullmatch("flags 000.1000", name) for name in names
    )


@examples(30)
@given(file=FILES, choice=payloads(*NOTHING_TO_DO))
def test_a_result_optimized_again_never_grows(file: File, choice: dict[str, Any]) -> None:
    asked = Settings.parse(choice)
    first = optimized(file.data(), asked)

    second = optimize(first.data, asked)

    # A picture that stays turned is encoded again, since stripping the file would turn it.
    encoded_again = file.turned != 1 and not asked.auto_orient and asked.strip_metadata
    assert len(second.data) <= len(first.data) or encoded_again
    assert (second.width, second.height) == (first.width, first.height)
    if first.quality is None and second.format == first.format and asked.format != "jpeg":
        third = optimize(second.data, asked)
        assert third.data == second.data


@examples(20)
@given(file=FILES, choice=payloads(), data=st.data())
def test_the_order_of_the_settings_means_nothing(file: File, choice: dict[str, Any], data: st.DataObject) -> None:
    other = dict(data.draw(st.permutations(list(choice.items()))))

    one, same = Settings.parse(choice), Settings.parse(other)

    assert one.digest() == same.digest()
    assert optimized(file.data(), one).data == optimized(file.data(), same).data
