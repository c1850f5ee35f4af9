"""Files as an attacker or a careless program makes them: each with what must become of it. The same bytes every time.

A file is made when it is asked for; the largest have 24 MB.
"""

import random
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from io import BytesIO
from itertools import pairwise
from typing import Literal, NamedTuple

from PIL import Image

from tests.images import (
    animation,
    cmyk_profile,
    encoded,
    exif_bytes,
    gray_profile,
    in_mode,
    jpeg_segment,
    jpeg_with,
    noise,
    photo,
    png_chunk,
    png_chunks,
    png_with,
    raw_png,
    rgb_profile,
    riff,
    smooth,
    srgb_profile,
    webp_chunks,
)

Fate = Literal["accept", "refuse", "either"]
Make = Callable[[], bytes]
Row = tuple[str, Fate, Make]


class Hostile(NamedTuple):
    """A file, and what must become of it."""

    group: str
    fate: Fate
    make: Make


LARGE = 24 * 10**6  # bytes; S3 takes 25 MB
FLOOD = 4 * 10**6  # enough of what is counted, not read
PAYLOAD = b"POLYGLOT<script>alert(document.domain)</script><?php system($_GET['c']); ?>"
PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
SOF, SOS, COM, APP1, APP2, APP5 = 0xC0, 0xDA, 0xFE, 0xE1, 0xE2, 0xE5


@lru_cache
def plain(format: str, kind: str = "") -> bytes:
    """Return a sound file of 64 x 48 pixels."""
    match format, kind:
        case "jpeg", "progressive":
            return encoded(photo(64, 48), "jpeg", progressive=True)
        case "png", "palette":
            return encoded(in_mode("P+tRNS"), "png")
        case "webp", "lossless":
            return encoded(in_mode("RGBA"), "webp", lossless=True)
        case "webp", "alpha":
            return encoded(in_mode("RGBA"), "webp", quality=70)
        case (("webp" | "png"), "animation"):
            return animation(format, 3)
    return encoded(photo(64, 48), format)


# --- JPEG ---


def cut_in_parts(data: bytes) -> tuple[bytes, bytes]:
    """Return a JPEG up to its first scan, and the rest."""
    at = data.index(b"\xff\xda")
    return data[:at], data[at:]


def first_scan(data: bytes) -> bytes:
    """Return the first scan of a JPEG with its data."""
    scan = cut_in_parts(data)[1]
    end = 2
    while scan[end] != 0xFF or scan[end + 1] == 0:
        end += 1
    return scan[:end]


def scans(count: int) -> bytes:
    """Return a progressive JPEG with so many scans more than it needs."""
    data = plain("jpeg", "progressive")
    before, rest = cut_in_parts(data)
    return before + first_scan(data) * count + rest


def large_scans(count: int) -> bytes:
    data = encoded(Image.new("RGB", (4_000, 3_000), "teal"), "jpeg", progressive=True)
    before, rest = cut_in_parts(data)
    return before + first_scan(data) * count + rest


def jpeg_changed(at: int, value: bytes, marker: bytes = b"\xff\xc0") -> bytes:
    """Return a JPEG with other bytes behind so many of the segment of this marker."""
    data = plain("jpeg")
    start = data.index(marker) + at
    return data[:start] + value + data[start + len(value) :]


def without_segments(marker: int) -> bytes:
    data = plain("jpeg")
    at = 2
    kept = data[:2]
    while data[at + 1] != SOS:
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4])
        kept += b"" if data[at + 1] == marker else data[at:end]
        at = end
    return kept + data[at:]


def jpeg_bomb(width: int, height: int, marker: int = SOF) -> bytes:
    frame = struct.pack(">BHHB", 8, height, width, 3) + bytes([1, 0x22, 0, 2, 0x11, 1, 3, 0x11, 1])
    scan = bytes([3, 1, 0, 2, 17, 3, 17, 0, 63, 0])
    before, rest = cut_in_parts(plain("jpeg"))
    tables = before[: before.index(b"\xff\xc0")] + before[before.index(b"\xff\xc4") :]
    return tables + jpeg_segment(marker, frame) + jpeg_segment(SOS, scan) + rest[-200:]


def flooded_jpeg(piece: bytes, size: int = LARGE) -> bytes:
    return jpeg_with(plain("jpeg"), piece * (size // len(piece)))


def mpo(*more: Image.Image) -> bytes:
    return encoded(photo(64, 48), "mpo", save_all=True, append_images=list(more))


def jpeg_with_profile(profile: bytes, image: Image.Image | None = None) -> bytes:
    """Return a JPEG with a profile of any length, cut into segments as the ICC has it."""
    parts = [profile[at : at + 65_000] for at in range(0, len(profile), 65_000)]
    data = encoded(image or photo(64, 48), "jpeg")
    segments = (
        jpeg_segment(APP2, b"ICC_PROFILE\0" + bytes([number, len(parts)]) + part)
        for number, part in enumerate(parts, 1)
    )
    return data[:2] + b"".join(segments) + data[2:]


# --- PNG ---


def ihdr(width: int = 64, height: int = 48, bits: int = 8, color_type: int = 2, *methods: int) -> bytes:
    compression, filtering, interlace = methods or (0, 0, 0)
    return png_chunk(
        b"IHDR", struct.pack(">IIBBBBB", width, height, bits, color_type, compression, filtering, interlace)
    )


def png_of(*chunks: tuple[bytes, bytes]) -> bytes:
    return PNG_MAGIC + b"".join(png_chunk(kind, content) for kind, content in chunks)


def with_header(header: bytes, data: bytes | None = None) -> bytes:
    """Return a PNG with another IHDR chunk."""
    return PNG_MAGIC + header + (data or plain("png"))[33:]


def pixels_of(data: bytes) -> bytes:
    return b"".join(content for kind, content in png_chunks(data) if kind == b"IDAT")


def with_pixels(*contents: bytes, data: bytes | None = None) -> bytes:
    """Return a PNG with these IDAT chunks in the place of its own."""
    chunks = [each for each in png_chunks(data or plain("png")) if each[0] != b"IDAT"]
    return png_of(*chunks[:-1], *((b"IDAT", content) for content in contents), chunks[-1])


def in_pieces(size: int, data: bytes | None = None) -> bytes:
    packed = pixels_of(data or plain("png"))
    return with_pixels(*(packed[at : at + size] for at in range(0, len(packed), size)), data=data)


def one_color_png(side: int) -> bytes:
    row = b"\0" + bytes(3 * side)
    squeeze = zlib.compressobj(1)
    packed = b"".join(squeeze.compress(row) for _ in range(side)) + squeeze.flush()
    return PNG_MAGIC + ihdr(side, side) + png_chunk(b"IDAT", packed) + png_chunk(b"IEND", b"")


def flooded_png(chunk: bytes, size: int = FLOOD, *, behind_pixels: bool = False) -> bytes:
    return png_with(plain("png"), chunk * (size // len(chunk)), behind_pixels=behind_pixels)


@lru_cache
def packed_megabyte() -> bytes:
    return zlib.compress(bytes(2**20))


@lru_cache
def deflated_zeros(size: int = 10**9) -> bytes:
    squeeze = zlib.compressobj(1)
    block = bytes(10**7)
    return b"".join(squeeze.compress(block) for _ in range(size // len(block))) + squeeze.flush()


def interlaced(image: Image.Image) -> bytes:
    """Return an RGB PNG in the seven passes of Adam7."""
    packed = b""
    for x, y, right, down in (
        (0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2),
    ):  # fmt: skip
        for row in range(y, image.height, down):
            columns = range(x, image.width, right)
            packed += b"\0" + b"".join(bytes(image.getpixel((column, row))) for column in columns)  # type: ignore[arg-type]
    data = ihdr(image.width, image.height, 8, 2, 0, 0, 1)
    return PNG_MAGIC + data + png_chunk(b"IDAT", zlib.compress(packed)) + png_chunk(b"IEND", b"")


def apng(frames: int, claimed: int | None = None) -> bytes:
    data = encoded(smooth(8, 8), "png")
    control = png_chunk(b"acTL", struct.pack(">II", frames if claimed is None else claimed, 0))

    def frame(number: int) -> bytes:
        return png_chunk(b"fcTL", struct.pack(">IIIIIHHBB", number, 8, 8, 0, 0, 1, 10, 0, 0))

    packed = pixels_of(data)
    more = b"".join(
        frame(2 * index - 1) + png_chunk(b"fdAT", struct.pack(">I", 2 * index) + packed) for index in range(1, frames)
    )
    return png_with(png_with(data, control, frame(0)), more, behind_pixels=True)


# --- WebP ---


def vp8x(flags: int, width: int = 64, height: int = 48) -> tuple[bytes, bytes]:
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"VP8X", bytes([flags, 0, 0, 0]) + size


def picture(data: bytes | None = None) -> list[tuple[bytes, bytes]]:
    """Return the chunks that hold the pixels of a WebP."""
    return [each for each in webp_chunks(data or plain("webp")) if each[0] in (b"VP8 ", b"VP8L", b"ALPH")]


def extended(flags: int, *chunks: tuple[bytes, bytes], before: bool = False) -> bytes:
    """Return a WebP with these chunks behind its pixels, or before them."""
    return riff(vp8x(flags), *(chunks if before else ()), *picture(), *(() if before else chunks))


def webp_frames(frames: int, width: int = 8, height: int = 8) -> bytes:
    """Return an animation whose one frame is repeated."""
    content = riff(*picture(encoded(smooth(width, height), "webp", quality=20)))[12:]
    frame = bytes(6) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little") + bytes([10, 0, 0, 0])
    return riff(vp8x(2, width, height), (b"ANIM", bytes(6)), *[(b"ANMF", frame + content)] * frames)


def flooded_webp(chunk: bytes) -> bytes:
    data = extended(0) + chunk * (FLOOD // len(chunk))
    return data[:4] + struct.pack("<I", len(data) - 8) + data[8:]


def webp_changed(at: int, value: bytes, kind: str = "") -> bytes:
    data = plain("webp", kind)
    return data[:at] + value + data[at + len(value) :]


def animation_with(**changed: bytes) -> bytes:
    """Return an animation whose chunks of these kinds have other content; nothing removes them."""
    chunks = [
        (kind, changed.get(kind.decode().strip(), content))
        for kind, content in webp_chunks(plain("webp", "animation"))
        if changed.get(kind.decode().strip(), b"-")
    ]
    return riff(*chunks)


# --- metadata ---


def tiff(*entries: tuple[int, int, int, int], link: int = 0, rest: bytes = b"", order: str = "<") -> bytes:
    """Return an EXIF block of one directory: tag, type, count and value or place of each entry."""
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    table = struct.pack(order + "H", len(entries) & 0xFFFF)
    table += b"".join(struct.pack(order + "HHII", *entry) for entry in entries)
    return head + table + struct.pack(order + "I", link) + rest


ORIENTED = (0x0112, 3, 1, 6)
EXIFS: dict[str, bytes] = {
    "empty": b"",
    "one-byte": b"I",
    "no-directory": b"II*\0\x08\0\0\0",
    "wrong-magic": b"XX*\0" + tiff(ORIENTED)[4:],
    "directory-out-of-range": b"II*\0\xff\xff\xff\x7f",
    "directory-at-zero": b"II*\0\0\0\0\0" + bytes(64),
    "loop": tiff(ORIENTED, link=8),
    "subdirectory-loop": tiff((0x8769, 4, 1, 8), (0x8825, 4, 1, 8), (0xA005, 4, 1, 8), link=8),
    "gps-out-of-range": tiff((0x8825, 4, 1, 0x7FFFFFFF)),
    "gps-is-text": tiff((0x8825, 2, 4, 0x41414141)),
    "gps-negative": tiff((0x8825, 9, 1, 0xFFFFFFFF)),
    "huge-count": tiff((0x010F, 2, 0xFFFFFFFF, 8), ORIENTED),
    "huge-count-of-fractions": tiff((0x829A, 5, 0x1FFFFFFF, 8), ORIENTED),
    "many-entries": tiff(*[(0x9000 + n % 4_000, 3, 1, 1) for n in range(5_000)]),
    "more-entries-than-there-are": b"II*\0\x08\0\0\0\xff\xff" + bytes(24),
    "type-0": tiff((0x0112, 0, 1, 6)),
    "type-99": tiff((0x0112, 99, 1, 6)),
    "zero-denominators": tiff((0x011A, 5, 1, 26), (0x011B, 5, 1, 26), rest=bytes(64)),
    "orientation-0": tiff((0x0112, 3, 1, 0)),
    "orientation-9": tiff((0x0112, 3, 1, 9)),
    "orientation-65535": tiff((0x0112, 3, 1, 65_535)),
    "orientation-text": tiff((0x0112, 2, 2, 0x36)),
    "orientation-twice": tiff(ORIENTED, (0x0112, 3, 1, 3)),
    "orientation-fraction": tiff((0x0112, 5, 1, 26), rest=struct.pack("<II", 6, 0)),
    "orientation-many": tiff((0x0112, 3, 4, 26), rest=bytes([6, 0, 3, 0, 1, 0, 8, 0])),
    "orientation-none": tiff((0x0112, 3, 0, 0)),
    "orientation-big-endian": tiff((0x0112, 3, 1, 6 << 16), order=">"),
    "big-tiff": b"II+\0\x08\0\0\0" + bytes(32),
    "maker-note-garbage": tiff((0x8769, 4, 1, 26), rest=tiff((0x927C, 7, 5_000, 60))[8:] + bytes(range(256)) * 20),
    "text-not-utf8": exif_bytes(6, Make="Acme").replace(b"Acme", b"\xff\xfe\x80\xc3")[6:],
    "thumbnail": exif_bytes(6, gps=True, thumbnail=True)[6:],
}


@lru_cache(1)
def overlapping_exif(size: int = 4_000_000, entries: int = 65_535) -> bytes:
    """Return EXIF whose entries all claim the whole block as their value: 200 GB if each is copied."""
    entries = min(entries, (size - 14) // 24)
    most = size - 14 - 12 * entries
    return tiff(*((n + 1, 7, most, 14 + 12 * entries) for n in range(entries)), rest=bytes(most))


def png_with_exif(block: bytes) -> bytes:
    return png_with(plain("png"), png_chunk(b"eXIf", block))


def jpeg_with_exif(block: bytes) -> bytes:
    """Return a JPEG with EXIF of any length, which Pillow puts together from many segments."""
    parts = [block[at : at + 65_000] for at in range(0, len(block), 65_000)] or [b""]
    return jpeg_with(plain("jpeg"), *(jpeg_segment(APP1, b"Exif\0\0" + part) for part in parts))


def webp_with_exif(block: bytes) -> bytes:
    return extended(0b1000, (b"EXIF", block))


def iccp(profile: bytes, name: bytes = b"icc") -> bytes:
    return png_chunk(b"iCCP", name + b"\0\0" + zlib.compress(profile))


def profiles() -> dict[str, bytes]:
    good = srgb_profile()
    return {
        "truncated": good[: len(good) // 2],
        "header-alone": good[:128],
        "one-byte": good[:1],
        "garbage": random.Random(1).randbytes(3_000),
        "huge-tag-count": good[:128] + b"\xff\xff\xff\xff" + good[132:],
        "tags-out-of-range": good[:132] + b"".join(b"rXYZ\x7f\xff\xff\xff\x7f\xff\xff\xff" for _ in range(100)),
        "of-cmyk": cmyk_profile(),
        "of-gray": gray_profile(2.2),
        "of-lab": good[:16] + b"Lab " + good[20:],
        "of-a-link": good[:12] + b"link" + good[16:],
        "named-colours": good[:12] + b"nmcl" + good[16:],
        "gamma-0": rgb_profile(0.0),
        "wrong-size": b"\x7f\xff\xff\xff" + good[4:],
        "padded-to-3-MB": good.ljust(3 * 2**20, b"\0"),
    }


PROFILE_NAMES = [
    "truncated",
    "header-alone",
    "one-byte",
    "garbage",
    "huge-tag-count",
    "tags-out-of-range",
    "of-cmyk",
    "of-gray",
    "of-lab",
    "of-a-link",
    "named-colours",
    "gamma-0",
    "wrong-size",
    "padded-to-3-MB",
]


# --- the groups ---


def bombs() -> Iterator[Row]:
    """Pixels: files of some bytes that claim, or hold, more than memory does."""
    for side in (7_072, 16_384, 30_000, 65_500):
        yield f"jpeg-{side}", "refuse", partial(jpeg_bomb, side, side)
        yield f"png-{side}", "refuse", lambda side=side: with_header(ihdr(side, side))  # type: ignore[misc]
    yield "jpeg-progressive-65500", "refuse", partial(jpeg_bomb, 65_500, 65_500, 0xC2)
    yield "png-2147483647", "refuse", lambda: with_header(ihdr(2**31 - 1, 2**31 - 1))
    yield "png-beyond-31-bits", "refuse", lambda: with_header(ihdr(2**32 - 1, 2**32 - 1))
    yield "png-wide", "refuse", lambda: with_header(ihdr(50_000_001, 1))
    yield "png-16-bit", "refuse", lambda: with_header(ihdr(13_000, 13_000, 16, 6))
    yield "png-13000-of-one-colour", "refuse", partial(one_color_png, 13_000)
    yield "png-1-bit-60000", "refuse", lambda: with_header(ihdr(60_000, 60_000, 1, 0))
    yield "webp-16383", "refuse", lambda: riff(vp8x(0, 16_383, 16_383), *picture())
    yield "webp-16777216", "refuse", lambda: riff(vp8x(0, 2**24, 2**24), *picture())
    yield "webp-animated-16383", "refuse", lambda: riff(vp8x(2, 16_383, 16_383), *webp_chunks(webp_frames(2))[1:])
    yield "webp-lossy-16383", "refuse", lambda: webp_changed(26, struct.pack("<HH", 16_383, 16_383))
    yield "webp-lossless-16384", "refuse", lambda: riff((b"VP8L", b"\x2f" + b"\xff" * 40))
    yield "png-pixels-beyond-the-size", "either", lambda: with_pixels(deflated_zeros()[:4_000_000])
    yield "png-claims-a-little-more", "either", lambda: with_header(ihdr(64, 60))
    yield "jpeg-claims-a-little-more", "either", lambda: jpeg_changed(5, struct.pack(">H", 4_000))


def floods() -> Iterator[Row]:
    """Parts: what a reader in Python walks through one by one."""
    yield "jpeg-65-scans", "refuse", partial(scans, 65)
    yield "jpeg-2000-scans", "refuse", partial(scans, 2_000)
    yield "jpeg-20000-scans", "refuse", partial(scans, 20_000)
    yield "jpeg-500-scans-of-12-megapixels", "refuse", partial(large_scans, 500)
    yield "jpeg-million-app5", "refuse", lambda: flooded_jpeg(jpeg_segment(APP5, b""), 4_000_000)
    yield "jpeg-6-million-app5", "refuse", lambda: flooded_jpeg(jpeg_segment(APP5, b""))
    yield "jpeg-million-comments", "refuse", lambda: flooded_jpeg(jpeg_segment(COM, b""), 4_000_000)
    yield "jpeg-4097-app5", "refuse", lambda: flooded_jpeg(jpeg_segment(APP5, b""), 4 * 4_097)
    yield "jpeg-million-exif", "refuse", lambda: flooded_jpeg(jpeg_segment(APP1, b"Exif\0\0"), FLOOD)
    yield "jpeg-million-photoshop", "refuse", lambda: flooded_jpeg(jpeg_segment(0xED, b"Photoshop 3.0\0"), FLOOD)
    yield "jpeg-million-tables", "refuse", lambda: flooded_jpeg(jpeg_segment(0xDB, bytes([0, *[1] * 64])), FLOOD)
    yield "jpeg-long-comments", "refuse", lambda: flooded_jpeg(jpeg_segment(COM, bytes(65_000)))
    yield "jpeg-long-thumbnails", "refuse", lambda: flooded_jpeg(jpeg_segment(APP1, b"Exif\0\0" + bytes(60_000)))
    yield "jpeg-24-MB-of-fill", "refuse", lambda: flooded_jpeg(b"\xff")
    yield "jpeg-24-MB-of-junk", "refuse", lambda: flooded_jpeg(b"junk")
    yield "jpeg-24-MB-of-zeros", "refuse", lambda: flooded_jpeg(b"\0")
    yield "jpeg-24-MB-of-stuffing", "refuse", lambda: flooded_jpeg(b"\xff\0")
    yield "jpeg-24-MB-of-restarts", "refuse", lambda: flooded_jpeg(b"\xff\xd0")
    yield "jpeg-24-MB-of-starts", "refuse", lambda: b"\xff\xd8" * (LARGE // 2)
    yield "jpeg-24-MB-of-fill-behind-the-start", "refuse", lambda: b"\xff\xd8" + b"\xff" * LARGE
    yield "jpeg-fill-behind-the-scan", "refuse", lambda: plain("jpeg")[:-2] + b"\xff" * LARGE + b"\xff\xd9"
    yield "jpeg-stuffing-in-the-scan", "either", lambda: plain("jpeg")[:-2] + b"\xff\0" * 10**7 + b"\xff\xd9"
    yield "jpeg-restarts-in-the-scan", "either", lambda: plain("jpeg")[:-2] + b"\xff\xd0" * 10**7 + b"\xff\xd9"
    yield "jpeg-comments-behind-the-scan", "refuse", lambda: plain("jpeg")[:-2] + b"\xff\xfe\0\2" * 10**6 + b"\xff\xd9"
    for name, chunk in {
        "texts": png_chunk(b"tEXt", b"a\0"),
        "packed-texts": png_chunk(b"zTXt", b"a\0\0" + zlib.compress(b"b")),
        "private": png_chunk(b"prVt", b""),
        "times": png_chunk(b"tIME", bytes(7)),
        "unknown-critical": png_chunk(b"UNKN", b""),
        "frame-controls": png_chunk(b"fcTL", bytes(26)),
    }.items():
        yield f"png-{name}", "refuse", partial(flooded_png, chunk)
        yield f"png-{name}-behind", "refuse", partial(flooded_png, chunk, behind_pixels=True)
    yield "png-pixels-of-1-byte", "refuse", lambda: flooded_png(png_chunk(b"IDAT", b"x"), 13 * (2**18 + 1))
    yield "png-empty-pixels", "refuse", lambda: flooded_png(png_chunk(b"IDAT", b""))
    yield "png-empty-frame-pixels", "refuse", lambda: flooded_png(png_chunk(b"fdAT", b""), behind_pixels=True)
    yield "png-palettes", "refuse", lambda: flooded_png(png_chunk(b"PLTE", bytes(3)))
    yield "png-headers", "refuse", lambda: flooded_png(ihdr())
    yield "png-one-long-text", "refuse", lambda: png_with(plain("png"), png_chunk(b"tEXt", b"a\0" + b"b" * LARGE))
    yield "png-one-long-private", "refuse", lambda: png_with(plain("png"), png_chunk(b"prVt", bytes(5_000_000)))
    yield "webp-unknown", "refuse", lambda: flooded_webp(b"UNKN" + bytes(4))
    yield "webp-exif", "refuse", lambda: flooded_webp(b"EXIF\4\0\0\0II*\0")
    yield "webp-alpha", "refuse", lambda: flooded_webp(b"ALPH\2\0\0\0\0\0")
    yield "webp-long-xmp", "refuse", lambda: extended(4, (b"XMP ", bytes(LARGE)))


def inflating() -> Iterator[Row]:
    """Texts and profiles that inflate to a gigabyte: the picture beside them is a good one."""
    for name, make in {
        "ztxt": lambda: png_chunk(b"zTXt", b"Comment\0\0" + deflated_zeros()[:4_000_000]),
        "itxt": lambda: png_chunk(b"iTXt", b"Comment\0\1\0\0\0" + deflated_zeros()[:4_000_000]),
        "itxt-xmp": lambda: png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + deflated_zeros()[:4_000_000]),
        "iccp": lambda: png_chunk(b"iCCP", b"icc\0\0" + deflated_zeros()[:4_000_000]),
        "raw-profile": lambda: png_chunk(b"zTXt", b"Raw profile type exif\0\0" + deflated_zeros()[:4_000_000]),
        "1000-ztxt": lambda: png_chunk(b"zTXt", b"a\0\0" + deflated_zeros(10**7)[:1_000]) * 1_000,
        "1000-keywords": lambda: b"".join(png_chunk(b"zTXt", b"%d\0\0" % n + packed_megabyte()) for n in range(1_000)),
    }.items():
        yield f"{name}", "accept", lambda make=make: png_with(plain("png"), make())  # type: ignore[misc]
        yield f"{name}-behind", "accept", lambda make=make: png_with(plain("png"), make(), behind_pixels=True)  # type: ignore[misc]


def frames() -> Iterator[Row]:
    yield "png-5000", "refuse", partial(apng, 5_000)
    yield "png-claims-2-billion", "refuse", partial(apng, 2, 2**31 - 1)
    # What cannot be a number of frames makes a still of it, in Pillow as in browsers.
    yield "png-claims-4-billion", "accept", partial(apng, 2, 2**32 - 1)
    yield "png-claims-none", "accept", partial(apng, 2, 0)
    yield "png-claims-too-many", "either", partial(apng, 2, 900)
    yield "png-1000", "accept", partial(apng, 1_000)
    yield "webp-2000", "refuse", partial(webp_frames, 2_000)
    yield "webp-100000", "refuse", partial(webp_frames, 100_000)
    yield "webp-300", "accept", partial(webp_frames, 300)
    yield "webp-1001", "refuse", partial(webp_frames, 1_001)
    yield "webp-none", "refuse", partial(webp_frames, 0)
    yield "webp-of-42-megapixels", "either", lambda: riff(vp8x(2, 6_000, 3_500), *webp_chunks(webp_frames(2))[1:])
    yield "webp-without-anim", "either", lambda: animation_with(ANIM=b"")
    yield "webp-short-anim", "either", lambda: animation_with(ANIM=b"\0")
    yield "webp-short-frames", "refuse", lambda: animation_with(ANMF=b"\0" * 10)
    yield "webp-empty-frames", "refuse", lambda: animation_with(ANMF=b"\0" * 16)
    yield (
        "webp-frame-outside",
        "refuse",
        lambda: animation_with(ANMF=b"\xff" * 6 + webp_chunks(plain("webp", "animation"))[2][1][6:]),
    )
    yield (
        "webp-frame-for-ever",
        "either",
        lambda: animation_with(
            ANMF=(frame := webp_chunks(plain("webp", "animation"))[2][1])[:12] + b"\xff\xff\xff" + frame[15:]
        ),
    )
    yield (
        "webp-anim-behind",
        "either",
        lambda: riff(*(chunks := webp_chunks(plain("webp", "animation")))[:1], *chunks[2:], chunks[1]),
    )
    yield "webp-still-that-says-animated", "either", lambda: extended(2)
    yield "webp-animation-that-says-still", "either", lambda: animation_with(VP8X=vp8x(0, 32, 24)[1])


def cuts() -> Iterator[Row]:
    """Files cut off: in their heads, in their pixels, before their end."""
    for format, kind in (
        ("jpeg", ""), ("jpeg", "progressive"), ("png", ""), ("png", "palette"), ("webp", ""), ("webp", "lossless"),
        ("webp", "alpha"), ("webp", "animation"),
    ):  # fmt: skip
        for percent in (2, 20, 80, 97):
            fate: Fate = "either" if format == "png" and percent == 97 else "refuse"
            yield "-".join(filter(None, [format, kind, str(percent)])), fate, partial(cut, format, kind, percent)
    for format in ("jpeg", "png", "webp"):
        for less in (1, 2, 5, 12):
            fate = "refuse" if format == "jpeg" and less > 1 else "either"
            yield f"{format}-less-{less}", fate, lambda format=format, less=less: plain(format)[:-less]  # type: ignore[misc]


def cut(format: str, kind: str, percent: int) -> bytes:
    data = plain(format, kind)
    return data[: max(4, len(data) * percent // 100)]


def flips() -> Iterator[Row]:
    for format, kind in (("jpeg", ""), ("jpeg", "progressive"), ("png", ""), ("png", "palette"), ("webp", "alpha")):
        for number in range(6):
            yield "-".join(filter(None, [format, kind, str(number)])), "either", partial(flipped, format, kind, number)


def flipped(format: str, kind: str, number: int) -> bytes:
    """Return a file with some bits turned over; every third PNG has checksums that say it should be so."""
    chance = random.Random(f"{format} {kind} {number}")
    data = bytearray(plain(format, kind))
    for _ in range(1 + number):
        data[chance.randrange(8, len(data))] ^= 1 << chance.randrange(8)
    return with_checksums(bytes(data)) if format == "png" and number % 3 == 0 else bytes(data)


def with_checksums(data: bytes) -> bytes:
    fixed, at = bytearray(data), 8
    while at + 12 <= len(data):
        end = at + 8 + int.from_bytes(data[at : at + 4])
        fixed[end : end + 4] = struct.pack(">I", zlib.crc32(data[at + 4 : end]))
        at = end + 4
    return bytes(fixed[: len(data)])


FOREIGN = (
    "gif",
    "tiff",
    "bmp",
    "ico",
    "ppm",
    "icns",
    "dds",
    "pdf",
    "pcx",
    "tga",
    "sgi",
    "jpeg2000",
    "avif",
    "eps",
    "xbm",
)


def foreign() -> Iterator[Row]:
    """Other formats, and what is no picture at all."""
    for format in FOREIGN:
        yield format, "refuse", partial(foreign_picture, format)
    for name, data in {
        "empty": b"",
        "one-byte": b"\xff",
        "zeros": bytes(1_000),
        "random": random.Random(2).randbytes(5_000),
        "jpeg-magic": b"\xff\xd8\xff",
        "png-magic": PNG_MAGIC,
        "webp-magic": b"RIFF\xff\0\0\0WEBP",
        "jpeg-magic-and-random": b"\xff\xd8\xff\xe0" + random.Random(3).randbytes(5_000),
        "png-magic-and-random": PNG_MAGIC + random.Random(4).randbytes(5_000),
        "webp-magic-and-random": b"RIFF\x84\x13\0\0WEBPVP8 \x78\x13\0\0" + random.Random(5).randbytes(5_000),
        "psd": b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 48, 64, 8, 3) + bytes(12) + bytes(64 * 48 * 3 + 2),
        "avif-magic": b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf" + bytes(64),
        "heic-magic": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64),
        "mp4": b"\0\0\0\x18ftypisom\0\0\2\0isomiso2" + bytes(64),
        "jpeg-xl": b"\xff\x0a" + bytes(64),
        "jpeg-xl-boxed": b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(64),
        "jpeg-2000-codestream": b"\xff\x4f\xff\x51" + bytes(64),
        "mng": b"\x8aMNG\r\n\x1a\n" + plain("png")[8:],
        "jng": b"\x8bJNG\r\n\x1a\n" + plain("png")[8:],
        "wave": b"RIFF\x24\0\0\0WAVEfmt " + bytes(32),
        "avi": b"RIFF\xff\0\0\0AVI LIST" + bytes(64),
        "svg": b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>',
        "svg-entities": b'<!DOCTYPE x [<!ENTITY a "' + b"b" * 99 + b'">]><svg>&a;&a;</svg>',
        "html": b"<!doctype html><script>alert(1)</script>",
        "php": b"<?php system($_GET['c']); ?>",
        "shell": b"#!/bin/sh\nrm -rf /\n",
        "elf": b"\x7fELF\2\1\1\0" + bytes(120),
        "exe": b"MZ\x90\0" + bytes(120),
        "gzip": b"\x1f\x8b\x08\0" + bytes(64),
        "pickle": b"\x80\x04cos\nsystem\n(S'id'\ntR.",
        "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n(%pipe%id) (w) file\n",
        "imagemagick": b"push graphic-context\nimage over 0,0 0,0 'https://127.0.0.1/x\"|id\"'\npop graphic-context",
        "json": b'{"format": "jpeg"}',
        "utf-16": "JPEG".encode("utf-16"),
        "space-before-jpeg": b" " + plain("jpeg"),
        "newline-before-png": b"\n" + plain("png"),
        "png-as-text": PNG_MAGIC.replace(b"\r\n", b"\n") + plain("png")[8:],
        "lower-case-riff": b"riff" + plain("webp")[4:],
        "big-endian-riff": b"RIFX" + plain("webp")[4:],
    }.items():
        yield name, "refuse", lambda data=data: data  # type: ignore[misc]
    yield "zip", "refuse", archive
    yield "24-MB-of-random", "refuse", lambda: random.Random(6).randbytes(LARGE)


def foreign_picture(format: str) -> bytes:
    mode = "1" if format in ("msp", "xbm") else "RGB"
    return encoded(smooth().convert(mode), format, **({"resolution": 72} if format == "pdf" else {}))


def archive() -> bytes:
    file = BytesIO()
    with zipfile.ZipFile(file, "w") as archived:
        archived.writestr(zipfile.ZipInfo("index.html"), PAYLOAD)
    return file.getvalue()


def polyglots() -> Iterator[Row]:
    """Pictures that are something else as well: of the other thing, nothing may reach a result."""
    for format in ("jpeg", "png", "webp"):
        yield f"{format}-then-html", "accept", lambda format=format: plain(format) + PAYLOAD  # type: ignore[misc]
        yield f"{format}-then-zip", "accept", lambda format=format: plain(format) + archive()  # type: ignore[misc]
        yield f"{format}-then-exe", "accept", lambda format=format: plain(format) + b"MZ" + PAYLOAD  # type: ignore[misc]
    exif = exif_bytes(6, ImageDescription=PAYLOAD.decode(), Artist=PAYLOAD.decode())
    yield "jpeg-comment", "accept", lambda: jpeg_with(plain("jpeg"), jpeg_segment(COM, PAYLOAD))
    yield "jpeg-exif", "accept", lambda: jpeg_with(plain("jpeg"), jpeg_segment(APP1, exif))
    yield (
        "jpeg-app0-javascript",
        "accept",
        lambda: plain("jpeg")[:2] + jpeg_segment(0xE0, b"JFIF\0\1\1\0\0\1\0\1\0\0" + PAYLOAD) + plain("jpeg")[20:],
    )
    yield (
        "jpeg-pdf-in-a-comment",
        "accept",
        lambda: jpeg_with(plain("jpeg"), jpeg_segment(COM, b"%PDF-1.4\n" + PAYLOAD)),
    )
    yield "jpeg-between-segments", "accept", lambda: jpeg_with(plain("jpeg"), PAYLOAD, jpeg_segment(COM, b""))
    yield (
        "jpeg-iptc",
        "accept",
        lambda: jpeg_with(
            plain("jpeg"),
            jpeg_segment(0xED, b"Photoshop 3.0\08BIM\4\4\0\0" + struct.pack(">I", len(PAYLOAD)) + PAYLOAD),
        ),
    )
    yield (
        "jpeg-xmp-external-entity",
        "accept",
        lambda: encoded(
            photo(64, 48),
            "jpeg",
            xmp=b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><x>&e;' + PAYLOAD + b"</x>",
        ),
    )
    yield "jpeg-then-png", "accept", lambda: plain("jpeg") + plain("png") + PAYLOAD
    yield "png-text", "accept", lambda: png_with(plain("png"), png_chunk(b"tEXt", b"Comment\0" + PAYLOAD))
    yield (
        "png-text-behind",
        "accept",
        lambda: png_with(plain("png"), png_chunk(b"iTXt", b"Comment\0\0\0\0\0" + PAYLOAD), behind_pixels=True),
    )
    yield "png-private", "accept", lambda: png_with(plain("png"), png_chunk(b"heLL", PAYLOAD))
    yield "png-exif", "accept", lambda: png_with_exif(exif[6:])
    yield "png-profile-name", "accept", lambda: png_with(plain("png"), iccp(srgb_profile(), PAYLOAD[:79]))
    yield "webp-exif", "accept", lambda: webp_with_exif(exif[6:])
    yield "webp-xmp", "accept", lambda: extended(4, (b"XMP ", PAYLOAD))
    yield "webp-unknown", "accept", lambda: extended(0, (b"heLL", PAYLOAD))
    yield "webp-unknown-before", "accept", lambda: extended(0, (b"heLL", PAYLOAD), before=True)


def metadata() -> Iterator[Row]:
    """Broken EXIF, profiles and XMP: none may lose the picture."""
    ways = {"jpeg": jpeg_with_exif, "png": png_with_exif, "webp": webp_with_exif}
    for number, (name, block) in enumerate(EXIFS.items()):
        title = list(ways)[number % 3]
        yield f"exif-{name}-{title}", "accept", partial(ways[title], block)
    for title, make in ways.items():
        yield f"exif-overlapping-4-MB-{title}", "accept", lambda make=make: make(overlapping_exif())  # type: ignore[misc]
        yield (
            f"exif-overlapping-256-KB-{title}",
            "accept",
            lambda make=make: make(  # type: ignore[misc]
                overlapping_exif(2**18 - 100)
            ),
        )
        yield (
            f"exif-overlapping-texts-{title}",
            "accept",
            lambda make=make: make(  # type: ignore[misc]
                overlapping_exif(2**18 - 100).replace(b"\x07\0", b"\x02\0")
            ),
        )
    for name in PROFILE_NAMES:
        yield f"icc-{name}", "accept", lambda name=name: jpeg_with_profile(profiles()[name])  # type: ignore[misc]
    for name in ("truncated", "garbage", "of-cmyk", "of-gray", "padded-to-3-MB"):
        yield f"icc-{name}-png", "accept", lambda name=name: png_with(plain("png"), iccp(profiles()[name]))  # type: ignore[misc]
    yield "icc-of-rgb-webp", "accept", lambda: extended(32, (b"ICCP", srgb_profile()), before=True)
    yield "icc-garbage-webp", "accept", lambda: extended(32, (b"ICCP", b"garbage"), before=True)
    yield "icc-of-rgb-gray-jpeg", "accept", lambda: jpeg_with_profile(srgb_profile(), smooth().convert("L"))
    yield "icc-of-rgb-cmyk-jpeg", "accept", lambda: jpeg_with_profile(srgb_profile(), in_mode("CMYK"))
    yield "icc-garbage-cmyk-jpeg", "accept", lambda: jpeg_with_profile(b"garbage" * 99, in_mode("CMYK"))
    yield (
        "icc-parts-missing",
        "accept",
        lambda: jpeg_with(plain("jpeg"), jpeg_segment(APP2, b"ICC_PROFILE\0\3\7" + srgb_profile())),
    )
    yield "icc-part-0-of-0", "accept", lambda: jpeg_with(plain("jpeg"), jpeg_segment(APP2, b"ICC_PROFILE\0\0\0"))
    yield "icc-not-deflated", "accept", lambda: png_with(plain("png"), png_chunk(b"iCCP", b"icc\0\0garbage"))
    yield "icc-without-a-name", "accept", lambda: png_with(plain("png"), png_chunk(b"iCCP", b""))
    yield "xmp-garbage-jpeg", "accept", lambda: encoded(photo(64, 48), "jpeg", xmp=b"\xff\0<<<>>>")
    yield (
        "xmp-a-million-laughs",
        "accept",
        lambda: encoded(
            photo(64, 48),
            "jpeg",
            xmp=b"<!DOCTYPE l ["
            + b"".join(b'<!ENTITY l%d "%s">' % (n, b"&l%d;" % (n - 1) * 9) for n in range(1, 20))
            + b"]><l>&l19;</l>",
        ),
    )
    yield "xmp-garbage-webp", "accept", lambda: extended(4, (b"XMP ", b"\xff\0<<<"))
    yield (
        "photoshop-cut",
        "accept",
        lambda: jpeg_with(plain("jpeg"), jpeg_segment(0xED, b"Photoshop 3.0\08BIM\4\4\0\0\x7f\xff\xff\xff")),
    )
    yield (
        "photoshop-long-name",
        "accept",
        lambda: jpeg_with(plain("jpeg"), jpeg_segment(0xED, b"Photoshop 3.0\08BIM\4\4\xff")),
    )
    yield (
        "mpo-broken-index",
        "accept",
        lambda: jpeg_with(plain("jpeg"), jpeg_segment(APP2, b"MPF\0MM\0*\0\0\0\x08\0\x05" + b"\xff" * 40)),
    )
    yield (
        "mpo-overlapping-index",
        "accept",
        lambda: jpeg_with(plain("jpeg"), jpeg_segment(APP2, b"MPF\0" + overlapping_exif(65_000))),
    )
    yield (
        "mpo-4-billion-pictures",
        "accept",
        lambda: jpeg_with(
            plain("jpeg"), jpeg_segment(APP2, b"MPF\0" + tiff((0xB001, 4, 1, 2**32 - 1), (0xB002, 7, 16, 8)))
        ),
    )
    yield (
        "density-zero",
        "accept",
        lambda: plain("jpeg")[:2] + jpeg_segment(0xE0, b"JFIF\0\1\1\1\0\0\0\0\0\0") + plain("jpeg")[20:],
    )
    for keyword in (b"interlace", b"transparency", b"exif", b"icc_profile", b"gamma", b"dpi", b"loop", b""):
        yield (
            f"text-called-{keyword.decode() or 'nothing'}",
            "accept",
            lambda keyword=keyword: png_with(  # type: ignore[misc]
                plain("png", "palette"), png_chunk(b"tEXt", keyword + b"\0junk")
            ),
        )
    for kind, content in {
        b"tEXt": b"",
        b"zTXt": b"a\0\7x",
        b"iTXt": b"a\0\1\7",
        b"pHYs": b"\0",
        b"gAMA": b"",
        b"cHRM": b"\0" * 31,
        b"sRGB": b"",
        b"tIME": b"",
        b"sBIT": b"",
        b"hIST": b"\0",
        b"bKGD": b"",
        b"sPLT": b"a",
        b"cICP": b"\xff",
        b"eXIf": b"",
    }.items():
        yield (
            f"short-{kind.decode()}",
            "accept",
            lambda kind=kind, content=content: png_with(  # type: ignore[misc]
                plain("png"), png_chunk(kind, content)
            ),
        )


def odd_jpegs() -> Iterator[Row]:
    """Files that break a rule of their format, or use one that few do."""
    yield "jpeg-zero-height", "refuse", lambda: jpeg_changed(5, b"\0\0")
    yield "jpeg-zero-width", "refuse", lambda: jpeg_changed(7, b"\0\0")
    yield (
        "jpeg-height-behind-the-scan",
        "refuse",
        lambda: jpeg_changed(5, b"\0\0")[:-2] + jpeg_segment(0xDC, b"\0\x30") + b"\xff\xd9",
    )
    yield (
        "jpeg-two-frames",
        "refuse",
        lambda: jpeg_with(plain("jpeg"), plain("jpeg")[(at := plain("jpeg").index(b"\xff\xc0")) : at + 19]),
    )
    yield (
        "jpeg-second-frame-larger",
        "refuse",
        lambda: cut_in_parts(plain("jpeg"))[0] + jpeg_bomb(65_500, 65_500)[-230:-200] + cut_in_parts(plain("jpeg"))[1],
    )
    yield "jpeg-no-frame", "refuse", lambda: without_segments(SOF)
    yield "jpeg-no-quantization", "refuse", lambda: without_segments(0xDB)
    yield "jpeg-no-huffman", "either", lambda: without_segments(0xC4)
    yield "jpeg-no-scan", "refuse", lambda: cut_in_parts(plain("jpeg"))[0] + b"\xff\xd9"
    yield (
        "jpeg-scan-without-data",
        "refuse",
        lambda: cut_in_parts(plain("jpeg"))[0] + cut_in_parts(plain("jpeg"))[1][:14],
    )
    yield "jpeg-12-bits", "refuse", lambda: jpeg_changed(4, b"\x0c")
    yield "jpeg-2-components", "refuse", lambda: jpeg_changed(9, b"\2")
    yield "jpeg-255-components", "refuse", lambda: jpeg_changed(9, b"\xff")
    yield "jpeg-sampling-0", "refuse", lambda: jpeg_changed(11, b"\0")
    yield "jpeg-sampling-15", "refuse", lambda: jpeg_changed(11, b"\xff")
    yield "jpeg-table-9", "refuse", lambda: jpeg_changed(12, b"\x09")
    yield "jpeg-same-components", "either", lambda: jpeg_changed(13, b"\1")
    yield "jpeg-frame-too-short", "refuse", lambda: jpeg_changed(2, b"\0\x08")
    yield "jpeg-frame-too-long", "refuse", lambda: jpeg_changed(2, b"\xff\xff")
    yield "jpeg-length-0", "either", lambda: jpeg_with(plain("jpeg"), b"\xff\xe5\0\0")
    yield "jpeg-length-1", "either", lambda: jpeg_with(plain("jpeg"), b"\xff\xe5\0\1")
    yield "jpeg-scan-of-4-components", "refuse", lambda: jpeg_changed(4, b"\4", b"\xff\xda")
    yield "jpeg-scan-of-unknown", "refuse", lambda: jpeg_changed(5, b"\x63", b"\xff\xda")
    yield "jpeg-huffman-counts", "refuse", lambda: jpeg_changed(5, b"\xff" * 16, b"\xff\xc4")
    yield "jpeg-huffman-class-9", "refuse", lambda: jpeg_changed(4, b"\x99", b"\xff\xc4")
    yield "jpeg-quantization-zeros", "either", lambda: jpeg_changed(5, bytes(64), b"\xff\xdb")
    for kind, marker in {"lossless": 0xC3, "differential": 0xC5, "arithmetic": 0xC9, "jpeg-ls": 0xF7}.items():
        yield (
            f"jpeg-frame-of-{kind}",
            "either",
            lambda marker=marker: plain("jpeg").replace(  # type: ignore[misc]
                b"\xff\xc0", bytes([255, marker])
            ),
        )
    yield "jpeg-baseline-that-says-progressive", "either", lambda: plain("jpeg").replace(b"\xff\xc0", b"\xff\xc2")
    yield (
        "jpeg-progressive-that-says-baseline",
        "either",
        lambda: plain("jpeg", "progressive").replace(b"\xff\xc2", b"\xff\xc0"),
    )
    yield "jpeg-two-starts", "either", lambda: b"\xff\xd8" + plain("jpeg")
    yield "jpeg-end-at-once", "refuse", lambda: b"\xff\xd8\xff\xd9" + plain("jpeg")
    yield "jpeg-restart-interval-1", "either", lambda: jpeg_with(plain("jpeg"), jpeg_segment(0xDD, b"\0\1"))
    yield (
        "jpeg-adobe-transform-9",
        "either",
        lambda: jpeg_with(plain("jpeg"), jpeg_segment(0xEE, b"Adobe\0d\0\0\0\0\x09")),
    )
    yield "jpeg-short-adobe", "either", lambda: jpeg_with(plain("jpeg"), jpeg_segment(0xEE, b"Adobe"))


def odd_pngs() -> Iterator[Row]:
    """Files that break a rule of their format, or use one that few do."""
    yield "png-zero-width", "refuse", lambda: with_header(ihdr(0, 48))
    yield "png-zero-height", "refuse", lambda: with_header(ihdr(64, 0))
    yield "png-zero-zero", "refuse", lambda: with_header(ihdr(0, 0))
    for name, header in {
        "3-bits": ihdr(64, 48, 3, 2),
        "32-bits": ihdr(64, 48, 32, 2),
        "colour-1": ihdr(64, 48, 8, 1),
        "colour-255": ihdr(64, 48, 8, 255),
        "compression-1": ihdr(64, 48, 8, 2, 1, 0, 0),
        "filter-method-1": ihdr(64, 48, 8, 2, 0, 1, 0),
        "interlace-9": ihdr(64, 48, 8, 2, 0, 0, 9),
        "palette-without-one": ihdr(64, 48, 8, 3),
        "checksum-of-the-header": ihdr()[:-1] + b"?",
        "header-twice": ihdr() * 2,
        "short-header": png_chunk(b"IHDR", ihdr()[8:18]),
        "long-header": png_chunk(b"IHDR", ihdr()[8:21] + b"more"),
        "no-header": b"",
    }.items():
        yield f"png-{name}", "either", lambda header=header: with_header(header)  # type: ignore[misc]
    for name, chunk in {
        "300-colours": png_chunk(b"PLTE", bytes(900)),
        "odd-palette": png_chunk(b"PLTE", bytes(7)),
        "no-colours": png_chunk(b"PLTE", b""),
        "one-colour": png_chunk(b"PLTE", bytes(3)),
    }.items():
        yield (
            f"png-{name}",
            "either",
            lambda chunk=chunk: raw_png(  # type: ignore[misc]
                (16, 2), 8, 3, [bytes(range(16)), bytes(range(240, 256))], chunk
            ),
        )
    for name, content in {"long": bytes(600), "empty": b"", "short": b"\0"}.items():
        yield (
            f"png-{name}-transparency",
            "either",
            lambda content=content: png_with(  # type: ignore[misc]
                plain("png"), png_chunk(b"tRNS", content)
            ),
        )
        yield (
            f"png-{name}-transparency-of-a-palette",
            "either",
            lambda content=content: png_with(  # type: ignore[misc]
                encoded(in_mode("P"), "png"), png_chunk(b"tRNS", content)
            ),
        )
    yield (
        "png-transparency-of-rgba",
        "either",
        lambda: png_with(encoded(in_mode("RGBA"), "png"), png_chunk(b"tRNS", bytes(6))),
    )
    yield "png-no-pixels", "refuse", with_pixels
    yield "png-pixels-not-deflated", "refuse", lambda: with_pixels(b"garbage" * 50)
    yield "png-pixels-too-few", "either", lambda: with_pixels(zlib.compress(bytes(193 * 20)))
    yield "png-pixels-too-many", "either", lambda: with_pixels(zlib.compress(bytes(193 * 90)))
    yield "png-filter-7", "either", lambda: with_pixels(zlib.compress(b"\7" * (193 * 48)))
    yield "png-wrong-adler", "either", lambda: with_pixels(pixels_of(plain("png"))[:-1] + b"?")
    yield "png-no-end", "either", lambda: plain("png")[:-12]
    yield "png-end-at-once", "refuse", lambda: PNG_MAGIC + ihdr() + png_chunk(b"IEND", b"") + plain("png")[33:]
    yield "png-chunk-of-2-GB", "either", lambda: png_with(plain("png"), b"\x7f\xff\xff\xffprVt")
    yield "png-chunk-of-4-GB", "either", lambda: png_with(plain("png"), b"\xff\xff\xff\xffprVt")
    yield "png-pixels-of-4-GB", "either", lambda: png_with(plain("png"), b"\xff\xff\xff\xffIDAT")
    yield "png-of-apple", "refuse", lambda: PNG_MAGIC + png_chunk(b"CgBI", bytes(4)) + plain("png")[8:]
    yield (
        "png-palette-behind-the-pixels",
        "either",
        lambda: png_with(raw_png((4, 1), 8, 3, [bytes(4)]), png_chunk(b"PLTE", bytes(3)), behind_pixels=True),
    )
    yield (
        "png-frame-control-out-of-range",
        "either",
        lambda: png_with(apng(2), png_chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, 8, 8, 9_999, 9_999, 1, 10, 9, 9))),
    )
    yield "png-frame-control-short", "either", lambda: png_with(apng(2), png_chunk(b"fcTL", b"\0"))
    yield "png-short-actl", "either", lambda: png_with(plain("png"), png_chunk(b"acTL", b"\0\0"))
    for mode in ("L+tRNS", "RGB+tRNS", "P", "P+tRNS", "LA", "1", "I;16"):
        yield f"png-truncated-{mode}", "refuse", lambda mode=mode: encoded(in_mode(mode), "png")[:-40]  # type: ignore[misc]
    yield (
        "png-palette-index-beyond",
        "either",
        lambda: raw_png((4, 1), 8, 3, [b"\0\1\2\xff"], png_chunk(b"PLTE", bytes(6))),
    )
    yield (
        "png-chunk-name-not-letters",
        "either",
        lambda: png_with(plain("png", "palette"), png_chunk(b"\0\xff\n<", b"x")),
    )


def odd_webps() -> Iterator[Row]:
    """Files that break a rule of their format, or use one that few do."""
    yield "webp-size-0", "refuse", lambda: webp_changed(4, bytes(4))
    yield "webp-size-too-large", "either", lambda: webp_changed(4, b"\xff\xff\xff\x7f")
    yield "webp-size-4-GB", "either", lambda: webp_changed(4, b"\xff\xff\xff\xff")
    yield "webp-size-too-small", "refuse", lambda: webp_changed(4, b"\x40\0\0\0")
    yield "webp-chunk-too-large", "refuse", lambda: webp_changed(16, b"\xff\xff\xff\x7f")
    yield "webp-no-key-frame", "refuse", lambda: webp_changed(20, bytes([webp_changed(0, b"")[20] | 1]))
    yield "webp-wrong-start-code", "refuse", lambda: webp_changed(23, b"xyz")
    yield "webp-zero-width", "refuse", lambda: webp_changed(26, b"\0\0")
    yield (
        "webp-lossless-version-7",
        "refuse",
        lambda: riff((b"VP8L", (content := picture(plain("webp", "lossless"))[0][1])[:4] + b"\xff" + content[5:])),
    )
    yield "webp-no-picture", "refuse", lambda: riff(vp8x(0))
    yield "webp-no-chunk", "refuse", riff
    yield "webp-canvas-too-large", "either", lambda: riff(vp8x(0, 640, 480), *picture())
    yield "webp-canvas-too-small", "either", lambda: riff(vp8x(0, 6, 4), *picture())
    yield "webp-two-pictures", "either", lambda: riff(*picture(), *picture())
    yield "webp-alpha-garbage", "either", lambda: riff(vp8x(16), (b"ALPH", b"\1garbage"), *picture())
    yield "webp-alpha-empty", "either", lambda: riff(vp8x(16), (b"ALPH", b""), *picture())
    yield "webp-alpha-behind", "either", lambda: riff(vp8x(16), *picture(), (b"ALPH", b"\0" * 3_073))
    yield "webp-all-flags", "either", lambda: extended(0xFF)
    yield "webp-short-vp8x", "refuse", lambda: riff((b"VP8X", bytes(4)), *picture())
    yield "webp-vp8x-behind", "either", lambda: riff(*picture(), vp8x(0))


def legal_jpegs() -> Iterator[Row]:
    """Files that are rare and right: each must be accepted."""
    before, rest = cut_in_parts(plain("jpeg"))
    yield "jpeg-fill-before-markers", "accept", lambda: jpeg_with(plain("jpeg"), b"\xff" * 300)
    yield "jpeg-fill-before-the-scan", "accept", lambda: before + b"\xff" * 300 + rest
    yield "jpeg-fill-before-the-end", "accept", lambda: plain("jpeg")[:-2] + b"\xff" * 300 + b"\xff\xd9"
    yield "jpeg-trailing", "accept", lambda: plain("jpeg") + bytes(10_000)
    yield "jpeg-trailing-noise", "accept", lambda: plain("jpeg") + random.Random(7).randbytes(50_000)
    yield "jpeg-24-MB-trailing", "accept", lambda: plain("jpeg").ljust(LARGE, b"\xff")
    yield "jpeg-two-pictures", "accept", lambda: mpo(noise())
    yield "jpeg-five-pictures", "accept", lambda: mpo(*(noise(seed=n) for n in range(4)))
    yield (
        "jpeg-thumbnail-with-frames-and-scans",
        "accept",
        lambda: jpeg_with(plain("jpeg"), jpeg_segment(APP1, exif_bytes(6, gps=True, thumbnail=True, Make="Acme"))),
    )
    yield (
        "jpeg-many-scans-in-the-thumbnail",
        "accept",
        lambda: jpeg_with(plain("jpeg"), jpeg_segment(APP1, b"Exif\0\0" + scans(200)[:60_000])),
    )
    yield "jpeg-restart-markers", "accept", lambda: encoded(photo(64, 48), "jpeg", restart_marker_blocks=1)
    yield (
        "jpeg-progressive-restart-markers",
        "accept",
        lambda: encoded(photo(64, 48), "jpeg", progressive=True, restart_marker_rows=1),
    )
    yield "jpeg-60-scans", "accept", partial(scans, 50)
    yield "jpeg-cmyk", "accept", lambda: encoded(in_mode("CMYK"), "jpeg")
    yield "jpeg-cmyk-of-nobody", "accept", lambda: (data := encoded(in_mode("CMYK"), "jpeg"))[:2] + data[18:]
    yield (
        "jpeg-ycck-of-adobe",
        "accept",
        lambda: encoded(in_mode("CMYK"), "jpeg").replace(b"Adobe\0d\0\0\0\0\0", b"Adobe\0d\0\0\0\0\2"),
    )
    yield "jpeg-cmyk-with-its-profile", "accept", lambda: jpeg_with_profile(cmyk_profile(), in_mode("CMYK"))
    yield "jpeg-rgb", "accept", lambda: encoded(photo(64, 48), "jpeg", keep_rgb=True)
    yield "jpeg-gray", "accept", lambda: encoded(smooth().convert("L"), "jpeg")
    yield "jpeg-gray-progressive", "accept", lambda: encoded(smooth().convert("L"), "jpeg", progressive=True)
    yield "jpeg-4-4-4", "accept", lambda: encoded(photo(64, 48), "jpeg", subsampling=0)
    yield "jpeg-one-pixel", "accept", lambda: encoded(noise(1, 1), "jpeg")
    yield "jpeg-65500-wide", "accept", lambda: encoded(Image.new("L", (65_500, 1), 99), "jpeg")
    yield "jpeg-no-jfif", "accept", lambda: plain("jpeg")[:2] + plain("jpeg")[20:]
    yield (
        "jpeg-comment-before-jfif",
        "accept",
        lambda: plain("jpeg")[:2] + jpeg_segment(COM, b"first") + plain("jpeg")[2:],
    )
    yield "jpeg-4000-comments", "accept", lambda: flooded_jpeg(jpeg_segment(COM, b"a"), 5 * 4_000)
    yield "jpeg-4-MB-of-metadata", "accept", lambda: flooded_jpeg(jpeg_segment(APP5, bytes(60_000)), 4_000_000)
    for orientation in range(2, 9):
        yield (
            f"jpeg-orientation-{orientation}",
            "accept",
            lambda orientation=orientation: encoded(  # type: ignore[misc]
                photo(64, 48), "jpeg", exif=exif_bytes(orientation)
            ),
        )


def legal_pngs() -> Iterator[Row]:
    """Files that are rare and right: each must be accepted."""
    yield "png-pixels-in-27000-chunks", "accept", lambda: in_pieces(1, encoded(noise(95, 95), "png"))
    yield (
        "png-empty-pixels-between",
        "accept",
        lambda: with_pixels(b"", *(each for pair in pairwise([pixels_of(plain("png")), b""]) for each in pair), b""),
    )
    yield (
        "png-unknown-chunks",
        "accept",
        lambda: png_with(plain("png"), *(png_chunk(b"prVt", b"%d" % n) for n in range(500))),
    )
    yield (
        "png-unknown-behind",
        "accept",
        lambda: png_with(plain("png"), png_chunk(b"prVt", bytes(9_000)), behind_pixels=True),
    )
    yield "png-interlaced", "accept", lambda: interlaced(photo(37, 23))
    yield "png-interlaced-1x1", "accept", lambda: interlaced(photo(1, 1))
    yield "png-trailing", "accept", lambda: plain("png") + bytes(10_000)
    yield "png-two", "accept", lambda: plain("png") + plain("png")
    for bits, color_type, row in (
        (1, 0, b"\xaa" * 2), (2, 0, b"\xe4" * 4), (4, 0, bytes(range(8))), (16, 0, bytes(range(32))),
        (16, 2, bytes(range(96))), (16, 4, bytes(range(64))), (16, 6, bytes(range(128))), (8, 4, bytes(range(32))),
    ):  # fmt: skip
        yield (
            f"png-{bits}-bits-of-colour-{color_type}",
            "accept",
            partial(raw_png, (16, 3), bits, color_type, [row] * 3),
        )
    for bits, row in ((1, b"\xaa\xaa"), (2, b"\x1b" * 4), (4, b"\x01\x23" * 4), (8, bytes([0, 1, 2, 3] * 4))):
        colors = png_chunk(b"PLTE", bytes(range(3 * min(2**bits, 16))))
        clear = png_chunk(b"tRNS", b"\0\x80")
        yield f"png-palette-of-{bits}-bits", "accept", partial(raw_png, (16, 3), bits, 3, [row] * 3, colors, clear)
    yield "png-one-pixel", "accept", lambda: encoded(noise(1, 1), "png")
    yield "png-65535-wide", "accept", lambda: encoded(Image.new("L", (65_535, 1), 99), "png")
    for mode in ("1", "L+tRNS", "LA", "P+tRNS", "RGB+tRNS", "RGBA", "I;16"):
        yield f"png-{mode}", "accept", lambda mode=mode: encoded(in_mode(mode), "png")  # type: ignore[misc]


def legal_webps() -> Iterator[Row]:
    """Files that are rare and right: each must be accepted."""
    yield "webp-trailing", "accept", lambda: plain("webp") + bytes(10_000)
    yield "webp-24-MB-trailing", "accept", lambda: plain("webp").ljust(LARGE, b"\xff")
    yield "webp-no-padding-at-the-end", "accept", lambda: unpadded(b"XMP ", b"odd")
    yield (
        "webp-no-padding-and-no-room-for-it",
        "accept",
        lambda: (data := unpadded(b"UNKN", b"x"))[:4] + struct.pack("<I", len(data) - 8) + data[8:],
    )
    yield "webp-alpha", "accept", lambda: plain("webp", "alpha")
    yield "webp-lossless", "accept", lambda: plain("webp", "lossless")
    yield "webp-gray-alpha", "accept", lambda: encoded(in_mode("LA").convert("RGBA"), "webp")
    yield "webp-animation", "accept", lambda: plain("webp", "animation")
    yield "webp-unknown-chunks", "accept", lambda: extended(0, *[(b"UNKN", b"xy")] * 1_000)
    yield "webp-one-pixel", "accept", lambda: encoded(noise(1, 1), "webp")
    yield "webp-16383-wide", "accept", lambda: encoded(Image.new("RGB", (16_383, 1), "teal"), "webp")


def unpadded(kind: bytes, content: bytes) -> bytes:
    """Return a WebP whose last chunk is odd and not filled up."""
    return extended(0, (kind, content))[:-1]


GROUPS = (
    bombs,
    floods,
    inflating,
    frames,
    cuts,
    flips,
    foreign,
    polyglots,
    metadata,
    odd_jpegs,
    odd_pngs,
    odd_webps,
    legal_jpegs,
    legal_pngs,
    legal_webps,
)
FILES = {
    f"{group.__name__}/{name}": Hostile(group.__name__, fate, make) for group in GROUPS for name, fate, make in group()
}
