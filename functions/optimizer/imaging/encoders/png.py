"""PNG: lossless, or a palette where that holds the similarity; packed by oxipng."""

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
DITHERED = 257  # stands for as many, dithered

# What a quality asks of a palette, in points of SSIMULACRA2, linear in between: about what JPEG has at this quality. It
# gets the fewest colours that reach the aim; and where no palette does, all 256 as long as they reach the floor. Photos
# score 65 to 85 at 256 colours, about 10 at 16 and -70 at 2, noise -300: at the least quality all have a palette.
_AIMS = ((1, -100), (10, 0), (30, 45), (85, 82), (100, 97))
_FLOORS = ((1, -500), (10, -100), (30, 20), (85, 60), (100, 75))
# How far from its own, in Oklab, a colour may be when fewer than 256 do: what is as small as a badge has no weight in
# the similarity, but must not turn gray.
_MISSES = ((1, 2), (30, 0.5), (85, 0.15), (100, 0.05))
DITHER_GAIN = 2  # points that dithering must gain: it costs about a tenth of the bytes


def _options(level: int, *filters: RowFilter) -> dict[str, Any]:
    """Return oxipng's options for the smallest of these filters, packed at a level of libdeflate, 1 to 12."""
    return {"level": 0, "filter": list(filters), "deflate": Deflaters.libdeflater(level)}


# oxipng's options for images of up to so many pixels: its cost grows with both, and 50 megapixels must end in time. The
# first saves 9 percent of Pillow's bytes on photos and 22 on graphics, in 3 and 14 times Pillow's time; oxipng's own
# level 2 saves 8.6 and 21, in 3 and 8 times. BigEnt, the entropy of pairs of bytes, chooses better than what the lower
# levels have.
_LOSSLESS = (
    (2_000_000, _options(12, RowFilter.NoOp, RowFilter.BigEnt, RowFilter.Bigrams)),
    (8_000_000, _options(10, RowFilter.NoOp, RowFilter.BigEnt)),
    (MAX_SIDE**2, {"level": 0}),  # any choice of filters would cost seconds more
)
# What no palette holds is gradients and grain: never smaller without a filter, and not to try it saves 10 to 20 percent
# of the time.
_FILTERED = ((8_000_000, _options(10, RowFilter.BigEnt)), _LOSSLESS[-1])
# No filter: they help levels, not numbers of colours. Level 9 would take a fourth of the time of 11 on screenshots, for
# 7 to 9 percent more bytes.
_PALETTE = tuple(
    (limit, _options(level, RowFilter.NoOp)) for limit, level in ((4_000_000, 11), (16_000_000, 10), (MAX_SIDE**2, 6))
)
# Packed hastily by Pillow first, a file that is so many times the other cannot become the smaller one: of two files
# that are nearer oxipng packs both. Above so many pixels even that would take seconds, and the palette is used.
_HOPELESS = 1.3
_COMPARED_PIXELS = 16_000_000


def encode(image: Image, settings: "Settings", score: float | None = None) -> tuple[bytes, float | None]:
    """As `Encoder.encode`; a palette must reach the score if one is given, else what the quality asks of it."""
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
    """Return the quality whose aim is this score of SSIMULACRA2, 1 to 100."""
    return _between([(aim, quality) for quality, aim in _AIMS], score)


def _between(points: Sequence[tuple[float, float]], x: float) -> float:
    """Return what stands for x on the line through the points, at the ends the last value."""
    x = min(max(x, points[0][0]), points[-1][0])
    (x0, y0), (x1, y1) = next(pair for pair in pairwise(points) if x <= pair[1][0])
    return y0 + (y1 - y0) * (x - x0) / (x1 - x0)


def has_few_colors(image: Image) -> bool:
    """Tell whether the image is gray or fits into a palette as it is; oxipng then makes the smallest of it."""
    return image.mode not in ("RGB", "RGBA") or image.getcolors(PALETTE_COLORS) is not None


def _quantize(image: Image, quality: float, aim: float, floor: float) -> Image | None:
    """Return the image in the fewest colours that score the aim, else in 256 that score the floor; None if none do."""
    palettes = Palettes(image)
    if palettes.score(PALETTE_COLORS) < aim:
        best = DITHERED if palettes.dithers() else PALETTE_COLORS
        return palettes.of(best).apply(image) if palettes.score(best) >= floor else None
    counts = [2, 4, 8, 16, 32, 64, 128]

    def holds(colors: int) -> bool:
        return palettes.farthest(palettes.of(colors)) <= _between(_MISSES, quality) and palettes.score(colors) >= aim

    return palettes.of([*counts, PALETTE_COLORS][bisect_left(counts, True, key=holds)]).apply(image)


class Palettes:
    """An RGB or RGBA image in palettes of any length; a mosaic of it tells what they are worth."""

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
        self._packed = 1.0  # what oxipng left of the last palette's file

    def of(self, colors: int) -> "Palette":
        """Return the palette of so many colours."""
        if colors not in self._made:
            plain = self.of(PALETTE_COLORS) if colors == DITHERED else None
            self._made[colors] = plain.dithered() if plain else self._quantizer.palette(colors)
        return self._made[colors]

    def score(self, colors: int) -> float:
        """Return the similarity of the image in so many colours."""
        if colors not in self._scores:
            tiles = self.of(colors).apply(self._tiles).convert(self._image.mode)
            self._scores[colors] = self._mosaic.predict(self._reference.score(tiles))
        return self._scores[colors]

    def quality(self, colors: int) -> float:
        """Return the quality that would ask for so many colours."""
        return min(round(quality_for(self.score(colors))), 99)

    def dithers(self) -> bool:
        """Tell whether dithering gains what it costs."""
        return self.score(DITHERED) >= self.score(PALETTE_COLORS) + DITHER_GAIN

    def expected(self, colors: int | None) -> float:
        """Return the bytes of the image in so many colours, or in all of its own, if it were as its mosaic is."""
        if colors not in self._expected:
            tiles = self._tiles
            if colors is None:
                size = len(_pack(_save(tiles, tiles), tiles, _LOSSLESS))
            else:
                size = len(_pack(_save(self.of(colors).apply(tiles), tiles), tiles, _PALETTE))
            if tiles is not self._image:
                fixed = 80 + 4 * min(colors or 0, PALETTE_COLORS)  # about: chunks and the palette, however large it is
                empty = pillow.new("RGB", (1, 1))
                metadata = len(_save(empty, self._image)) - len(_save(empty, empty))
                times = self._image.width * self._image.height / (tiles.width * tiles.height)
                size = round(max(size - fixed, 1) * times) + fixed + metadata
            self._expected[colors] = size
        return self._expected[colors]

    def may_fit(self, target: int) -> bool:
        """Tell whether the image could fit with all of its colours, if oxipng leaves as much of it as of a palette."""
        image = self._image
        if image.width * image.height > _COMPARED_PIXELS:
            return False
        return len(_save(image, image, compress_level=1)) * self._packed <= _HOPELESS * target

    def encode(self, colors: int | None) -> tuple[bytes, float | None]:
        """Return a file in so many colours with the quality that would ask for them, or in all with none."""
        image = self._image
        if colors is None:
            return _pack(_save(image, image), image, _LOSSLESS), None
        file = _save(self.of(colors).apply(image), image, compress_level=1)
        packed = _pack(file, image, _PALETTE)
        self._packed = len(packed) / len(file)
        return packed, self.quality(colors)


def colors_of(file: bytes) -> int:
    """Return how many colours the palette of a PNG has; 0 where it has none."""
    return next((len(content) // 3 for kind, content in png_chunks(file) if kind == b"PLTE"), 0)


def _save(candidate: Image, image: Image, compress_level: int = 0) -> bytes:
    """Return the candidate as a file that carries the metadata of `image`, not packed: oxipng does that."""
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
    """Return the file packed with the options for the first limit that the image's pixels do not exceed."""
    chosen = next(each for limit, each in options if image.width * image.height <= limit)
    return oxipng.optimize_from_memory(file, **chosen)
