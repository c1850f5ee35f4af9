"""Measures how alike two pictures look: SSIMULACRA2 on OpenCV, for whole images or for a mosaic of limited cost.

NumPy and OpenCV take a while to load, so import this module where it is used, never at start.
"""

from functools import cache
from math import ceil, exp, pi, sin, sqrt, tan
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as pillow
from PIL.Image import Image

Plane = NDArray[Any]  # float32, height x width x 3, unless noted otherwise

TILE_SIDE = 256  # pixels
# A mosaic takes the tiles at these percentiles when all tiles are ordered by activity. The busiest tile is one of them:
# in a page with one photo on it, only the photo can suffer.
TILE_PERCENTILES = (12, 37, 62, 100)
_BORDER = 1.04  # a picture's loss divided by its mosaic's loss; there is nothing around the mosaic that could suffer

# Everything below is the definition of SSIMULACRA2 (Cloudinary, BSD 3-clause). Its colours are JPEG XL's XYB.
_SCALES = 6
_LEAST_SIDE = 128  # pixels, so that all scales exist; the weights do not fit fewer
_SIGMA = 1.5
_C2 = 0.0009
_BIAS = 0.0037930732552754493
_TO_CONES = (
    (0.30, 0.622, 0.078),
    (0.23, 0.692, 0.078),
    (0.24342268924547819, 0.20476744424496821, 0.55180986650955360),
)
# X, Y and B from the cube roots, shifted so that all are positive: 14 X + 0.42, Y + 0.01, B - Y + 0.55.
_TO_XYB = ((7, -7, 0, 0.42), (0.5, 0.5, 0, 0.01 - _BIAS ** (1 / 3)), (-0.5, -0.5, 1, 0.55))
_BACKGROUNDS = (0.1, 0.9)  # grays behind transparent areas; the worse of both scores counts
# The weights of structure, added edges and lost detail, for X, Y, B, for each scale, for mean and 4-norm.
_WEIGHTS = (
    0.0, 0.0007376606707406586, 0.0, 0.0, 0.0007793481682867309, 0.0,
    0.0, 0.0004371155730107379, 0.0, 1.1041726426657346, 0.00066284834129271, 0.00015231632783718752,
    0.0, 0.0016406437456599754, 0.0, 1.8422455520539298, 11.441172603757666, 0.0,
    0.0007989109436015163, 0.000176816438078653, 0.0, 1.8787594979546387, 10.94906990605142, 0.0,
    0.0007289346991508072, 0.9677937080626833, 0.0, 0.00014003424285435884, 0.9981766977854967, 0.00031949755934435053,
    0.0004550992113792063, 0.0, 0.0, 0.0013648766163243398, 0.0, 0.0,
    0.0, 0.0, 0.0, 7.466890328078848, 0.0, 17.445833984131262,
    0.0006235601634041466, 0.0, 0.0, 6.683678146179332, 0.00037724407979611296, 1.027889937768264,
    225.20515300849274, 0.0, 0.0, 19.213238186143016, 0.0011401524586618361, 0.001237755635509985,
    176.39317598450694, 0.0, 0.0, 24.43300999870476, 0.28520802612117757, 0.0004485436923833408,
    0.0, 0.0, 0.0, 34.77906344483772, 44.835625328877896, 0.0,
    0.0, 0.0, 0.0, 0.0, 0.0, 0.0,
    0.0, 0.0008680556573291698, 0.0, 0.0, 0.0, 0.0,
    0.0, 0.0005313191874358747, 0.0, 0.00016533814161379112, 0.0, 0.0,
    0.0, 0.0, 0.0, 0.0004179171803251336, 0.0017290828234722833, 0.0,
    0.0020827005846636437, 0.0, 0.0, 8.826982764996862, 23.19243343998926, 0.0,
    95.1080498811086, 0.9863978034400682, 0.9834382792465353, 0.0012286405048278493, 171.2667255897307,
    0.9807858872435379, 0.0, 0.0, 0.0, 0.0005130064588990679, 0.0, 0.00010854057858411537,
)  # fmt: skip


def similarity(reference: Image, candidate: Image) -> float:
    """Return the SSIMULACRA2 score of two whole images of the same size, each of mode L, LA, RGB or RGBA.

    100 means the same picture, 90 no visible difference side by side, 80 high quality, 50 visibly worse. There is no
    lower bound. It takes about 100 bytes and 0.3 microseconds a pixel.
    """
    return Reference(reference).score(candidate)


class Reference:
    """A picture that others are compared to. Everything that does not depend on them is computed once."""

    def __init__(self, image: Image) -> None:
        self._transparent = image.mode.endswith("A")
        backgrounds = _BACKGROUNDS if self._transparent else _BACKGROUNDS[:1]
        self._views = [
            (background, [_Scale(each) for each in _scales(image, background)]) for background in backgrounds
        ]

    def score(self, candidate: Image) -> float:
        """Return the SSIMULACRA2 score of a picture of the same size against this one, as `similarity` does."""
        if candidate.mode.endswith("A") and not self._transparent:
            candidate = _lay_on(candidate, _BACKGROUNDS[0])
        return min(_score(scales, _scales(candidate, background)) for background, scales in self._views)


class Mosaic:
    """The tiles that represent a picture. A picture with no more pixels than the tiles represents itself."""

    def __init__(self, image: Image) -> None:
        self._size = (min(TILE_SIDE, image.width), min(TILE_SIDE, image.height))
        self._corners: list[tuple[int, int]] = []
        compared = max(image.width, _LEAST_SIDE) * max(image.height, _LEAST_SIDE)
        if compared > len(TILE_PERCENTILES) * TILE_SIDE**2:
            self._corners = self._typical_corners(image)

    def _typical_corners(self, image: Image) -> list[tuple[int, int]]:
        """Return the corners of the tiles at TILE_PERCENTILES of activity. No tile comes twice if there are enough."""
        factor = max(1, int(sqrt(image.width * image.height / 1e6)))  # a megapixel is enough to compare the tiles
        small = np.asarray(image.reduce(factor).convert("L"), np.float32)
        activity = np.zeros_like(small)
        activity[:, 1:] += abs(np.diff(small, axis=1))
        activity[1:] += abs(np.diff(small, axis=0))
        lefts, tops = (_spread(length, side) for length, side in zip(image.size, self._size, strict=True))
        width, height = (max(1, side // factor) for side in self._size)
        corners = [(left, top) for top in tops for left in lefts]
        corners.sort(key=lambda corner: _mean(activity, corner[0] // factor, corner[1] // factor, width, height))
        places = [round(percentile / 100 * (len(corners) - 1)) for percentile in TILE_PERCENTILES]
        if len(corners) <= len(places):
            places = [place % len(corners) for place in range(len(places))]
        return [corners[place] for place in places]

    def of(self, image: Image) -> Image:
        """Return the mosaic of an image of the same size: two by two tiles, or the image itself."""
        if not self._corners:
            return image
        width, height = self._size
        result = pillow.new(image.mode, (2 * width, 2 * height))
        for index, (left, top) in enumerate(self._corners):
            tile = image.crop((left, top, left + width, top + height))
            result.paste(tile, (index % 2 * width, index // 2 * height))
        return result

    def predict(self, score: float) -> float:
        """Return the score of the whole image, predicted from its mosaic's; for 14 photos at 80 it is within 0.6."""
        return 100 - _BORDER * (100 - score) if self._corners else score


def _spread(length: int, side: int) -> list[int]:
    """Return where tiles of this side begin if they cover the length. All are on JPEG's grid of 16 pixels."""
    count = ceil(length / side)
    return [round(index * (length - side) / max(1, count - 1)) // 16 * 16 for index in range(count)]


def _mean(activity: Plane, left: int, top: int, width: int, height: int) -> float:
    return float(activity[top : top + height, left : left + width].mean())


class _Scale:
    """A reference at one scale: its levels, their local mean and variance, and the weight of its edges."""

    def __init__(self, levels: Plane) -> None:
        self.levels = levels
        self.mean = _blur(levels)
        self.variance = _blur(levels * levels) - self.mean * self.mean
        self.edges = 1 / (1 + cv2.absdiff(levels, self.mean))

    def compare(self, levels: Plane) -> NDArray[Any]:
        """Return the errors of a candidate at this scale, as channel x (mean, 4-norm) x (structure, added, lost)."""
        mean = _blur(levels)
        variance = _blur(levels * levels) - mean * mean
        covariance = _blur(self.levels * levels) - self.mean * mean
        shift = self.mean - mean
        structure = 1 - (1 - shift * shift) * (2 * covariance + _C2) / (self.variance + variance + _C2)
        edges = (1 + cv2.absdiff(levels, mean)) * self.edges - 1
        parts = (np.maximum(structure, 0), np.maximum(edges, 0), np.maximum(-edges, 0))
        return np.stack([_norms(part) for part in parts], axis=-1)


def _norms(errors: Plane) -> NDArray[Any]:
    """Return the mean and 4-norm of each channel, as channel x 2."""
    squares = errors * errors
    return np.stack([cv2.mean(errors)[:3], np.power(cv2.mean(squares * squares)[:3], 1 / 4)], axis=-1)


def _score(scales: list[_Scale], candidates: list[Plane]) -> float:
    errors = [scale.compare(candidate) for scale, candidate in zip(scales, candidates, strict=True)]
    weights = np.reshape(_WEIGHTS, (3, _SCALES, 2, 3))
    total = 0.9562382616834844 * float((weights * np.stack(errors, axis=1)).sum())
    total = 2.326765642916932 * total - 0.020884521182843837 * total**2 + 6.248496625763138e-05 * total**3
    return float(100 - 10 * max(total, 0) ** 0.6276336467831387)


def _scales(image: Image, background: float) -> list[Plane]:
    """Return the picture in positive XYB at each scale. Each scale is half the one before, reduced in linear light."""
    linear = _linear(_lay_on(image, background))
    planes = [_xyb(linear)]
    while len(planes) < _SCALES:
        height, width = linear.shape[:2]
        linear = cv2.copyMakeBorder(linear, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
        linear = cv2.resize(linear, (-(-width // 2), -(-height // 2)), interpolation=cv2.INTER_AREA)
        planes.append(_xyb(linear))
    return planes


def _lay_on(image: Image, background: float) -> Image:
    """Return the image as RGB, on a gray background of this brightness, 0 to 1, if it is transparent."""
    if not image.mode.endswith("A"):
        return image.convert("RGB")
    color = image.convert("RGBA")
    return pillow.alpha_composite(pillow.new("RGBA", image.size, (round(background * 255),) * 3), color).convert("RGB")


def _linear(image: Image) -> Plane:
    """Return the linear light, 0 to 1, of an sRGB picture. A picture that is too small is extended by mirroring."""
    levels = cv2.LUT(np.asarray(image), _srgb_table())
    missing = [max(0, _LEAST_SIDE - side) for side in levels.shape[:2]]
    return np.pad(levels, [(0, missing[0]), (0, missing[1]), (0, 0)], "symmetric") if any(missing) else levels


@cache
def _srgb_table() -> NDArray[np.float32]:
    levels = np.arange(256) / 255
    return np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4).astype(np.float32)


def _xyb(linear: Plane) -> Plane:
    cones = cv2.transform(linear, np.array([(*row, _BIAS) for row in _TO_CONES]))
    return cv2.transform(cv2.pow(cones, 1 / 3), np.array(_TO_XYB))


def _blur(plane: Plane) -> Plane:
    kernel = _kernel()
    return cv2.sepFilter2D(plane, -1, kernel, kernel, borderType=cv2.BORDER_CONSTANT)  # zeros around, as defined


@cache
def _kernel() -> NDArray[np.float32]:
    """Return the response of JPEG XL's recursive Gaussian to a single point.

    Charalampidis, "Recursive Implementation of the Gaussian Filter Using Truncated Cosine Functions", 2016, for k = 1,
    3, 5; the comments give the numbers of its equations.
    """
    radius = round(3.2795 * _SIGMA + 0.2546)  # (57)
    omega = [k * pi / (2 * radius) for k in (1, 3, 5)]
    signs = (1, -1, 1)
    p = [sign / tan(w / 2) for sign, w in zip(signs, omega, strict=True)]  # (37)
    r = [sign * each**2 / sin(w) for sign, each, w in zip(signs, p, omega, strict=True)]  # (44)
    rho = [exp(-0.5 * _SIGMA**2 * w**2) / radius for w in omega]  # (50)
    d13, d35, d51 = (p[a] * r[b] - r[a] * p[b] for a, b in ((0, 1), (1, 2), (2, 0)))  # (52)
    zeta = (d35 / d13, d51 / d13)
    gamma = (1, radius**2 - _SIGMA**2, zeta[0] * rho[0] + zeta[1] * rho[1] + rho[2])  # (55)
    beta = np.linalg.solve([p, r, [*zeta, 1]], gamma)  # (53)
    kernel: NDArray[np.float64] = np.cos(np.outer(np.arange(1 - radius, radius), omega)) @ beta
    return kernel.astype(np.float32)
