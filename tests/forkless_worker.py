"""A nursery that cannot fork: what a machine without memory or processes left makes of one."""

import os

from optimizer import worker


def serve(number: int) -> None:
    def refuse() -> int:
        raise BlockingIOError("no process is left")

    os.fork = refuse
    worker.serve(number)
