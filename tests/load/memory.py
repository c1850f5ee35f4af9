"""What Linux counts for a process and all that it started."""

import re
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from typing import NamedTuple

PROC = Path("/proc")


class Use(NamedTuple):
    """What processes take together.

    `rss_mb` has the files that they map, and counts a shared page once for each process. `own_mb` is what they wrote, a
    page that forks share counted once: it also grows as they write to what they shared. A leak adds to both.
    """

    processes: int
    own_mb: float
    rss_mb: float
    descriptors: int


def tree(root: int) -> list[int]:
    """Return the process and all that it started, and they in turn."""
    parents: dict[int, int] = {}
    for stat in PROC.glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended meanwhile
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
            if state != "Z":
                parents[int(stat.parent.name)] = int(parent)
    found = [root]
    for pid in found:  # which grows
        found += [child for child, parent in parents.items() if parent == pid]
    return found


def uses(pids: Iterable[int]) -> dict[int, Use]:
    """Return what each of the processes takes, without those that have ended."""
    found = {}
    for pid in pids:
        with suppress(OSError):
            # Not the whole Pss: it changes as programs start and end that have nothing in common but a library's file.
            rollup = (PROC / str(pid) / "smaps_rollup").read_text()
            kilobytes = dict(re.findall(r"^(Pss_Anon|Rss): +(\d+)", rollup, re.M))
            descriptors = len(list((PROC / str(pid) / "fd").iterdir()))
            found[pid] = Use(1, int(kilobytes["Pss_Anon"]) / 1024, int(kilobytes["Rss"]) / 1024, descriptors)
    return found


def total(each: Iterable[Use]) -> Use:
    listed = list(each)
    return Use(
        len(listed),
        sum(use.own_mb for use in listed),
        sum(use.rss_mb for use in listed),
        sum(use.descriptors for use in listed),
    )


def at_rest(root: int, processes: int) -> Use:
    """Return what the tree takes once it is back to so many processes; what it takes in the end if it never is."""
    for _ in range(600):
        if len(tree(root)) <= processes:
            break
        time.sleep(0.1)  # a minute in all; workers end at once where the machine is not busy
    return total(uses(tree(root)).values())


class Sample(NamedTuple):
    """What there was at a second: the whole tree, and the processes that were there from the beginning."""

    second: float
    whole: Use
    serving: Use


@contextmanager
def sampled(root: int, every: float = 1) -> Iterator[list[Sample]]:
    """Yield a list that fills with samples."""
    samples: list[Sample] = []
    stop = Event()
    serving = tree(root)
    begun = time.monotonic()

    def sample() -> None:
        while not stop.wait(every):
            found = uses(tree(root))
            those = total(use for pid, use in found.items() if pid in serving)
            samples.append(Sample(time.monotonic() - begun, total(found.values()), those))

    thread = Thread(target=sample)
    thread.start()
    try:
        yield samples
    finally:
        stop.set()
        thread.join()
