"""Weighs work in loops of Python instead of seconds, so that neither a slow nor a busy machine changes it much."""

import time
from functools import cache


def loops_since(begun: float) -> float:
    """Return how many loops this process could have done since then, a reading of `time.process_time`."""
    return (time.process_time() - begun) / _seconds()


@cache
def _seconds() -> float:
    """Return what one loop takes of a processor: a fiftieth of a second or so."""
    begun, total = time.process_time(), 0
    for number in range(500_000):
        total += number
    return time.process_time() - begun
