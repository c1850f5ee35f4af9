"""What a test leaves behind: processes, files in the folder for temporary ones, objects in the embedded S3."""

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends

from optimizer import worker
from optimizer.worker import Workers

PATIENCE_SECONDS = 60  # for what was killed and is about to end, on however busy a machine
HASTE_SECONDS = 0.5  # once something did stay: the tests have failed, and are to say so soon

# A browser, which all tests share, starts these whenever it likes; one that is left itself has no type.
BROWSER_HELPER = " --type="
OWN = ("pytest-of-",)  # pytest's folder for tmp_path


class Leftovers:
    """Knows what may be there: what was before, and what fixtures that serve several tests have made."""

    def __init__(self, bucket: str) -> None:
        self._bucket = bucket
        self._shared: set[str] = set()
        self._patience = float(PATIENCE_SECONDS)
        self._workers: list[Workers] = [worker.workers]

    @contextmanager
    def sharing(self) -> Iterator[None]:
        """Take what appears within for shared by several tests."""
        before = self.present()
        yield
        self._shared |= self.present() - before

    def share_workers(self, workers: Workers) -> None:
        """Let these, which several tests use, have a nursery; its workers still end with their tests."""
        self._workers.append(workers)

    def present(self) -> set[str]:
        """Return the names of all that is there but shared."""
        nurseries = {each._nursery.pid for each in self._workers if each._nursery}
        return (processes(os.getpid(), nurseries, self._shared) | files() | objects(self._bucket)) - self._shared

    def since(self, before: set[str]) -> set[str]:
        """Return what is there that was not before, and still is after a while; processes with their commands."""

        def look() -> set[str]:
            named = {each + _command(each) for each in self.present() - before}
            return {each for each in named if BROWSER_HELPER not in each}

        left = settled(look, self._patience)
        if left:
            self._patience = HASTE_SECONDS
        return left


def settled(look: Callable[[], set[str]], seconds: float) -> set[str]:
    """Return what is seen when nothing is, or when the time is over."""
    ends = time.monotonic() + seconds
    while (seen := look()) and time.monotonic() < ends:
        time.sleep(0.02)  # what is no leftover is seen to go, and nothing else is waited for
    return seen


def processes(pid: int, passed: set[int], shared: set[str]) -> set[str]:
    """Return the living descendants of a process: the passed ones without themselves, shared ones not looked into."""
    found = set()
    for child in _children(pid):
        name = _name(child)
        if not name or name in shared:
            continue
        if child not in passed:
            found.add(name)
        found |= processes(child, passed, shared)
    return found


def files() -> set[str]:
    """Return what is in the folder for temporary files."""
    return {f"file {each}" for each in os.listdir(tempfile.gettempdir()) if not each.startswith(OWN)}  # noqa: PTH208  # no path is made of it


def objects(bucket: str) -> set[str]:
    """Return the objects in a bucket of the embedded S3 of this process."""
    kept = s3_backends[DEFAULT_ACCOUNT_ID]["aws"].buckets.get(bucket)
    return {f"object {key}" for key in kept.keys.keys()} if kept else set()  # noqa: SIM118  # it is no dict


def _children(pid: int) -> list[int]:
    children = []
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():  # each thread has those that it started
            children += (task / "children").read_text().split()
    except OSError:  # it ended meanwhile
        pass
    return [int(each) for each in children]


def _name(pid: int) -> str:
    """Return what names a process for good, whatever it executes, or nothing when it has ended."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    state, started_at = stat[0], stat[19]
    return "" if state in "ZX" else f"process {pid} of {started_at}"


def _command(name: str) -> str:
    """Return what a process executes; nothing of what is none, or has ended."""
    kind, _, rest = name.partition(" ")
    try:
        command = Path(f"/proc/{rest.partition(' ')[0]}/cmdline").read_bytes() if kind == "process" else b""
    except OSError:
        return ""
    text = command.replace(b"\0", b" ").decode(errors="replace").strip()
    return f": {text[:200]}" if text else ""
