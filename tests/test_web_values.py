"""The values that tests/web/ holds the browser's arithmetic to are those of the server's steps."""

import json
from pathlib import Path
from typing import Any

from PIL import Image

from optimizer.imaging import steps
from optimizer.settings import Settings

VALUES = Path(__file__).parent / "web" / "values.json"
SIZES = [(1, 1), (3, 5), (25, 15), (45, 2049), (600, 400), (1366, 2048), (4001, 2999), (12000, 16)]
RESIZES: list[dict[str, Any]] = [
    {},
    {"resize_percent": 10},
    {"resize_percent": 30},
    {"resize_percent": 50},
    {"resize_percent": 150},
    {"width": 1},
    {"width": 300},
    {"height": 250},
    {"width": 777, "height": 333},
    {"resize_percent": 50, "width": 101, "height": 16383},
]
TONES = [(-100, 0, 0), (-30, 0, 0), (37, 0, 0), (100, 0, 0), (0, -70, 93), (0, 41, 128), (30, 30, 201), (-1, 100, 7)]


def test_the_values_are_those_of_the_steps() -> None:
    assert json.loads(VALUES.read_text()) == values(), "write values() into the file again"


def values() -> dict[str, Any]:
    return {
        "sizes": [
            {"size": list(size), "settings": resize, "target": list(steps.target_size(size, Settings(**resize)))}
            for size in SIZES
            for resize in RESIZES
        ],
        "tones": [{"of": list(tone), "levels": levels(*tone)} for tone in TONES],
        "gray": [{"brightness": value, "gray": gray(value)} for value in (-60, 0, 25, 100)],
    }


def levels(brightness: int, contrast: int, pivot: int) -> list[int]:
    """Return what each level becomes behind a frame whose mean is the pivot once it has the brightness."""
    ramp = Image.frombytes("L", (256, 1), bytes(range(256)))
    mean = steps.tone(ramp, Settings(brightness=brightness)).tobytes().index(pivot)
    tone = steps.steady_tone()
    tone(Image.new("L", (1, 1), mean), Settings(brightness=brightness, contrast=contrast))
    return list(tone(ramp, Settings(brightness=brightness, contrast=contrast)).tobytes())


def gray(brightness: int) -> int:
    """Return what contrast turns about in the picture of `web/steps.test.js`: what it removes all contrast to."""
    pixels = bytes(value for i in range(256) for value in (i, i * 7 % 256, i * 13 % 256, 0 if i % 5 == 0 else 255))
    image = Image.frombytes("RGBA", (256, 1), pixels)
    return int(steps.tone(image, Settings(brightness=brightness, contrast=-100)).tobytes()[0])
