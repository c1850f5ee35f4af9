"""A nursery whose workers misbehave where the settings say so: what a hostile file might make a codec do."""

import ctypes
import os
import resource
import time
from collections.abc import Callable
from math import ceil
from pathlib import Path
from typing import Any

from optimizer import worker
from optimizer.imaging import pipeline
from optimizer.problems import Problem
from optimizer.settings import Settings
from tests.yardstick import loops_since

KEPT = Path("/tmp/pinch-kept")  # a nursery has no TMPDIR
MISDEEDS = {
    "hang": 1,
    "segfault": 2,
    "eat memory": 3,
    "end": 4,
    "fail": 5,
    "lie": 6,
    "write": 7,
    "weigh": 8,
}  # by `sharpen`


def serve(number: int) -> None:
    optimize = pipeline.optimize

    def misbehave(data: bytes, settings: Settings) -> Any:
        match settings.sharpen:
            case 1:
                time.sleep(600)  # longer than any test waits for it to end: only who kills it ends it
            case 2:
                ctypes.string_at(0)
            case 3:
                return bytearray(2**34)
            case 4:
                os._exit(0)
            case 5:
                raise LookupError("nobody expected this")
            case 6:
                os.write(_connection(), b"\xff" * 64)
                os._exit(0)
            case 7:
                KEPT.write_bytes(data)
            case 8:
                return weigh(optimize, data, settings)
        return optimize(data, settings)

    pipeline.optimize = misbehave
    worker.serve(number)


def weigh(optimize: Callable[[bytes, Settings], Any], data: bytes, settings: Settings) -> Any:
    """Do what is asked; a refusal then tells the most kilobytes that this process held, and the loops that it took."""
    begun = time.process_time()
    try:
        return optimize(data, settings)
    except Problem as problem:
        kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        raise type(problem)(f"{kilobytes} {ceil(loops_since(begun))}") from problem


def _connection() -> int:
    """Return the descriptor of the worker's socket: the newest one."""
    links = [each for each in Path("/proc/self/fd").iterdir() if each.is_socket()]
    return max(int(each.name) for each in links)
