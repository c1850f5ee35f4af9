"""SSIMULACRA2 of results, on every processor while nothing is timed."""

import hashlib
import multiprocessing
import os
from collections.abc import Iterable
from concurrent.futures import Future, ProcessPoolExecutor
from io import BytesIO
from types import TracebackType
from typing import Self

from PIL import Image as pillow
from PIL.Image import Image

from optimizer.imaging.perception import similarity
from tests.bench.pictures import Picture, srgb

PROCESSORS = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None


class Scorer:
    """Scores results, each distinct one once: several stacks share an encoder, and then every byte."""

    def __init__(self) -> None:
        # Not by fork: OpenCV does not survive it once it has been used.
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(
            len(PROCESSORS or [0]), context, initializer=_spread_out, initargs=(PROCESSORS,)
        )
        self._known: dict[tuple[str, bytes], Future[float]] = {}

    def score(self, pairs: Iterable[tuple[Picture, bytes]]) -> list[float]:
        """Return the scores of all results, in their order."""
        found = []
        for picture, data in pairs:
            decoded = decode(data, picture.image.mode).tobytes()
            key = picture.name, hashlib.sha256(decoded).digest()
            if key not in self._known:
                self._known[key] = self._pool.submit(_score, picture.image, data)
            found.append(self._known[key])
        return [future.result() for future in found]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)


def decode(data: bytes, mode: str) -> Image:
    """Return a result as a viewer shows it."""
    return srgb(pillow.open(BytesIO(data))).convert(mode)


def pin() -> None:
    """Keep this process, and those it starts from now on, on one processor with one thread, where the system can."""
    import cv2

    cv2.setNumThreads(1)
    if PROCESSORS:
        os.sched_setaffinity(0, {min(PROCESSORS)})


def _spread_out(processors: set[int] | None) -> None:
    """Let a process score wherever its parent could run before that was pinned."""
    pin()
    if processors:
        os.sched_setaffinity(0, processors)


def _score(reference: Image, data: bytes) -> float:
    return similarity(reference, decode(data, reference.mode))
