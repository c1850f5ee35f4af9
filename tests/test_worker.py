import os
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import chain, repeat
from pathlib import Path
from threading import Thread

import pytest

from optimizer import worker
from optimizer.imaging.pipeline import optimize
from optimizer.limits import WORKER_BYTES
from optimizer.problems import DamagedImage, Problem, TooComplex, UnsupportedType, WorkerFailed
from optimizer.settings import Settings
from optimizer.worker import Optimized, Workers
from tests.hostile_worker import KEPT, MISDEEDS
from tests.journey import photo

pytestmark = pytest.mark.processes

PLAIN = Settings()


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    """Workers of which some misbehave."""
    made = Workers("tests.hostile_worker")
    yield made
    made.stop()


def doing(misdeed: str) -> Settings:
    return replace(PLAIN, sharpen=MISDEEDS[misdeed])


def test_a_worker_makes_what_the_pipeline_makes(workers: Workers) -> None:
    result = optimize(photo(), PLAIN)

    made = workers.optimize(photo(), PLAIN)

    assert (made.data, made.record) == (result.data, result.record())


@pytest.mark.parametrize(
    ("data", "problem"), [(b"", DamagedImage), (b"GIF89a", UnsupportedType), (photo()[:900], DamagedImage)]
)
def test_a_worker_refuses_what_the_pipeline_refuses(workers: Workers, data: bytes, problem: type[Problem]) -> None:
    with pytest.raises(problem) as here:
        optimize(data, PLAIN)
    for _ in range(20):  # it may have ended before all of its order was sent
        with pytest.raises(problem) as there:
            workers.optimize(data, PLAIN)
        assert there.value.body() == here.value.body()


@pytest.mark.parametrize(
    ("misdeed", "problem", "words", "seconds"),
    [
        ("hang", TooComplex, "takes too long", 0.5),
        ("segfault", WorkerFailed, "could not be worked on", 60),
        ("eat memory", TooComplex, "too much memory", 60),
        ("end", WorkerFailed, "could not be worked on", 60),
        ("lie", WorkerFailed, "could not be worked on", 60),
        ("fail", RuntimeError, "nobody expected this", 60),
    ],
)
def test_a_worker_that_is_taken_down_is_gone_and_others_go_on(
    workers: Workers, misdeed: str, problem: type[Exception], words: str, seconds: float
) -> None:
    with pytest.raises(problem, match=words):
        workers.optimize(photo(), doing(misdeed), seconds)

    assert gone(children(nursery_of(workers)))
    with ThreadPoolExecutor(4) as threads:
        made = list(threads.map(lambda _: workers.optimize(photo(), PLAIN), range(20)))
    assert len({each.data for each in made}) == 1


def test_a_worker_has_just_the_time_that_its_caller_gives_it(workers: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    def optimize(seconds: float) -> Optimized:
        readings = chain([0.0], repeat(1_000.0))  # of the clock: when it is asked, and whenever it waits
        monkeypatch.setattr(worker, "monotonic", lambda: next(readings))
        return workers.optimize(photo(), PLAIN, seconds)

    assert optimize(1_060).data
    with pytest.raises(TooComplex, match="takes too long"):
        optimize(1_000)


def test_a_worker_writes_no_file(workers: Workers) -> None:
    with pytest.raises(RuntimeError, match="File too large"):
        workers.optimize(photo(), doing("write"))

    assert KEPT.read_bytes() == b""
    KEPT.unlink()


def test_a_nursery_that_was_killed_is_replaced(workers: Workers) -> None:
    workers.start()
    os.kill(nursery_of(workers), signal.SIGKILL)

    assert workers.optimize(photo(), PLAIN).data


def test_a_nursery_ends_with_whoever_started_it() -> None:
    made = Workers()
    made.start()
    nursery = nursery_of(made)

    assert made._orders
    made._orders.close()

    assert gone([nursery])
    made.stop()


def test_a_nursery_knows_no_credentials(workers: Workers) -> None:
    workers.start()

    environ = Path(f"/proc/{nursery_of(workers)}/environ").read_bytes()

    assert os.environ["AWS_SECRET_ACCESS_KEY"]
    assert b"AWS" not in environ


def test_the_address_space_holds_what_the_limits_allow() -> None:
    """The most that `make bench` measures is an RGBA image of 50 megapixels to WebP: 1.6 GB."""
    assert WORKER_BYTES > 2_000 * 10**6


def test_work_takes_an_order_and_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "_limit_resources", lambda _: None)  # it would limit this process
    ours, theirs = socket.socketpair()
    with ours, theirs:
        Thread(target=worker.work, args=[theirs]).start()

        assert worker._receive(ours)[0] == {"pid": os.getpid()}
        worker._send(ours, {"settings": {"format": "webp"}, "seconds": 1}, photo())
        answer, data = worker._receive(ours)

    assert answer["record"]["format"] == "webp"
    assert data[8:12] == b"WEBP"


def nursery_of(workers: Workers) -> int:
    assert workers._nursery
    return workers._nursery.pid


def children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def gone(pids: list[int]) -> bool:
    for _ in range(600):
        if all(is_gone(pid) for pid in pids):
            return True
        time.sleep(0.1)  # a minute in all, for what takes no moment on an idle machine
    return False


def is_gone(pid: int) -> bool:
    """Tell whether a process has ended; a zombie has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True
