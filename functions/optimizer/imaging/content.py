"""What kind of picture it is, told from pixels that are spread evenly over it, so that the size does not matter.

NumPy is loaded on first use: it takes a while, and a function that only starts does not need it.
"""

from math import sqrt
from typing import TYPE_CHECKING, Any

from PIL.Image import Image, Resampling

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SAMPLES = 2**13  # places that are looked at

# Graphics have edges of colour that halved chroma smears: blocks of 2 x 2 pixels whose chroma is further than _EDGE
# levels from its mean. They are 2 percent and more of the corpus' graphics, and at most 0.6 percent of its photos.
_EDGE = 12
_MOST_EDGES = 0.01
# Neighbours are equal in 87 percent and more of the graphics that lossless WebP holds in fewer bytes than lossy, and
# in at most 54 percent of the photos (night skies) and 38 of the other graphics.
_FLAT = 0.7


def has_edges_of_color(image: Image) -> bool:
    """Tell whether halved chroma would smear edges in an image of mode L or RGB."""
    if image.mode == "L" or min(image.size) < 4:
        return False
    import numpy as np

    blocks = np.stack([_sample(image, offset) for offset in ((0, 0), (1, 0), (0, 1), (1, 1))]).astype(np.float32)
    chroma = blocks @ np.array([(-0.169, 0.5), (-0.331, -0.419), (0.5, -0.081)])  # Cb and Cr of JFIF
    away = abs(chroma - chroma.mean(0)).mean(0).sum(-1)
    return float((away > _EDGE).mean()) > _MOST_EDGES


def is_flat(image: Image) -> bool:
    """Tell whether most pixels, of any mode, equal their right neighbour, as in drawings and screenshots."""
    if image.width < 4:
        return False
    equal = _sample(image, (0, 0)) == _sample(image, (1, 0))
    return float(equal.all(-1).mean()) > _FLAT


def _sample(image: Image, offset: tuple[int, int]) -> "NDArray[Any]":
    """Return the pixels at an offset, 0 or 1 right and down, of about _SAMPLES cells: rows x columns x bands."""
    import numpy as np

    side = 2 * max(1, round(sqrt(image.width * image.height / 4 / _SAMPLES)))
    side = min(side, *((length - 1) // 2 * 2 for length in image.size if length >= 4))  # at least two of the length
    columns, rows = (max(1, (length - 1) // side) for length in image.size)
    x, y = offset
    right, bottom = (
        min(start + count * side, length)
        for start, count, length in zip(offset, (columns, rows), image.size, strict=True)
    )
    pixels = np.asarray(image.resize((columns, rows), Resampling.NEAREST, (x, y, right, bottom)))
    return pixels.reshape(rows, columns, -1)
