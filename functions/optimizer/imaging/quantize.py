"""Palettes: at most 256 colours for a picture. Colours are chosen and compared by how they look. Only smooth parts are
dithered.

NumPy and OpenCV take a while to load, so import this module where it is used, never at start.
"""

from functools import cache
from math import ceil, sqrt
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as pillow
from PIL.Image import Image, Resampling

Array = NDArray[Any]
Levels = NDArray[Any]  # float32: premultiplied red, green, blue and alpha, 0 to 1: n x 4

SAMPLE_PIXELS = 1 << 18  # counted to choose the colours; four times as many gain 0.3 points on photos
MAX_COLORS = 1 << 14  # are kept exactly apart; if there are more, near ones are merged
MAX_POINTS = 1 << 16  # are clustered; at 6 bits a channel, a photo has 10 to 40 thousand
ROUNDS = 4  # of k-means; three times as many gain 0.3 points of SSIMULACRA2
BAND_PIXELS = 1 << 20  # mapped at a time; each takes about 40 bytes

# A key is a number for a colour. The key of an opaque colour is its 24 bits. The keys after those are for the others,
# each for a cell of 4 levels of alpha by 8 levels of each channel. All fully transparent pixels have the first of these
# keys, whatever colour is hidden in them.
_TRANSPARENT = 1 << 24
_KEYS = _TRANSPARENT + (1 << 21)
_BLOCK = 1 << 8
_SOLID = 0.98  # alpha; a colour in the palette above this counts as opaque

# Oklab: Björn Ottosson, "A perceptual color space for image processing", 2020.
_TO_CONES = (
    (0.4122214708, 0.5363325363, 0.0514459929),
    (0.2119034982, 0.6806995451, 0.1073969566),
    (0.0883024619, 0.2817188376, 0.6299787005),
)
_TO_LAB = (
    (0.2104542553, 0.7936177850, -0.0040720468),
    (1.9779984951, -2.4285922050, 0.4505937099),
    (0.0259040371, 0.7827717662, -0.8086757660),
)
# The standard deviation, in levels within 3 x 3 pixels, from which on nothing is dithered: grain and edges hide the
# bands.
_SMOOTH = 3.0


class Quantizer:
    """The colours of an RGB or RGBA picture. It makes palettes of any length from them."""

    def __init__(self, image: Image) -> None:
        factor = ceil(sqrt(image.width * image.height / SAMPLE_PIXELS))
        size = (max(1, image.width // factor), max(1, image.height // factor))
        sample = image if factor == 1 else image.resize(size, Resampling.NEAREST)
        keys, counts = _count(_keys(sample))
        shown = keys != _TRANSPARENT
        self._hides = image.mode == "RGBA"
        self._met = _Colors(fine=keys.size <= MAX_COLORS)
        self._levels, self._counts = _merge(keys[shown], counts[shown])
        self._features = _features(self._levels)

    def palette(self, colors: int) -> "Palette":
        """Return a palette of at most so many colours, 2 to 256. For RGBA, one of them is full transparency."""
        levels = np.zeros((0, 4), np.float32)
        if self._counts.size:
            labels = _median_cut(self._features, self._counts, colors - self._hides)
            levels, _ = _means(self._levels, self._counts, labels)
            for _ in range(ROUNDS if len(levels) < self._counts.size else 0):
                labels = _nearest(self._features, _features(levels))
                levels, _ = _means(self._levels, self._counts, labels)
        if self._hides:
            levels = np.vstack([np.zeros((1, 4), np.float32), levels])
        return Palette(levels, self._met)

    def farthest(self, palette: "Palette") -> float:
        """Return how far, in Oklab, any colour is at most from the nearest of the palette; black is 1 from white."""
        if not len(self._features):
            return 0.0
        misses = self._features - palette.features[_nearest(self._features, palette.features)]
        return sqrt(float((misses**2).sum(axis=1).max()) / 2)  # each point is in its features twice


class _Colors:
    """The colours of a picture found so far, each with a place in a list."""

    def __init__(self, fine: bool) -> None:
        self._mask = 0xFFFFFFFF if fine else 0xFEFEFEFE  # of many colours, those that differ by one level are merged
        # The places of the keys, counted from 1, are in blocks by the high bits of the key. A block is made when one of
        # its keys is first found. One table for all keys would have 75 MB, and its first use would take up to 160 ms.
        self._blocks = np.zeros(_KEYS // _BLOCK, np.int32)  # 0 is the block of all keys that have no block yet
        self._places = np.zeros(_BLOCK, np.int32)
        self.features = np.zeros((1, 6), np.float32)

    def places(self, band: Image) -> Array:
        """Return the place in `features` of each pixel's colour, row by row. New colours get a place."""
        keys = _keys(band, self._mask)
        places = self._places[self._cells(keys)]
        if not places.all():
            new, _ = _count(keys[places == 0])
            blocks = np.unique(new // _BLOCK)
            blocks = blocks[self._blocks[blocks] == 0]
            self._blocks[blocks] = np.arange(blocks.size) * _BLOCK + self._places.size
            self._places = np.append(self._places, np.zeros(blocks.size * _BLOCK, np.int32))
            self._places[self._cells(new)] = np.arange(len(self.features), len(self.features) + new.size)
            self.features = np.vstack([self.features, _features(_levels(new))])
            places = self._places[self._cells(keys)]
        return places

    def _cells(self, keys: Array) -> Array:
        """Return where in `_places` the places of these keys are."""
        return np.asarray(self._blocks[keys // _BLOCK] + (keys & _BLOCK - 1))


class Palette:
    """A palette. For each colour of a picture it finds once which of its own colours replace it, and remembers them."""

    def __init__(self, levels: Levels, met: _Colors, dither: bool = False) -> None:
        self._levels, self._met, self._dither = levels, met, dither
        alpha = np.where(levels[:, 3:] > _SOLID, 1, levels[:, 3:])
        color = levels[:, :3] / np.maximum(levels[:, 3:], 1 / 255)
        self.rgba = np.rint(np.clip(np.hstack([color, alpha]), 0, 1) * 255).astype(np.uint8)
        stored = self.rgba.astype(np.float32) / 255
        self.features = _features(np.hstack([stored[:, :3] * stored[:, 3:], stored[:, 3:]]))
        # For each colour found: the nearest of the palette, one on the other side of it, and the share of that one when
        # dithering.
        self._first = self._second = np.zeros(0, np.uint8)
        self._share = np.zeros(0, np.float32)

    def dithered(self) -> "Palette":
        """Return a palette of the same colours that mixes them where the picture is smooth."""
        return Palette(self._levels, self._met, dither=True)

    def apply(self, image: Image) -> Image:
        """Return the RGB or RGBA picture in these colours, in mode P."""
        rows = max(8, BAND_PIXELS // image.width // 8 * 8)  # a multiple of the 8 x 8 thresholds
        result = pillow.new("P", image.size)
        for top in range(0, image.height, rows):
            bottom = min(top + rows, image.height)
            indices = self._indices(image, top, bottom)
            result.paste(pillow.frombytes("P", (image.width, bottom - top), indices.tobytes()), (0, top))
        result.putpalette(self.rgba[:, :3].tobytes())
        if image.mode == "RGBA":
            result.info["transparency"] = self.rgba[:, 3].tobytes()
        return result

    def _indices(self, image: Image, top: int, bottom: int) -> Array:
        """Return the palette index of each pixel in these rows, row by row."""
        band = image.crop((0, top, image.width, bottom))
        places = self._met.places(band)
        self._learn(self._met.features[self._first.size :])
        if not self._dither:
            return self._first[places]
        thresholds = np.tile(_thresholds(), (band.height // 8 + 1, band.width // 8 + 1))[: band.height, : band.width]
        mixed = thresholds.ravel() < _smoothness(image, top, bottom) * self._share[places]
        return np.where(mixed, self._second[places], self._first[places])

    def _learn(self, features: Array) -> None:
        """Find what replaces these colours: the nearest one and, to dither, the one nearest to its mirror image."""
        first = _nearest(features, self.features)
        self._first = np.append(self._first, first.astype(np.uint8))
        if self._dither:
            near = self.features[first]
            second = _nearest(2 * features - near, self.features)
            between = self.features[second] - near
            share = ((features - near) * between).sum(axis=1) / np.maximum((between**2).sum(axis=1), 1e-9)
            self._second = np.append(self._second, second.astype(np.uint8))
            self._share = np.append(self._share, np.clip(share, 0, 0.5).astype(np.float32))


def _count(keys: Array) -> tuple[Array, Array]:
    """Return the distinct keys, sorted, and how often each occurs."""
    keys, counts = np.unique(keys, return_counts=True)  # sorts, because of the counts; hashing would be slower
    return keys, counts.astype(np.float64)


def _keys(image: Image, mask: int = 0xFFFFFFFF) -> NDArray[np.int32]:
    """Return the key of each pixel. `mask` says which bits of an opaque colour count."""
    packed = np.frombuffer(image.convert("RGBA").tobytes(), "<u4")  # alpha is in the highest byte
    keys = (packed & (mask & 0xFFFFFF)).astype(np.int32)
    if image.mode == "RGBA":
        places = np.flatnonzero(packed < 0xFF000000)
        some = packed[places]
        cells = some >> 26 << 15 | (some >> 19 & 31) << 10 | (some >> 11 & 31) << 5 | some >> 3 & 31
        keys[places] = _TRANSPARENT + np.where(some < 1 << 24, 0, np.maximum(cells, 1))
    return keys


def _levels(keys: Array) -> Levels:
    """Return the colours of these keys. For a cell it is the middle one."""
    cell = keys - _TRANSPARENT
    opaque = cell < 0
    channels = [np.where(opaque, keys >> 8 * n & 255, (cell >> 5 * n & 31) * 8 + 4) for n in range(3)]
    alpha = np.where(opaque, 255, np.where(cell == 0, 0, (cell >> 15) * 4 + 2))
    levels = np.stack([*channels, alpha], axis=1).astype(np.float32) / 255
    levels[:, :3] *= levels[:, 3:]
    return levels


def _merge(keys: Array, counts: Array) -> tuple[Levels, Array]:
    """Return colours and how often each occurs. If there are more than MAX_COLORS, opaque ones are merged to 6 bits a
    channel.
    """
    levels = _levels(keys)
    if len(levels) > MAX_COLORS:
        _, cells = np.unique(np.where(keys < _TRANSPARENT, keys & 0xFCFCFC, keys), return_inverse=True)
        levels, counts = _means(levels, counts, cells)
    step = ceil(len(levels) / MAX_POINTS) or 1  # if there are still more, it is noise, and a part of it is enough
    return levels[::step], counts[::step]


def _means(levels: Levels, counts: Array, labels: Array) -> tuple[Levels, Array]:
    """Return, for each label in use, the mean and the count of the colours with that label."""
    totals = np.bincount(labels, counts)
    sums = np.stack([np.bincount(labels, counts * channel) for channel in levels.T], axis=1)
    used = totals > 0
    return (sums[used] / totals[used, None]).astype(np.float32), totals[used]


def _features(levels: Levels) -> Array:
    """Return the position of colours in Oklab, n x 6: on black, and next to it on white, or on black again if all
    colours are opaque.
    """
    on_black = _oklab(levels[:, :3])
    if (levels[:, 3] == 1).all():
        return np.hstack([on_black, on_black])
    return np.hstack([on_black, _oklab(levels[:, :3] + 1 - levels[:, 3:])])


def _oklab(levels: Array) -> Array:
    linear = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4).astype(np.float32)
    cones = np.cbrt(linear @ np.array(_TO_CONES, np.float32).T)
    return np.asarray(cones @ np.array(_TO_LAB, np.float32).T)


def _median_cut(features: Array, counts: Array, colors: int) -> Array:
    """Label points by cutting, again and again, the box with the most variance. The cut is across its widest axis,
    where it leaves the least variance.
    """
    boxes = [np.arange(len(features))]
    spreads = [_spread(features, counts)]
    while len(boxes) < colors:
        widest = int(np.max(spreads, axis=1).argmax())
        if spreads[widest].max() <= 0:
            break
        box = boxes[widest]
        axis = int(spreads[widest].argmax())
        box = box[np.argsort(features[box, axis], kind="stable")]
        weight = np.cumsum(counts[box])
        moment = np.cumsum(counts[box] * features[box, axis])
        below, above = moment[:-1] ** 2 / weight[:-1], (moment[-1] - moment[:-1]) ** 2 / (weight[-1] - weight[:-1])
        cut = int((below + above).argmax()) + 1
        boxes[widest : widest + 1] = parts = [box[:cut], box[cut:]]
        spreads[widest : widest + 1] = [_spread(features[part], counts[part]) for part in parts]
    labels = np.empty(len(features), np.intp)
    for label, box in enumerate(boxes):
        labels[box] = label
    return labels


def _spread(features: Array, counts: Array) -> Array:
    """Return the variance of points along each axis times their count; 0 for a single point."""
    if len(features) < 2:
        return np.zeros(features.shape[1])
    weights = counts[:, None]
    mean = (features * weights).sum(axis=0) / counts.sum()
    return np.asarray(((features - mean) ** 2 * weights).sum(axis=0))


def _nearest(features: Array, palette: Array) -> Array:
    """Return, for each point, the index of the nearest colour of the palette."""
    half_squares = (palette**2).sum(axis=1) / 2
    result = np.empty(len(features), np.intp)
    for start in range(0, len(features), 8192):  # so that the products stay in the cache
        products = features[start : start + 8192] @ palette.T
        products -= half_squares
        result[start : start + 8192] = products.argmax(axis=1)
    return result


def _smoothness(image: Image, top: int, bottom: int) -> Array:
    """Return, for each pixel of these rows, 1 where nothing happens, down to 0 where grain or edges hide the bands."""
    above, below = min(top, 1), min(image.height - bottom, 1)  # rows of neighbours
    gray = np.asarray(image.crop((0, top - above, image.width, bottom + below)).convert("RGB").convert("L"), np.float32)
    mean = cv2.blur(gray, (3, 3))
    deviation = np.sqrt(np.maximum(cv2.blur(gray * gray, (3, 3)) - mean * mean, 0))
    return np.maximum(1 - deviation[above : len(gray) - below] / _SMOOTH, 0).ravel()


@cache
def _thresholds() -> Array:
    """Return Bayer's 8 x 8 matrix, scaled to 0 to 1. Blue noise scores the same, but packs up to 20 percent larger."""
    matrix = np.zeros((1, 1))
    for _ in range(3):
        matrix = np.block([[4 * matrix, 4 * matrix + 2], [4 * matrix + 3, 4 * matrix + 1]])
    return (matrix + 0.5) / matrix.size
