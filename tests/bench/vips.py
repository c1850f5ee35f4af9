"""The peer of `make bench` that is pyvips: answers each line of JSON on stdin by one on stdout, as peers.mjs does.

Runs in .tools/bench-python, so nothing of the project can be imported here.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyvips

pyvips.cache_set_max(0)  # else a repeated call is answered from memory
LEAST_SECONDS = 0.15  # as in stacks.py


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Do what the request asks for, `repeats` times or more. Returns the best time in seconds."""
    if request["stack"] == "versions":
        vips = ".".join(str(pyvips.version(part)) for part in range(3))
        return {"versions": {"pyvips": pyvips.__version__, "pyvips's vips": vips}}
    encode = prepare(request)
    result = b""
    best, spent, done = float("inf"), 0.0, 0
    while done < max(1, request["repeats"]) or (request["repeats"] and spent < LEAST_SECONDS):
        begun = time.perf_counter()
        result = encode()
        seconds = time.perf_counter() - begun
        best, spent, done = min(best, seconds), spent + seconds, done + 1
    Path(request["result"]).write_bytes(result)
    return {"seconds": best}


def prepare(request: dict[str, Any]) -> Callable[[], bytes]:
    """Return a function that does once what is timed."""
    data = Path(request["source"]).read_bytes()
    width, height, channels = request["width"], request["height"], request.get("channels")
    suffix = f".{request['format']}"

    def encode() -> bytes:
        if channels:
            image = pyvips.Image.new_from_memory(data, width, height, channels, "uchar").copy(interpretation="srgb")
        else:
            image = pyvips.Image.thumbnail_buffer(data, width, height=height, size="force")
        encoded: bytes = image.write_to_buffer(suffix, Q=request["quality"])
        return encoded

    return encode


if __name__ == "__main__":
    for line in sys.stdin:
        try:
            reply = answer(json.loads(line))
        except pyvips.Error as error:
            reply = {"error": str(error)}
        print(json.dumps(reply), flush=True)
