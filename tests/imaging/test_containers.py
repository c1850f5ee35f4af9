"""Files taken apart without decoding: what is stripped, what stays, and what Pillow is given to read of a PNG."""

import struct
import zlib
from collections.abc import Callable
from io import BytesIO

import pytest
from PIL import Image

from optimizer.imaging.containers import MAX_PROFILE_BYTES, MAX_TEXT_BYTES, strip_losslessly, take_png_apart
from optimizer.imaging.encoders import ENCODERS
from optimizer.imaging.pipeline import optimize
from optimizer.settings import Settings
from tests.images import (
    animation,
    encoded,
    exif_bytes,
    in_mode,
    jpeg_markers,
    jpeg_segment,
    jpeg_with,
    metadata_left,
    noise,
    opened,
    pixels,
    png_chunk,
    png_chunks,
    png_with,
    rgb_profile,
    riff,
    smooth,
    srgb_profile,
    webp_chunks,
)

SECRET = b"A Private Person"
EXIF = exif_bytes(gps=True, thumbnail=True, Artist=SECRET.decode())
XMP = b"<x:xmpmeta>" + SECRET + b"</x:xmpmeta>"
ADOBE = b"Adobe\0d\0\0\0\0\1"


def odd(content: bytes) -> bytes:
    return content + b"." * (1 - len(content) % 2)


# --- JPEG ---

BASELINE = encoded(noise(160, 120), "jpeg", quality=10)  # so low that no setting makes it smaller


def rgb_by_adobe_alone() -> bytes:
    """Return a JPEG of RGB whose components are numbered as those of YCbCr are; only its Adobe segment says so."""
    data = bytearray(encoded(noise(160, 120), "jpeg", quality=10, keep_rgb=True))
    frame, scan = data.index(b"\xff\xc0"), data.index(b"\xff\xda")
    for component in range(3):
        data[frame + 10 + 3 * component] = data[scan + 5 + 2 * component] = component + 1
    return bytes(data)


JPEGS = {
    "baseline": BASELINE,
    "4:4:4": encoded(noise(160, 120), "jpeg", quality=10, subsampling=0),
    "gray": encoded(noise(160, 120, mode="L"), "jpeg", quality=10),
    "CMYK": encoded(noise(160, 120, mode="CMYK"), "jpeg", quality=10),
    "progressive": encoded(noise(160, 120), "jpeg", quality=10, progressive=True),
    "restart markers": encoded(noise(160, 120), "jpeg", quality=10, restart_marker_blocks=1),
    "progressive with restart markers": encoded(
        noise(160, 120), "jpeg", quality=10, progressive=True, restart_marker_blocks=2
    ),
    "EXIF": jpeg_with(BASELINE, jpeg_segment(0xE1, EXIF)),
    "all Pillow writes": encoded(
        noise(160, 120), "jpeg", quality=10, exif=EXIF, xmp=XMP, comment=SECRET, icc_profile=srgb_profile()
    ),
    "IPTC": jpeg_with(BASELINE, jpeg_segment(0xED, b"Photoshop 3.0\08BIM\4\4\0\0\0\0\0\x10" + SECRET)),
    "every APPn": jpeg_with(BASELINE, *[jpeg_segment(marker, SECRET) for marker in range(0xE0, 0xF0)]),
    "comments before and behind the tables": BASELINE[:-2].replace(
        b"\xff\xda", jpeg_segment(0xFE, SECRET) + b"\xff\xda", 1
    )
    + BASELINE[-2:],
    "a comment behind the scan": BASELINE[:-2] + jpeg_segment(0xFE, SECRET) + b"\xff\xd9",
    "fill bytes": jpeg_with(BASELINE, b"\xff" * 5, jpeg_segment(0xFE, SECRET), b"\xff" * 3),
    "one junk byte": jpeg_with(BASELINE, b"\0", jpeg_segment(0xFE, SECRET)),
    "junk before a comment": jpeg_with(BASELINE, b"ju", jpeg_segment(0xFE, SECRET)),
    "junk behind a comment": jpeg_with(BASELINE, jpeg_segment(0xFE, SECRET), b"junkjunk"),
    "stuffing between segments": jpeg_with(BASELINE, b"\xff\0", jpeg_segment(0xFE, SECRET)),
    "trailing data": BASELINE + SECRET,
    "a second picture": BASELINE + jpeg_with(BASELINE, jpeg_segment(0xFE, SECRET)),
    "JFIF with a thumbnail": BASELINE[:2]
    + jpeg_segment(0xE0, b"JFIF\0\1\2\0\0\1\0\1\2\3" + (SECRET + b"..")[:18])
    + BASELINE[20:],
    "JFXX": jpeg_with(BASELINE, jpeg_segment(0xE0, b"JFXX\0\x10" + SECRET)),
    "short JFIF": BASELINE[:2] + jpeg_segment(0xE0, b"JFIF\0\1\1\0") + BASELINE[20:],
    "no JFIF": BASELINE[:2] + BASELINE[20:],
    "Adobe": jpeg_with(BASELINE[:2] + jpeg_segment(0xEE, ADOBE) + BASELINE[20:]),
    "long Adobe": jpeg_with(BASELINE, jpeg_segment(0xEE, ADOBE + SECRET)),
    "Adobe RGB, not YCbCr": encoded(noise(160, 120), "jpeg", quality=10, keep_rgb=True),
    "RGB by Adobe alone": rgb_by_adobe_alone(),
    "MPO": encoded(
        noise(160, 120), "mpo", quality=10, save_all=True, append_images=[noise(160, 120, seed=3)], comment=SECRET
    ),
}


@pytest.mark.parametrize("data", JPEGS.values(), ids=JPEGS)
def test_a_stripped_jpeg_has_the_same_pixels_and_nothing_else(data: bytes) -> None:
    before = opened(data)

    stripped = strip_losslessly(data, "jpeg")

    after = opened(stripped)
    assert (after.mode, after.size) == (before.mode, before.size)
    assert after.tobytes() == before.tobytes()
    assert metadata_left(stripped) == []
    assert SECRET not in stripped
    assert b"Exif" not in stripped


@pytest.mark.parametrize("data", JPEGS.values(), ids=JPEGS)
def test_a_jpeg_that_is_kept_decodes_to_the_same_pixels_and_carries_nothing(data: bytes) -> None:
    result = optimize(data, Settings(quality=100))

    if opened(data).mode != "CMYK":  # which is always converted
        assert result.kept_original
        assert opened(result.data).tobytes() == opened(data).tobytes()
    assert metadata_left(result.data) == []
    assert SECRET not in result.data


def test_the_adobe_segment_of_these_tests_matters() -> None:
    data = rgb_by_adobe_alone()
    at = data.index(b"\xff\xee")

    without = data[:at] + data[at + 16 :]

    assert opened(without).tobytes() != opened(data).tobytes()


def test_a_stripped_jpeg_keeps_its_density_and_its_tables() -> None:
    data = encoded(noise(160, 120), "jpeg", dpi=(300, 300), comment=SECRET)

    stripped = strip_losslessly(data, "jpeg")

    assert opened(stripped).info["dpi"] == (300, 300)
    dropped = {0xE0, 0xFE}
    assert [each for each in jpeg_markers(stripped) if each[0] not in dropped] == [
        each for each in jpeg_markers(data) if each[0] not in dropped
    ]


def test_a_jpeg_without_its_end_gets_one_when_stripped() -> None:
    stripped = strip_losslessly(BASELINE[:-2], "jpeg")

    assert stripped == strip_losslessly(BASELINE, "jpeg")


@pytest.mark.parametrize("length", [2, 3, 4, 21, 22, 23, 24, 700, len(BASELINE) - 3])
def test_stripping_a_cut_off_jpeg_ends(length: int) -> None:
    assert strip_losslessly(BASELINE[:length], "jpeg").endswith(b"\xff\xd9")


# --- PNG ---

PLAIN_PNG = encoded(smooth(), "png")
META_CHUNKS = [
    png_chunk(b"tEXt", b"Author\0" + SECRET),
    png_chunk(b"zTXt", b"Author\0\0" + zlib.compress(SECRET)),
    png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP),
    png_chunk(b"eXIf", EXIF[6:]),
    png_chunk(b"tIME", bytes(7)),
    png_chunk(b"pHYs", bytes(8) + b"\1"),
    png_chunk(b"iCCP", b"x\0\0" + zlib.compress(srgb_profile())),
    png_chunk(b"prVt", SECRET),
]


@pytest.mark.parametrize("behind", [False, True])
@pytest.mark.parametrize("chunk", META_CHUNKS, ids=lambda chunk: chunk[4:8].decode())
@pytest.mark.parametrize("mode", ["1", "L", "L+tRNS", "LA", "P", "P+tRNS", "RGB", "RGB+tRNS", "RGBA", "I;16"])
def test_a_stripped_png_has_the_same_pixels_and_nothing_else(mode: str, chunk: bytes, behind: bool) -> None:
    if behind and chunk[4:8] == b"iCCP":
        behind = False  # it counts only before the pixels
    plain = encoded(in_mode(mode), "png")

    stripped = strip_losslessly(png_with(plain, chunk, behind_pixels=behind), "png")

    assert stripped == plain


def test_a_stripped_png_keeps_what_says_which_colours_its_numbers_mean() -> None:
    kinds = {b"gAMA": 4, b"cHRM": 32, b"sRGB": 1, b"cICP": 4, b"sBIT": 3}
    data = png_with(PLAIN_PNG, *[png_chunk(kind, bytes([1]) * size) for kind, size in kinds.items()])

    stripped = strip_losslessly(data, "png")

    assert stripped == data


def test_a_stripped_png_ends_with_its_end() -> None:
    assert strip_losslessly(PLAIN_PNG + SECRET, "png") == PLAIN_PNG


def test_a_stripped_animated_png_keeps_its_frames() -> None:
    data = png_with(animation("png", 3), META_CHUNKS[0])

    stripped = Image.open(BytesIO(strip_losslessly(data, "png")))

    assert getattr(stripped, "n_frames", 1) == 3
    assert "Author" not in stripped.info


@pytest.mark.parametrize("length", [8, 9, 20, 33, 60, len(PLAIN_PNG) - 1])
def test_stripping_a_cut_off_png_keeps_what_there_is(length: int) -> None:
    assert PLAIN_PNG.startswith(strip_losslessly(PLAIN_PNG[:length], "png"))


# --- reading PNG ---


@pytest.mark.parametrize(
    ("chunk", "expected"),
    [
        (png_chunk(b"tEXt", b"Title\0caf\xe9"), {"Title": "café"}),
        (png_chunk(b"zTXt", b"Title\0\0" + zlib.compress(b"caf\xe9")), {"Title": "café"}),
        (png_chunk(b"iTXt", b"Title\0\0\0fr\0Titre\0" + "café ☕".encode()), {"Title": "café ☕"}),
        (png_chunk(b"iTXt", b"Title\0\1\0fr\0Titre\0" + zlib.compress("café ☕".encode())), {"Title": "café ☕"}),
        (png_chunk(b"iTXt", b"Title\0\0\0\0\0\xff"), {"Title": "\ufffd"}),
        (png_chunk(b"tEXt", b"no separator"), {}),
        (png_chunk(b"tEXt", b""), {}),
        (png_chunk(b"zTXt", b"Title\0\0junk"), {}),
        (png_chunk(b"zTXt", b"Title\0\1" + zlib.compress(b"another method")), {}),
        (png_chunk(b"zTXt", b"Title"), {}),
        (png_chunk(b"iTXt", b"Title\0\1"), {}),
        (png_chunk(b"iTXt", b"Title\0\1\0\0\0junk"), {}),
        (png_chunk(b"tEXt", b"Title\0broken")[:-1] + b"!", {}),
    ],
)
def test_the_texts_of_a_png_are_read_and_broken_ones_skipped(chunk: bytes, expected: dict[str, str]) -> None:
    readable, texts = take_png_apart(png_with(PLAIN_PNG, chunk))

    assert texts == expected
    assert readable == PLAIN_PNG


@pytest.mark.parametrize("kind", ["tEXt", "zTXt", "iTXt"])
def test_texts_over_their_limit_are_left_out_and_the_others_stay(kind: str) -> None:
    contents: dict[str, Callable[[bytes], bytes]] = {
        "tEXt": lambda text: b"long\0" + text,
        "zTXt": lambda text: b"long\0\0" + zlib.compress(text),
        "iTXt": lambda text: b"long\0\1\0\0\0" + zlib.compress(text),
    }
    content = contents[kind]
    short = png_chunk(b"tEXt", b"short\0text")

    _, fitting = take_png_apart(png_with(PLAIN_PNG, png_chunk(kind.encode(), content(b"x" * MAX_TEXT_BYTES))))
    _, texts = take_png_apart(
        png_with(PLAIN_PNG, png_chunk(kind.encode(), content(b"x" * (MAX_TEXT_BYTES + 1))), short)
    )

    assert len(fitting["long"]) == MAX_TEXT_BYTES
    assert texts == {"short": "text"}


def test_many_texts_count_together() -> None:
    packed = zlib.compress(b"x" * 2**20)
    chunks = [png_chunk(b"zTXt", b"%d\0\0" % index + packed) for index in range(70)]

    readable, texts = take_png_apart(png_with(PLAIN_PNG, *chunks))

    assert list(texts) == ["0", "1", "2", "3"]
    assert readable == PLAIN_PNG


BROKEN_CHUNKS = {
    "iCCP that is empty": png_chunk(b"iCCP", b""),
    "iCCP of another method": png_chunk(b"iCCP", b"x\0\5" + zlib.compress(b"junk")),
    "iCCP that does not inflate": png_chunk(b"iCCP", b"x\0\0junk"),
    "iCCP of more than Pillow reads": png_chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(MAX_PROFILE_BYTES + 1))),
    "iCCP with a wrong CRC": png_chunk(b"iCCP", b"x\0\0" + zlib.compress(rgb_profile()))[:-1] + b"!",
    "eXIf with a wrong CRC": png_chunk(b"eXIf", EXIF[6:])[:-1] + b"!",
    "gAMA cut short": png_chunk(b"gAMA", b"\0"),
    "cHRM cut short": png_chunk(b"cHRM", b"\0"),
    "sRGB cut short": png_chunk(b"sRGB", b""),
    "pHYs cut short": png_chunk(b"pHYs", b""),
    "zTXt of another method": png_chunk(b"zTXt", b"k\0\5a"),
    "zTXt of 3 MB": png_chunk(b"zTXt", b"Raw profile type xmp\0\0" + zlib.compress(bytes(3 * 10**6))),
    "iTXt of 3 MB": png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(b"<x>" * 10**6)),
}


@pytest.mark.parametrize("format", ENCODERS)
@pytest.mark.parametrize("strip", [True, False])
@pytest.mark.parametrize("chunk", BROKEN_CHUNKS.values(), ids=BROKEN_CHUNKS)
def test_no_picture_is_lost_to_a_broken_chunk_beside_it(chunk: bytes, strip: bool, format: str) -> None:
    data = png_with(PLAIN_PNG, chunk)

    result = optimize(data, Settings(format=format, lossless=True, strip_metadata=strip))

    if result.data != data:  # else it is the source itself, for the asker wanted all of it back
        assert abs(pixels(opened(result.data).convert("RGB")) - pixels(smooth())).mean() < 1


def test_the_longest_profile_that_pillow_reads_is_passed_on() -> None:
    profile = rgb_profile(order="brg").ljust(MAX_PROFILE_BYTES, b"\0")

    readable, _ = take_png_apart(encoded(smooth(), "png", icc_profile=profile))

    assert opened(readable).info["icc_profile"] == profile


def test_exif_behind_the_pixels_is_put_in_front_of_them() -> None:
    readable, _ = take_png_apart(png_with(PLAIN_PNG, png_chunk(b"eXIf", EXIF[6:]), behind_pixels=True))

    assert [kind for kind, _ in png_chunks(readable)][:2] == [b"IHDR", b"eXIf"]


# --- WebP ---

WEBPS = {
    "lossy": encoded(noise(), "webp", quality=1),
    "lossless": encoded(noise(), "webp", lossless=True),
    "lossy with alpha": encoded(in_mode("RGBA"), "webp", quality=20),
    "lossless with alpha": encoded(in_mode("RGBA"), "webp", lossless=True),
    "EXIF": encoded(noise(), "webp", quality=1, exif=EXIF),
    "EXIF, odd": encoded(noise(), "webp", quality=1, exif=odd(EXIF)),
    "XMP, odd": encoded(noise(), "webp", quality=1, xmp=odd(XMP)),
    "all of it": encoded(in_mode("RGBA"), "webp", exif=EXIF, xmp=odd(XMP), icc_profile=srgb_profile()),
    "animated": animation("webp", 3, noise(32, 24), quality=1, exif=EXIF, xmp=XMP),
    "an unknown chunk": riff(*webp_chunks(encoded(noise(), "webp", exif=EXIF)), (b"prVt", odd(SECRET))),
    "trailing data": encoded(noise(), "webp", quality=1, exif=EXIF) + SECRET,
}


@pytest.mark.parametrize("data", WEBPS.values(), ids=WEBPS)
def test_a_stripped_webp_has_the_same_pixels_and_nothing_else(data: bytes) -> None:
    before = Image.open(BytesIO(data))

    stripped = strip_losslessly(data, "webp")

    after = Image.open(BytesIO(stripped))
    assert metadata_left(stripped) == []
    assert SECRET not in stripped
    assert (after.mode, after.size) == (before.mode, before.size)
    frames = getattr(before, "n_frames", 1)
    assert getattr(after, "n_frames", 1) == frames
    for frame in range(frames):
        before.seek(frame)
        after.seek(frame)
        assert after.tobytes() == before.tobytes()


def test_a_stripped_webp_keeps_the_flags_of_alpha_and_animation() -> None:
    data = animation("webp", 2, in_mode("RGBA"), exif=EXIF, xmp=XMP, icc_profile=srgb_profile())
    assert webp_chunks(data)[0][1][0] == 0b0011_1110

    stripped = strip_losslessly(data, "webp")

    assert webp_chunks(stripped)[0][1][0] == 0b0001_0010


def test_stripping_pads_a_chunk_of_odd_size() -> None:
    data = riff((b"VP8 ", b"odd"), (b"EXIF", b"odd"), (b"ALPH", b"odd"))

    assert strip_losslessly(data, "webp") == riff((b"VP8 ", b"odd"), (b"ALPH", b"odd"))


def test_stripping_a_webp_without_anything_leaves_the_same_bytes() -> None:
    data = struct.pack("<4sI4s", b"RIFF", 4, b"WEBP")

    assert strip_losslessly(data, "webp") == data
