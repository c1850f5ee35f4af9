"""Opening a source: what is refused, why, before which cost, and what is known of what is not."""

import random
import struct
import subprocess
import sys
from collections.abc import Callable
from itertools import product
from textwrap import dedent

import pytest
from PIL import Image

from optimizer.imaging.decode import open_source
from optimizer.imaging.encoders import ENCODERS
from optimizer.imaging.pipeline import optimize
from optimizer.limits import MAX_FRAMES, MAX_PIXELS, MAX_SCANS, MAX_UPLOAD_BYTES
from optimizer.problems import (
    DamagedImage,
    Problem,
    TooManyFrames,
    TooManyPixels,
    TooManyScans,
    UnsupportedType,
    UploadTooLarge,
)
from optimizer.settings import Settings
from tests.images import (
    MODES,
    animation,
    encoded,
    exif_bytes,
    in_mode,
    jpeg_markers,
    jpeg_segment,
    noise,
    opened,
    pixels,
    png_chunk,
    png_chunks,
    png_with,
    raw_png,
    riff,
    smooth,
    webp_chunks,
)
from tests.sampling import sampled

FORMATS = list(ENCODERS)


def rich(format: str, image: Image.Image | None = None) -> bytes:
    """Return a file with metadata before its pixels, and behind them where the format allows it."""
    exif = exif_bytes(6, gps=True, thumbnail=True, Make="Acme")
    if format == "png":
        data = encoded(image or smooth(), format, exif=exif)
        return png_with(data, png_chunk(b"tEXt", b"Comment\0behind the pixels"), behind_pixels=True)
    return encoded(image or smooth(), format, exif=exif, xmp=b"<x:xmpmeta/>")


# --- what is accepted ---


@pytest.mark.parametrize("format", FORMATS)
def test_a_source_is_known_by_its_content(format: str) -> None:
    source = open_source(encoded(smooth(65, 33), format))

    assert (source.format, source.width, source.height, source.bits, source.frames) == (format, 65, 33, 8, 1)


@pytest.mark.parametrize("format", FORMATS)
def test_the_size_of_a_source_is_that_of_the_stored_pixels(format: str) -> None:
    source = open_source(rich(format, smooth(65, 33)))

    assert (source.width, source.height) == (65, 33)


@pytest.mark.parametrize(
    ("bits", "color_type", "row"),
    [
        (1, 0, b"\x80"),
        (2, 0, b"\xe0"),
        (4, 0, b"\xf0"),
        (8, 0, b"\xff\0"),
        (16, 0, b"\xff\xff\0\0"),
        (16, 2, bytes(12)),
    ],
)
def test_the_depth_of_a_png_is_that_of_its_header(bits: int, color_type: int, row: bytes) -> None:
    source = open_source(raw_png((2, 1), bits, color_type, [row]))

    assert source.bits == bits
    assert source.load().size == (2, 1)


@pytest.mark.parametrize(("bits", "white"), [(1, 1), (2, 3), (4, 15), (8, 255), (16, 65_535)])
def test_a_transparent_gray_of_any_depth_hides_that_gray(bits: int, white: int) -> None:
    width = 16 // bits if bits < 8 else 2
    row = b"\xff\0" if bits < 16 else b"\xff\xff\0\0"
    data = raw_png((width, 1), bits, 0, [row], png_chunk(b"tRNS", struct.pack(">H", white)))

    result = optimize(data, Settings(format="webp", lossless=True))

    alpha = opened(result.data).convert("RGBA").getchannel("A")
    assert (alpha.getpixel((0, 0)), alpha.getpixel((width - 1, 0))) == (0, 255)


@pytest.mark.parametrize("bits", [8, 16])
def test_a_transparent_colour_hides_that_colour(bits: int) -> None:
    color = (10, 200, 30)
    levels = [level << bits - 8 for level in color]
    pack = ">3H" if bits == 16 else ">3B"
    row = struct.pack(pack, *levels) + bytes(3 * bits // 8)
    data = raw_png((2, 1), bits, 2, [row], png_chunk(b"tRNS", struct.pack(">3H", *levels)))

    result = optimize(data, Settings(format="png", lossless=True))

    alpha = opened(result.data).convert("RGBA").getchannel("A")
    assert (alpha.getpixel((0, 0)), alpha.getpixel((1, 0))) == (0, 255)


@pytest.mark.parametrize("index", [1, 3])
def test_the_transparent_index_of_a_small_palette_is_not_taken_for_a_gray(index: int) -> None:
    palette = png_chunk(b"PLTE", bytes([255, 0, 0, 0, 255, 0, 0, 0, 255, 255, 255, 255]))
    transparent = png_chunk(b"tRNS", bytes([255] * index + [0]))
    data = raw_png((4, 1), 2, 3, [b"\x1b"], palette, transparent)

    result = optimize(data, Settings(format="webp", lossless=True))

    alpha = opened(result.data).convert("RGBA").getchannel("A")
    assert [alpha.getpixel((x, 0)) for x in range(4)] == [0 if x == index else 255 for x in range(4)]


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != "PA"])  # no format stores that one
def test_pixels_are_loaded_in_the_mode_of_the_file(mode: str) -> None:
    image = in_mode(mode)
    data = encoded(image, "jpeg" if mode == "CMYK" else "png")

    loaded = open_source(data).load()

    assert loaded.mode == image.mode
    assert ("transparency" in loaded.info) == mode.endswith("+tRNS")


def test_the_pictures_of_a_jpeg_are_no_animation() -> None:
    data = encoded(smooth(), "mpo", save_all=True, append_images=[noise()])

    source = open_source(data)

    assert (source.format, source.frames) == ("jpeg", 1)


def test_a_jpeg_with_a_broken_index_of_pictures_is_read_as_one_picture() -> None:
    data = encoded(smooth(), "jpeg")
    index = jpeg_segment(0xE2, b"MPF\0MM\0*\0\0\0\x08\0\x05" + b"\xff" * 40)

    source = open_source(data[:20] + index + data[20:])

    assert source.load().size == (64, 48)


@pytest.mark.parametrize("format", ["png", "webp"])
def test_the_first_frame_of_an_animation_is_loaded(format: str) -> None:
    source = open_source(animation(format, 3, lossless=True))

    assert source.frames == 3
    assert (pixels(source.load().convert("RGB")) == pixels(smooth(32, 24))).all()


# --- bytes ---


def test_a_file_of_the_largest_size_is_read() -> None:
    data = encoded(smooth(), "jpeg")

    source = open_source(data.ljust(MAX_UPLOAD_BYTES, b"\0"))

    assert source.format == "jpeg"


def test_a_file_over_the_largest_size_is_refused_whatever_it_is() -> None:
    with pytest.raises(UploadTooLarge, match="25 MB"):
        open_source(bytes(MAX_UPLOAD_BYTES + 1))


def test_an_empty_file_is_refused_as_empty() -> None:
    with pytest.raises(DamagedImage, match="empty"):
        open_source(b"")


@pytest.mark.parametrize(
    "data",
    [
        b"\0",
        b"\xff",
        b"\x89PNG",
        b"RIFF\x04\0\0\0WAVE",
        b"\xff\xd8",
        encoded(smooth(), "gif"),
        encoded(smooth(), "bmp"),
        encoded(smooth(), "tiff"),
        encoded(smooth(), "ppm"),
        b'<svg xmlns="http://www.w3.org/2000/svg"/>',
        b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf" + bytes(64),
        b"%PDF-1.7\n",
        b" \xff\xd8\xff\xe0",
    ],
    ids=lambda data: repr(data[:12]),
)
def test_any_other_file_is_refused_as_unsupported(data: bytes) -> None:
    with pytest.raises(UnsupportedType, match=r"JPEG, PNG or WebP"):
        open_source(data)


MAGIC = {"jpeg": b"\xff\xd8\xff", "png": b"\x89PNG\r\n\x1a\n", "webp": b"RIFF\xff\0\0\0WEBP"}


@pytest.mark.parametrize("rest", [b"", b"\0", b"\0" * 300, b"\xff" * 300, b"garbage " * 40, bytes(range(256))])
@pytest.mark.parametrize("format", FORMATS)
def test_garbage_behind_a_magic_number_is_refused_as_damaged(format: str, rest: bytes) -> None:
    with pytest.raises(DamagedImage, match=f"This {ENCODERS[format].TITLE} file is damaged"):
        open_source(MAGIC[format] + rest).load()


@pytest.mark.parametrize("format", FORMATS)
def test_a_file_cut_off_anywhere_in_its_pixels_is_refused_as_damaged(format: str) -> None:
    data = rich(format, noise())

    for length in range(len(MAGIC[format]) + 4, len(data) * 9 // 10, 37):
        with pytest.raises(DamagedImage):
            open_source(data[:length]).load()


@pytest.mark.parametrize("options", [{}, {"progressive": True}])
def test_a_jpeg_without_its_end_is_refused_as_damaged(options: dict[str, bool]) -> None:
    data = encoded(noise(), "jpeg", **options)

    with pytest.raises(DamagedImage, match="cut off"):
        open_source(data[:-2]).load()


@pytest.mark.parametrize("format", FORMATS)
def test_a_broken_file_gives_a_picture_or_a_problem_and_nothing_else(format: str) -> None:
    chance = random.Random(format)
    data = rich(format)
    lossless = format == "png"  # what comes behind reading is the same for any picture, and takes long for a palette

    refused = 0
    for _ in range(250):
        broken = bytearray(data)
        for _ in range(chance.randint(1, 6)):
            broken[chance.randrange(len(broken))] = chance.randrange(256)
        try:
            result = optimize(
                bytes(broken[: chance.choice([None, -1, -30])]),
                Settings(strip_metadata=chance.random() < 0.5, lossless=lossless),
            )
            opened(result.data)
        except Problem:
            refused += 1

    assert 0 < refused < 250


# --- pixels and frames ---


def bomb(format: str, width: int, height: int) -> bytes:
    """Return a small file that claims so many pixels."""
    if format == "png":
        return raw_png((width, height), 8, 2, [b"\0"])
    if format == "jpeg":
        frame = struct.pack(">BHHB", 8, height, width, 3) + bytes([1, 0x22, 0, 2, 0x11, 1, 3, 0x11, 1])
        scan = bytes([3, 1, 0, 2, 17, 3, 17, 0, 63, 0])
        return b"\xff\xd8" + jpeg_segment(0xC0, frame) + jpeg_segment(0xDA, scan) + b"\0\xff\xd9"
    head, *frames = webp_chunks(animation("webp", 2))
    canvas = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return riff((b"VP8X", head[1][:4] + canvas), *frames)


BOMBS: list[tuple[str, int, int]] = [
    ("png", 7_072, 7_072),
    ("png", 10_000, 10_000),
    ("png", 60_000, 60_000),
    ("png", 2**31 - 1, 2**31 - 1),
    ("png", 50_000_001, 1),
    ("jpeg", 7_072, 7_072),
    ("jpeg", 10_000, 10_000),
    ("jpeg", 65_500, 65_500),
    ("webp", 7_072, 7_072),
    ("webp", 10_000, 10_000),
    ("webp", 16_383, 16_383),
]


@pytest.mark.parametrize(("format", "width", "height"), BOMBS)
def test_too_many_pixels_are_refused_by_the_header(format: str, width: int, height: int) -> None:
    assert width * height > MAX_PIXELS

    with pytest.raises(TooManyPixels, match="50 megapixels"):
        open_source(bomb(format, width, height))


@pytest.mark.parametrize("format", FORMATS)
def test_as_many_pixels_as_allowed_pass_the_header(format: str) -> None:
    source = open_source(bomb(format, 10_000, 5_000))

    assert source.width * source.height == MAX_PIXELS


@pytest.mark.processes
def test_refusing_a_bomb_allocates_no_pixels() -> None:
    """In a process of its own, because the peak of a process never falls."""
    script = dedent("""
        import resource, sys
        from optimizer.imaging.decode import open_source
        from optimizer.problems import TooManyPixels
        from tests.imaging.test_decode import BOMBS, bomb
        files = [bomb(*each) for each in BOMBS]
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for data in files:
            try:
                open_source(data)
            except TooManyPixels:
                continue
            sys.exit("accepted")
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    """)

    done = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    unit = 1 if sys.platform == "darwin" else 1024
    assert int(done.stdout) * unit < 32 * 2**20


def many_frames(format: str, frames: int) -> bytes:
    """Return an animation whose one small frame is repeated."""
    if format == "webp":
        head, loop, frame, *_ = webp_chunks(animation("webp", 2))
        return riff(head, loop, *[frame] * frames)
    data = encoded(smooth(8, 8), "png")
    control = png_chunk(b"acTL", struct.pack(">II", frames, 0))
    first = png_chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, 8, 8, 0, 0, 1, 10, 0, 0))
    pixels = next(content for kind, content in png_chunks(data) if kind == b"IDAT")
    more = b""
    for index in range(1, frames):
        more += png_chunk(b"fcTL", struct.pack(">IIIIIHHBB", 2 * index - 1, 8, 8, 0, 0, 1, 10, 0, 0))
        more += png_chunk(b"fdAT", struct.pack(">I", 2 * index) + pixels)
    return png_with(png_with(data, control, first), more, behind_pixels=True)


@pytest.mark.parametrize("format", ["png", "webp"])
def test_as_many_frames_as_allowed_are_read(format: str) -> None:
    source = open_source(many_frames(format, MAX_FRAMES))

    assert source.frames == MAX_FRAMES
    source.load()


@pytest.mark.parametrize("format", ["png", "webp"])
def test_one_frame_too_many_is_refused(format: str) -> None:
    with pytest.raises(TooManyFrames, match="1000 frames"):
        open_source(many_frames(format, MAX_FRAMES + 1))


def scans(count: int) -> bytes:
    """Return a progressive JPEG whose first scan is repeated."""
    data = encoded(smooth(), "jpeg", progressive=True)
    start = data.index(b"\xff\xda")
    end = start + 2
    while data[end] != 0xFF or data[end + 1] in (0x00, 0xFF):
        end += 1
    present = sum(marker == 0xDA for marker, _ in jpeg_markers(data))
    return data[:start] + data[start:end] * (count - present) + data[start:]


def test_as_many_scans_as_allowed_are_decoded() -> None:
    source = open_source(scans(MAX_SCANS))

    assert source.load().size == (64, 48)


def test_one_scan_too_many_is_refused_before_any_is_decoded() -> None:
    with pytest.raises(TooManyScans, match="64 scans"):
        open_source(scans(MAX_SCANS + 1))


def test_the_scans_of_a_second_picture_and_of_a_thumbnail_do_not_count() -> None:
    many = scans(MAX_SCANS)
    thumbnail = jpeg_segment(0xE1, b"Exif\0\0" + many[:60_000])

    source = open_source(many[:20] + thumbnail + many[20:] + many)

    assert source.load().size == (64, 48)


def test_running_out_of_memory_is_not_blamed_on_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    source = open_source(encoded(smooth(), "png"))

    def fail() -> None:
        raise MemoryError

    monkeypatch.setattr(source._image, "load", fail)

    with pytest.raises(MemoryError):
        source.load()


# --- metadata that lies ---

RESERVED = (
    "exif",
    "icc_profile",
    "transparency",
    "xmp",
    "comment",
    "gamma",
    "interlace",
    "srgb",
    "dpi",
    "chromaticity",
    "photoshop",
    "default_image",
    "loop",
    "Raw profile type exif",
    "XML:com.adobe.xmp",
)
TEXT_CHUNKS: dict[str, Callable[[bytes], bytes]] = {
    "tEXt": lambda keyword: png_chunk(b"tEXt", keyword + b"\0junk"),
    "zTXt": lambda keyword: png_chunk(b"zTXt", keyword + b"\0\0not deflated"),
    "iTXt": lambda keyword: png_chunk(b"iTXt", keyword + b"\0\0\0\0\0junk"),
}


@pytest.mark.parametrize(
    ("mode", "keyword", "kind", "strip"),
    sampled(product(["L", "P", "P+tRNS", "RGB+tRNS"], RESERVED, TEXT_CHUNKS, [True, False])),
)
def test_no_text_of_a_png_changes_its_picture(mode: str, keyword: str, kind: str, strip: bool) -> None:
    plain = encoded(in_mode(mode), "png", exif=exif_bytes(6))
    data = png_with(plain, TEXT_CHUNKS[kind](keyword.encode()))
    expected = optimize(plain, Settings(format="webp", lossless=True))

    result = optimize(data, Settings(format="webp", lossless=True, strip_metadata=strip))

    assert opened(result.data).size == (48, 64)
    assert (pixels(opened(result.data)) == pixels(opened(expected.data))).all()
