"""What an image carries beside its pixels: read safely, named rightly, whatever it claims to be."""

import struct
from collections.abc import Mapping
from typing import Any

import pytest
from PIL.ExifTags import IFD, Base
from PIL.Image import Exif

from optimizer.imaging.decode import open_source, read_info
from optimizer.imaging.metadata import clean_info, kinds, load_exif, orientation, with_orientation
from tests.images import (
    ORIENTATIONS,
    encoded,
    exif_bytes,
    jpeg_segment,
    opened,
    png_chunk,
    png_with,
    smooth,
    srgb_profile,
)

TIFF = exif_bytes(6, Make="Acme")[6:]
HEXADECIMAL = "\nexif\n  40\n" + "\n".join(TIFF.hex()[at : at + 72] for at in range(0, 2 * len(TIFF), 72)) + "\n"

BROKEN_EXIF = {
    "nothing but the prefix": b"Exif\0\0",
    "junk": b"Exif\0\0junk",
    "long junk": b"Exif\0\0" + b"junk" * 100,
    "a directory beyond the end": b"Exif\0\0II*\0\xff\xff\0\0",
    "a count without entries": b"Exif\0\0II*\0\x08\0\0\0\xff\xff",
    "half of it": exif_bytes(6, gps=True, Make="Acme" * 20)[:-60],
    "ten bytes of it": exif_bytes(6)[:10],
    "a directory that links to itself": b"Exif\0\0II*\0\x08\0\0\0\0\0\x08\0\0\0",
    "BigTIFF": b"Exif\0\0II+\0\x08\0\0\0" + bytes(20),
}


# --- reading ---


@pytest.mark.parametrize("key", ["exif", "icc_profile", "xmp", "comment"])
@pytest.mark.parametrize("value", ["text", 7, None, b"", (1, 2)])
def test_only_bytes_that_are_not_empty_pass_for_metadata(key: str, value: object) -> None:
    assert clean_info({key: value}, {}) == {}


@pytest.mark.parametrize("key", ["icc_profile", "xmp", "comment"])
def test_bytes_are_taken_over_as_they_are(key: str) -> None:
    assert clean_info({key: b"content"}, {}) == {key: b"content"}


@pytest.mark.parametrize("value", [3, b"\0\xff", (1, 2, 3)])
def test_a_transparent_colour_is_taken_over(value: object) -> None:
    assert clean_info({"transparency": value}, {}) == {"transparency": value}


@pytest.mark.parametrize(
    "info", [{"transparency": "text"}, {"photoshop": "text"}, {"gamma": 0.4}, {"dpi": (72, 72)}, {(1, 2): "x"}]
)
def test_nothing_else_is_taken_over(info: Mapping[Any, Any]) -> None:
    assert clean_info(info, {}) == {}


def test_photoshop_resources_are_taken_over() -> None:
    assert clean_info({"photoshop": {1028: b"iptc"}}, {}) == {"photoshop": {1028: b"iptc"}}


@pytest.mark.parametrize("block", [TIFF, b"Exif\0\0" + TIFF])
def test_exif_has_its_prefix_wherever_it_comes_from(block: bytes) -> None:
    assert clean_info({"exif": block}, {}) == {"exif": b"Exif\0\0" + TIFF}


def test_texts_stay_under_their_keywords_and_xmp_is_recognised() -> None:
    clean = clean_info({}, {"Title": "a", "exif": "b", "XML:com.adobe.xmp": "<é/>"})

    assert clean == {"text": {"Title": "a", "exif": "b"}, "xmp": "<é/>".encode()}


def test_exif_in_hexadecimal_text_is_read() -> None:
    clean = clean_info({}, {"Raw profile type exif": HEXADECIMAL})

    assert clean == {"exif": b"Exif\0\0" + TIFF}


@pytest.mark.parametrize("text", ["junk", "\nexif\n 4\nnot hexadecimal", "\nexif\n 0\n", "", "\n\n\n\n"])
def test_hexadecimal_text_that_is_none_stays_text(text: str) -> None:
    clean = clean_info({}, {"Raw profile type exif": text})

    assert clean == {"text": {"Raw profile type exif": text}}


def test_exif_of_the_chunk_goes_before_exif_in_text() -> None:
    clean = clean_info({"exif": exif_bytes(3)}, {"Raw profile type exif": HEXADECIMAL})

    assert orientation(clean) == 3


def test_exif_in_hexadecimal_text_turns_the_picture() -> None:
    chunk = png_chunk(b"tEXt", b"Raw profile type exif\0" + HEXADECIMAL.encode())

    source = open_source(png_with(encoded(smooth(), "png"), chunk))

    assert orientation(source.info) == 6


# --- EXIF ---


@pytest.mark.parametrize("value", ORIENTATIONS)
def test_the_orientation_is_read(value: int) -> None:
    assert orientation({"exif": exif_bytes(value)}) == value


@pytest.mark.parametrize("value", [0, 9, 255, 65_535])
def test_an_orientation_that_does_not_exist_is_upright(value: int) -> None:
    assert orientation({"exif": exif_bytes(value)}) == 1


def test_an_orientation_that_is_no_number_is_upright() -> None:
    block = exif_bytes(Make="x")
    as_text = block.replace(b"\x01\x0f", b"\x01\x12")
    assert as_text != block

    assert load_exif({"exif": as_text})[Base.Orientation] == "x"
    assert orientation({"exif": as_text}) == 1


def test_no_exif_is_upright() -> None:
    assert orientation({}) == 1


@pytest.mark.parametrize("block", BROKEN_EXIF.values(), ids=BROKEN_EXIF)
def test_broken_exif_is_read_as_far_as_it_goes(block: bytes) -> None:
    info = {"exif": block}

    assert orientation(info) in ORIENTATIONS
    assert kinds(info)[:1] == ["exif"]
    rewritten = with_orientation(info, 3)
    assert rewritten is None or orientation({"exif": rewritten}) == 3


@pytest.mark.parametrize("kind", range(14))
@pytest.mark.parametrize("count", [0, 1, 2**31])
@pytest.mark.parametrize("at", [38, 60_000])
@pytest.mark.parametrize("ifd", [IFD.GPSInfo, IFD.Exif, IFD.Interop])
def test_a_broken_directory_of_exif_costs_no_orientation(ifd: IFD, at: int, count: int, kind: int) -> None:
    first = struct.pack(">HHHIHHHHIII", 2, Base.Orientation, 3, 1, 6, 0, ifd, 4, 1, at, 0)
    other = struct.pack(">HHHIII", 1, 2, kind, count, 50, 0)
    info = {"exif": b"Exif\0\0MM\0*\0\0\0\x08" + first + other}

    assert orientation(info) == 6
    rewritten = with_orientation(info, 1)
    assert rewritten is None or orientation({"exif": rewritten}) == 1


def test_an_orientation_alone_is_all_that_its_exif_holds() -> None:
    block = with_orientation({}, 6)

    assert block == exif_bytes(6)


def test_setting_the_orientation_keeps_the_other_tags() -> None:
    block = with_orientation({"exif": exif_bytes(6, gps=True, Make="Acme")}, 1)

    assert block is not None
    exif = load_exif({"exif": block})
    assert (exif[Base.Orientation], exif[Base.Make]) == (1, "Acme")
    assert exif.get_ifd(IFD.GPSInfo) == {1: "N", 2: (47.0, 22.0, 30.0)}


@pytest.mark.parametrize("method", ["load", "get", "get_ifd", "tobytes"])
def test_whatever_pillow_raises_on_exif_costs_no_picture(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    info = {"exif": exif_bytes(gps=True)}

    def fail(*_: object) -> None:
        raise struct.error

    monkeypatch.setattr(Exif, method, fail)

    assert orientation(info) == 1
    assert kinds(info)[0] == "exif"
    assert with_orientation(info, 3) is None or method != "tobytes"


# --- naming ---


@pytest.mark.parametrize(
    ("info", "expected"),
    [
        ({}, []),
        ({"transparency": 0}, []),
        ({"exif": exif_bytes(6)}, []),
        ({"exif": exif_bytes(Make="Acme")}, ["exif"]),
        ({"exif": exif_bytes(6, Make="Acme")}, ["exif"]),
        ({"exif": exif_bytes(gps=True)}, ["exif", "gps"]),
        ({"exif": exif_bytes(6, thumbnail=True)}, ["thumbnail"]),
        ({"exif": exif_bytes(6, gps=True, thumbnail=True)}, ["exif", "gps", "thumbnail"]),
        ({"photoshop": {}}, ["iptc"]),
        ({"xmp": b"x"}, ["xmp"]),
        ({"icc_profile": b"x"}, ["icc"]),
        ({"comment": b"x"}, ["comment"]),
        ({"text": {"a": "b"}}, ["text"]),
    ],
)
def test_each_kind_of_metadata_has_its_name(info: Mapping[Any, Any], expected: list[str]) -> None:
    assert kinds(info) == expected


def test_all_kinds_of_a_real_file_are_named() -> None:
    iptc = jpeg_segment(0xED, b"Photoshop 3.0\08BIM\4\4\0\0\0\0\0\4iptc")
    data = encoded(
        smooth(),
        "jpeg",
        exif=exif_bytes(6, gps=True, thumbnail=True),
        xmp=b"<x/>",
        icc_profile=srgb_profile(),
        comment=b"c",
        extra=iptc,
    )

    assert kinds(read_info(data, "jpeg")) == ["exif", "gps", "thumbnail", "iptc", "xmp", "icc", "comment"]
    assert opened(data).info["comment"] == b"c"
