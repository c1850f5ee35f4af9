import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from optimizer.config import Config
from optimizer.worker import Workers
from tests import leftovers
from tests.leftovers import Leftovers

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

SLEEP = [sys.executable, "-S", "-c", "import sys; print(flush=True); sys.stdin.read()"]
SLEEP_TWICE = [sys.executable, "-S", "-c", f"import subprocess; subprocess.run({SLEEP!r})"]


@pytest.fixture
def known(config: Config, monkeypatch: pytest.MonkeyPatch) -> Leftovers:
    """One that has no patience, and shares nothing yet."""
    monkeypatch.setattr(leftovers, "PATIENCE_SECONDS", 0.1)
    return Leftovers(config.temp_bucket)


def start(command: list[str]) -> subprocess.Popen[bytes]:
    """Start a process, and wait until the one that sleeps is there."""
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout
    process.stdout.readline()
    return process


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with start(SLEEP) as process:
        yield process


def test_a_process_is_named_with_those_that_it_started(known: Leftovers) -> None:
    before = known.present()
    with start(SLEEP_TWICE):
        left = known.since(before)

    assert len(left) == 2
    assert all(each.startswith("process ") and "sys.stdin.read()" in each for each in left)
    assert not known.since(before)


def test_a_process_that_a_thread_started_is_named(known: Leftovers, sleeper: subprocess.Popen[bytes]) -> None:
    assert any(f"process {sleeper.pid} " in each for each in known.present())


def test_a_zombie_is_no_process(known: Leftovers) -> None:
    before = known.present()
    with start(SLEEP) as process:
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)

        assert not known.since(before)


def test_a_temporary_file_is_named(known: Leftovers) -> None:
    before = known.present()
    handle, name = tempfile.mkstemp()
    os.close(handle)

    left = known.since(before)
    Path(name).unlink()

    assert left == {f"file {Path(name).name}"}


def test_an_object_without_its_source_is_named(known: Leftovers, s3: "S3Client", config: Config) -> None:
    before = known.present()
    s3.put_object(Bucket=config.temp_bucket, Key="results/x/y", Body=b"x")

    left = known.since(before)
    s3.delete_object(Bucket=config.temp_bucket, Key="results/x/y")

    assert left == {"object results/x/y"}


def test_what_several_tests_share_is_none(known: Leftovers) -> None:
    before = known.present()
    with known.sharing():
        shared = start(SLEEP_TWICE)
    with shared:
        left = known.since(before)

    assert left == set()


def test_a_nursery_may_be_shared_but_not_its_workers(known: Leftovers) -> None:
    workers = Workers()
    known.share_workers(workers)
    before = known.present()
    workers.start()
    left = known.since(before)
    workers.stop()

    assert left == set()


def test_the_folder_for_temporary_files_is_of_this_process() -> None:
    assert Path(tempfile.gettempdir()).name.startswith("pinch-tests-")
    assert os.environ["TMPDIR"] == tempfile.gettempdir()
