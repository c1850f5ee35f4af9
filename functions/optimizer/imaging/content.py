"""Tells what kind of picture it is from pixels that are spread evenly over it, so that the size does not matter.

NumPy is loaded on first use: it takes a while, and a function that only starts does not need it.
"""

from math import sqrt
from typing import TYPE_CHECKING, Any

from PIL.Image import Image, Resampling

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SAMPLES = 2**13  # number of places to look at

# Graphics have edges of colour that halved chroma smears. They show as blocks of 2 x 2 pixels whose chroma is more than
# _EDGE levels away from its mean. Such blocks make up 2 percent or more of each graphic in the corpus, and at most 0.6
# percent of each photo.
_EDGE = 12
_MOST_EDGES = 0.01
# In graphics that need fewer bytes as lossless WebP than as lossy, 87 percent or more of the pixels equal their
# neighbour. In photos it is at most 54 percent (night skies), in the other graphics at most 38.
_FLAT = 0.7


def has_edges_of_color(image: Image) -> bool:
    """Return whether halved chroma would smear edges in an image of mode L or RGB."""
    if image.mode == "L" or min(image.size) < 4:
        return False
    import numpy as np

    blocks = np.stack([_sample(image, offset) for offset in ((0, 0), (1, 0), (0, 1), (1, 1))]).astype(np.float32)
    chroma = blocks @ np.array([(-0.169, 0.5), (-0.331, -0.419), (0.5, -0.081)])  # Cb and Cr of JFIF
    away = abs(chroma - chroma.mean(0)).mean(0).sum(-1)
    return float((away > _EDGE).mean()) > _MOST_EDGES


def is_flat(image: Image) -> bool:
    """Return whether most pixels equal their right neighbour, as in drawings and screenshots. Any mode is fine."""
    if image.width < 4:
        return False
    equal = _sample(image, (0, 0)) == _sample(image, (1, 0))
    return float(equal.all(-1).mean()) > _FLAT


def _sample(image: Image, offset: tuple[int, int]) -> "NDArray[Any]":
    """Return one pixel from each of about _SAMPLES cells, as rows x columns x bands.

    The offset, 0 or 1 pixel to the right and down, tells which pixel of the cell.
    """
    import numpy as np

    side = 2 * max(1, round(sqrt(image.width * image.height / 4 / _SAMPLES)))
    side = min(side, *((length - 1) // 2 * 2 for length in image.size if length >= 4))  # inside the image; 2 or more
    columns, rows = (max(1, (length - 1) // side) for length in image.size)
    x, y = offset
    right, bottom = (
        min(start + count * side, length)
        for start, count, length in zip(offset, (columns, rows), image.size, strict=True)
    )
    pixels = np.asarray(image.resize((columns, rows), Resampling.NEAREST, (x, y, right, bottom)))
    return pixels.reshape(rows, columns, -1)
