"""PNG: lossless, or with a palette if that keeps the similarity; packed by oxipng."""

from bisect import bisect_left
from collections.abc import Sequence
from io import BytesIO
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import oxipng
from oxipng import Deflaters, RowFilter
from PIL import Image as pillow
from PIL.Image import Image
from PIL.PngImagePlugin import PngInfo

from optimizer.imaging.containers import png_chunks

if TYPE_CHECKING:
    from optimizer.imaging.quantize import Palette
    from optimizer.settings import Settings

TITLE = "PNG"
MEDIA_TYPE = "image/png"
EXTENSION = "png"
SUPPORTS_ALPHA = True
LOSSLESS = True
MAX_QUALITY = 100
MAX_SIDE = 2**31 - 1

PALETTE_COLORS = 256
DITHERED = 257  # means PALETTE_COLORS, dithered

# The score that a quality asks of a palette, in SSIMULACRA2, linear between the entries. It is about what JPEG reaches
# at this quality. The palette gets the fewest colours that reach the aim. If no palette does, it gets all 256, provided
# these reach the floor. Photos score 65 to 85 with 256 colours, about 10 with 16 and -70 with 2; noise scores -300. So
# at the lowest quality every image gets a palette.
_AIMS = ((1, -100), (10, 0), (30, 45), (85, 82), (100, 97))
_FLOORS = ((1, -500), (10, -100), (30, 20), (85, 60), (100, 75))
# How far, in Oklab, a colour may be from the original if there are fewer than 256 colours. A detail as small as a badge
# has no weight in the similarity, but must not turn gray.
_MISSES = ((1, 2), (30, 0.5), (85, 0.15), (100, 0.05))
DITHER_GAIN = 2  # points of SSIMULACRA2 that dithering must gain, since it costs about a tenth of the bytes


def _options(level: int, *filters: RowFilter) -> dict[str, Any]:
    """Return options with which oxipng uses the best of these filters and libdeflate at this level, 1 to 12."""
    return {"level": 0, "filter": list(filters), "deflate": Deflaters.libdeflater(level)}


# oxipng's options for images of up to so many pixels. Its time grows with the pixels and with the effort, and 50
# megapixels must end in time. Compared with Pillow, the first entry saves 9 percent of the bytes on photos and 22 on
# graphics, in 3 and 14 times the time. oxipng's own level 2 saves 8.6 and 21 percent, in 3 and 8 times the time.
# BigEnt, the entropy of pairs of bytes, chooses better than the filters of the lower levels.
_LOSSLESS = (
    (2_000_000, _options(12, RowFilter.NoOp, RowFilter.BigEnt, RowFilter.Bigrams)),
    (8_000_000, _options(10, RowFilter.NoOp, RowFilter.BigEnt)),
    (MAX_SIDE**2, {"level": 0}),  # trying any filters would take seconds more
)
# Images that no palette can hold have gradients and grain. They are never smaller without a filter, so not trying that
# saves 10 to 20 percent of the time.
_FILTERED = ((8_000_000, _options(10, RowFilter.BigEnt)), _LOSSLESS[-1])
# No filter: filters help with levels of colour, but not with places in a palette. On screenshots, level 9 would take a
# quarter of the time of level 11, for 7 to 9 percent more bytes.
_PALETTE = tuple(
    (limit, _options(level, RowFilter.NoOp)) for limit, level in ((4_000_000, 11), (16_000_000, 10), (MAX_SIDE**2, 6))
)
# Pillow first packs both files quickly. A file that is then so many times as large as the other cannot become the
# smaller one. If the two are nearer to each other, oxipng packs both. Above so many pixels even that takes seconds, so
# the palette is used.
_HOPELESS = 1.3
_COMPARED_PIXELS = 16_000_000


def encode(image: Image, settings: "Settings", score: float | None = None) -> tuple[bytes, float | None]:
    """As `Encoder.encode`. A palette must reach this SSIMULACRA2 score, or without one what the quality asks of it."""
    if settings.lossless or settings.quality >= 100 or has_few_colors(image):
        return _pack(_save(image, image), image, _LOSSLESS), None
    aim, floor = (_between(points, settings.quality) for points in (_AIMS, _FLOORS))
    quantized = _quantize(image, settings.quality, *((aim, floor) if score is None else (score, score)))
    if quantized is None:
        return _pack(_save(image, image), image, _FILTERED), None
    palette = _save(quantized, image, compress_level=1)
    exact = _save(image, image, compress_level=1) if image.width * image.height <= _COMPARED_PIXELS else None
    results: list[tuple[bytes, float | None]] = []
    if exact is None or len(palette) <= _HOPELESS * len(exact):
        results.append((_pack(palette, image, _PALETTE), settings.quality))
    if exact is not None and len(exact) <= _HOPELESS * len(palette):
        results.append((_pack(exact, image, _LOSSLESS), None))
    return min(results, key=lambda result: len(result[0]))


def quality_for(score: float) -> float:
    """Return the quality, 1 to 100, whose aim is this score of SSIMULACRA2."""
    return _between([(aim, quality) for quality, aim in _AIMS], score)


def _between(points: Sequence[tuple[float, float]], x: float) -> float:
    """Return the value at x on the line through the points. Outside the points it is that of the nearest end."""
    x = min(max(x, points[0][0]), points[-1][0])
    (x0, y0), (x1, y1) = next(pair for pair in pairwise(points) if x <= pair[1][0])
    return y0 + (y1 - y0) * (x - x0) / (x1 - x0)


def has_few_colors(image: Image) -> bool:
    """Return whether the image is gray or fits into a palette as it is. oxipng then finds the smallest form itself."""
    return image.mode not in ("RGB", "RGBA") or image.getcolors(PALETTE_COLORS) is not None


def _quantize(image: Image, quality: float, aim: float, floor: float) -> Image | None:
    """Return the image in the fewest colours whose score reaches the aim, or in 256 colours if that score reaches the
    floor, or None.
    """
    palettes = Palettes(image)
    if palettes.score(PALETTE_COLORS) < aim:
        best = DITHERED if palettes.dithers() else PALETTE_COLORS
        return palettes.of(best).apply(image) if palettes.score(best) >= floor else None
    counts = [2, 4, 8, 16, 32, 64, 128]

    def holds(colors: int) -> bool:
        return palettes.farthest(palettes.of(colors)) <= _between(_MISSES, quality) and palettes.score(colors) >= aim

    return palettes.of([*counts, PALETTE_COLORS][bisect_left(counts, True, key=holds)]).apply(image)


class Palettes:
    """An RGB or RGBA image in palettes of any length. A mosaic of the image is used to score them."""

    def __init__(self, image: Image) -> None:
        from optimizer.imaging.perception import Mosaic, Reference
        from optimizer.imaging.quantize import Quantizer

        self._image = image
        self._mosaic = Mosaic(image)
        self._tiles = self._mosaic.of(image)
        self._reference = Reference(self._tiles)
        self._quantizer = Quantizer(image)
        self.farthest = self._quantizer.farthest
        self._made: dict[int, Palette] = {}
        self._scores: dict[int, float] = {}
        self._expected: dict[int | None, float] = {}
        self._packed = 1.0  # the size of the last palette's file after oxipng, as a fraction

    def of(self, colors: int) -> "Palette":
        """Return the palette of so many colours, 2 to 256, or DITHERED."""
        if colors not in self._made:
            plain = self.of(PALETTE_COLORS) if colors == DITHERED else None
            self._made[colors] = plain.dithered() if plain else self._quantizer.palette(colors)
        return self._made[colors]

    def score(self, colors: int) -> float:
        """Return the similarity (SSIMULACRA2) of the image in so many colours."""
        if colors not in self._scores:
            tiles = self.of(colors).apply(self._tiles).convert(self._image.mode)
            self._scores[colors] = self._mosaic.predict(self._reference.score(tiles))
        return self._scores[colors]

    def quality(self, colors: int) -> float:
        """Return the quality, at most 99, that would ask for so many colours."""
        return min(round(quality_for(self.score(colors))), 99)

    def dithers(self) -> bool:
        """Return whether dithering gains at least DITHER_GAIN."""
        return self.score(DITHERED) >= self.score(PALETTE_COLORS) + DITHER_GAIN

    def expected(self, colors: int | None) -> float:
        """Return the bytes, estimated from the mosaic, of the image in so many colours; None means all of its own."""
        if colors not in self._expected:
            tiles = self._tiles
            if colors is None:
                size = len(_pack(_save(tiles, tiles), tiles, _LOSSLESS))
            else:
                size = len(_pack(_save(self.of(colors).apply(tiles), tiles), tiles, _PALETTE))
            if tiles is not self._image:
                fixed = 80 + 4 * min(colors or 0, PALETTE_COLORS)  # about: the chunks and the palette
                empty = pillow.new("RGB", (1, 1))
                metadata = len(_save(empty, self._image)) - len(_save(empty, empty))
                times = self._image.width * self._image.height / (tiles.width * tiles.height)
                size = round(max(size - fixed, 1) * times) + fixed + metadata
            self._expected[colors] = size
        return self._expected[colors]

    def may_fit(self, target: int) -> bool:
        """Return whether the image with all its colours could fit into `target` bytes.

        It assumes that oxipng shrinks it as much as it did the last palette's file.
        """
        image = self._image
        if image.width * image.height > _COMPARED_PIXELS:
            return False
        return len(_save(image, image, compress_level=1)) * self._packed <= _HOPELESS * target

    def encode(self, colors: int | None) -> tuple[bytes, float | None]:
        """Return a file in so many colours, and the quality that would ask for them; None means all, and no quality."""
        image = self._image
        if colors is None:
            return _pack(_save(image, image), image, _LOSSLESS), None
        file = _save(self.of(colors).apply(image), image, compress_level=1)
        packed = _pack(file, image, _PALETTE)
        self._packed = len(packed) / len(file)
        return packed, self.quality(colors)


def colors_of(file: bytes) -> int:
    """Return how many colours the palette of a PNG has; 0 if it has no palette."""
    return next((len(content) // 3 for kind, content in png_chunks(file) if kind == b"PLTE"), 0)


def _save(candidate: Image, image: Image, compress_level: int = 0) -> bytes:
    """Return the candidate as a PNG with the metadata of `image`. It is not packed by default; oxipng does that."""
    texts = PngInfo()
    for keyword, text in image.info.get("text", {}).items():
        texts.add_itxt(keyword, text)
    if "xmp" in image.info:
        texts.add_itxt("XML:com.adobe.xmp", image.info["xmp"].decode(errors="replace"))
    file = BytesIO()
    candidate.save(
        file,
        "PNG",
        compress_level=compress_level,
        pnginfo=texts,
        exif=image.info.get("exif"),
        icc_profile=image.info.get("icc_profile"),
    )
    return file.getvalue()


def _pack(file: bytes, image: Image, options: Sequence[tuple[int, dict[str, Any]]]) -> bytes:
    """Return the file, packed with the options of the first entry whose limit is at least the image's pixels."""
    chosen = next(each for limit, each in options if image.width * image.height <= limit)
    return oxipng.optimize_from_memory(file, **chosen)
