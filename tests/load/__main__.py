"""`make load`: 50 users at the container, its limiter off and then on, and images in a row; fails below the bars.

Prints what it finds and writes docs/load.md. A quick run, which says less, writes build/load.md instead.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import NamedTuple

from PIL import Image

from infra.build import own_architecture
from infra.resources import ensure_bucket
from infra.setup import TOOLS
from optimizer.config import Config
from tests.bench.report import Bar, Table
from tests.container import Container, running
from tests.emulators import ministack, redis_server
from tests.load.leaks import images_in_a_row
from tests.load.memory import Sample, Use, sampled
from tests.product import ROOT

USERS = 50
WORKERS = 4
NO_LIMIT = "1000000 per minute"  # the limiter cannot be left out; this is one that nobody reaches
LIMIT = 30
COUNTED = ("presign", "optimize")
STEPS = ("presign", "form POST to S3", "optimize", "download from S3", "discard")
WARM_SECONDS = 10  # until each worker has done everything once


class Line(NamedTuple):
    """A request, as locustfile.py writes it."""

    step: str
    begun: float
    seconds: float
    status: int  # 0 without an answer
    expected: bool
    retry_after: str | None
    detail: str


@dataclass(frozen=True)
class Load:
    """What the users met."""

    seconds: int
    lines: list[Line]
    samples: list[Sample]
    unopened: int  # results that no decoder opens
    complaints: list[str]  # lines of the container's log that tell of an error

    @property
    def errors(self) -> list[Line]:
        return [line for line in self.lines if not line.expected and not refused(line)]


def refused(line: Line) -> bool:
    """Tell whether the limiter refused, as it should: it says how long, and only where requests are counted."""
    return line.status == 429 and line.step in COUNTED and 1 <= int(line.retry_after or 0) <= 61


def main() -> int:
    """Run everything. Returns the exit status, 1 below a bar."""
    parser = argparse.ArgumentParser(prog="make load")
    parser.add_argument("--quick", action="store_true", help="a first look in less than a minute")
    quick = parser.parse_args().quick
    off_seconds, on_seconds, marks = (14, 8, (10, 30, 60)) if quick else (60, 75, (*range(100, 1_001, 100),))
    os.environ.update(dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "test"))
    with ministack() as s3_url, redis_server() as redis_url:
        ensure_bucket(Config(s3_endpoint_url=s3_url, page_origin="http://127.0.0.1"))
        off = load(off_seconds, S3_ENDPOINT_URL=s3_url, RATELIMIT_STORAGE_URI=redis_url, RATE_LIMIT=NO_LIMIT)
        on = load(on_seconds, S3_ENDPOINT_URL=s3_url, RATELIMIT_STORAGE_URI=f"{redis_url}/1")
        kept = images_in_a_row(s3_url, marks)
    figures = {
        "Limiter off: errors": len(off.errors),
        "Limiter off: errors in the log": len(off.complaints),
        "Limiter off: results that do not open": off.unopened,
        "Limiter off: images a second": images_a_second(off),
        "Limiter off: memory of what serves, at the end to warm": growth(off.samples),
        "Limiter on: errors": len(on.errors),
        "Limiter on: errors in the log": len(on.complaints),
        "Limiter on: most admitted within 60 s": most_within(on.lines, 60),
        "Limiter on: admitted, off 30 for each minute begun": abs(
            len(admitted(on.lines)) - LIMIT * -(-on_seconds // 60)
        ),
        "In a row: memory, last to first": kept[marks[-1]].own_mb / kept[marks[0]].own_mb,
        "In a row: file descriptors more": kept[marks[-1]].descriptors - kept[marks[0]].descriptors,
        "In a row: processes more": kept[marks[-1]].processes - kept[marks[0]].processes,
    }
    bars, met = judged(figures)
    text = document(bars, off, on, kept)
    print(text)
    folder = ROOT / ("build" if quick else "docs")
    folder.mkdir(exist_ok=True)
    (folder / "load.md").write_text(text)
    for line in (off.errors + on.errors)[:10]:
        print("error:", line, file=sys.stderr)
    for complaint in (off.complaints + on.complaints)[:3]:
        print("in the log:", complaint[:2_000], file=sys.stderr)
    return int(not met)


BARS = (
    Bar("Limiter off: errors", 0),
    Bar("Limiter off: errors in the log", 0),
    Bar("Limiter off: results that do not open", 0),
    Bar("Limiter off: images a second", 5, ">="),
    Bar("Limiter off: memory of what serves, at the end to warm", 1.1),
    Bar("Limiter on: errors", 0),
    Bar("Limiter on: errors in the log", 0),
    Bar("Limiter on: most admitted within 60 s", LIMIT),
    Bar("Limiter on: admitted, off 30 for each minute begun", 0),
    Bar("In a row: memory, last to first", 1.1),
    Bar("In a row: file descriptors more", 0),
    Bar("In a row: processes more", 0),
)


def load(seconds: int, **options: object) -> Load:
    """Let the users loose on a container for so long."""
    with tempfile.TemporaryDirectory() as name, running(WORKERS, **options) as container:
        with sampled(container.process.pid) as samples:
            run_users(container, seconds, Path(name))
        lines = [Line(**json.loads(line)) for line in (Path(name) / "requests.jsonl").read_text().splitlines()]
        unopened = sum(not opens(result) for result in Path(name).glob("*.result"))
        complaints = [line for line in container.log if '"ERROR"' in line or '"CRITICAL"' in line]
    return Load(seconds, lines, samples, unopened, complaints)


def run_users(container: Container, seconds: int, folder: Path) -> None:
    """Run locust until the time is over."""
    command = [f"{TOOLS}/locust/bin/locust", "--locustfile", f"{ROOT}/tests/load/locustfile.py", "--headless"]
    command += f"--host {container.address} --users {USERS} --spawn-rate {USERS} --run-time {seconds}s".split()
    environ = os.environ | {"LOAD_FOLDER": str(folder), "PYTHONPATH": str(ROOT)}
    # Its own verdict does not matter: each request is judged here.
    subprocess.run(command, env=environ, capture_output=True, check=False, timeout=seconds + 60)


def opens(result: Path) -> bool:
    try:
        with Image.open(result) as image:
            image.load()
    except OSError:
        return False
    return True


def admitted(lines: Sequence[Line]) -> list[Line]:
    return [line for line in lines if line.step in COUNTED and line.status != 429]


def most_within(lines: Sequence[Line], seconds: float) -> int:
    """Return the most requests that were surely admitted within a span: begun and answered in it."""
    ours = admitted(lines)
    return max(
        sum(first.begun <= line.begun and line.begun + line.seconds <= first.begun + seconds for line in ours)
        for first in ours
    )


def images_a_second(load: Load) -> float:
    return sum(line.step == "optimize" and line.status == 200 for line in load.lines) / load.seconds


def growth(samples: Sequence[Sample]) -> float:
    """Return the resident memory of what serves in the last seconds over that once it is warm.

    Workers of images come and go, and share pages with it while they are there, so resident memory is the steady one.
    """
    warm = [each.serving.rss_mb for each in samples if each.second >= WARM_SECONDS]
    fifth = max(1, len(warm) // 5)
    return median(warm[-fifth:]) / median(warm[:fifth])


def judged(figures: dict[str, float]) -> tuple[Table, bool]:
    """Return the verdicts, and whether every bar is met."""
    verdicts = [(bar, *bar.judge(figures)) for bar in BARS]
    rows = [(bar.figure, measured, f"{bar.comparison} {bar.bound:g}", verdict) for bar, measured, verdict in verdicts]
    return Table("What has to hold:", ("bar", "measured", "bound", ""), [*rows]), all(row[-1] == "PASS" for row in rows)


def document(bars: Table, off: Load, on: Load, kept: dict[int, Use]) -> str:
    """Return docs/load.md."""
    lines = [
        "# Under load",
        f"Made by `make load` on {datetime.now(UTC).date().isoformat()} ({own_architecture()}, {os.cpu_count()} "
        f"processors, Python {platform.python_version()}). {USERS} users of locust, who never pause, at the "
        f"container's own command with {WORKERS} workers, Redis, and an S3 that enforces policies, all on this machine "
        "and its processors. Each uploads one of six small images, optimizes it with two settings, downloads "
        "both results and discards all, over and over.",
        f"## Bars\n\n{bars.markdown()}",
        f"## Limiter off, {off.seconds} s",
        steps_table(off).markdown(),
        memory_table(off.samples).markdown(),
        f"## Limiter on, {on.seconds} s",
        f"All users have one address. Who is refused asks again after a second. {LIMIT} a minute may pass.",
        steps_table(on).markdown(),
        admitted_table(on.lines).markdown(),
        f"## {max(kept)} images in a row, one worker",
        kept_table(kept).markdown(),
    ]
    return "\n\n".join(lines) + "\n"


def steps_table(load: Load) -> Table:
    served = [line for line in load.lines if line.status != 429]
    caption = (
        f"{len(load.lines) / load.seconds:.1f} requests and {images_a_second(load):.1f} images a second; "
        f"{len(load.errors)} errors. Milliseconds of what was not refused:"
    )
    table = Table(caption, ("step", "requests", "a second", "p50", "p95", "p99", "most", "refused", "errors"))
    for step in STEPS:
        seconds = sorted(line.seconds for line in served if line.step == step)
        found = [f"{1_000 * percentile(seconds, share):.0f}" for share in (0.5, 0.95, 0.99, 1)]
        count = sum(line.step == step for line in load.lines)
        errors = sum(line.step == step for line in load.errors)
        rate = f"{len(seconds) / load.seconds:.1f}"
        table.rows.append((step, str(len(seconds)), rate, *found, str(count - len(seconds)), str(errors)))
    return table


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the least value that so large a share does not exceed."""
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)] if ordered else 0


def memory_table(samples: Sequence[Sample]) -> Table:
    table = Table(
        "Memory of Gunicorn, its workers and nurseries, and of them with the workers of images (MB; own is "
        "what they wrote, RSS has the files they map, too, and shared pages once for each process):",
        ("second", "serving, RSS", "serving, own", "with images, own", "with images, RSS", "processes"),
    )
    for sample in samples[4 :: max(1, len(samples) // 12)]:
        serving, whole = sample.serving, sample.whole
        cells = (sample.second, serving.rss_mb, serving.own_mb, whole.own_mb, whole.rss_mb, whole.processes)
        table.rows.append([f"{cell:.0f}" for cell in cells])
    most = [max(column) for column in zip(*(sample.whole for sample in samples), strict=True)]
    table.rows.append(("most", "", "", f"{most[1]:.0f}", f"{most[2]:.0f}", str(most[0])))
    return table


def admitted_table(lines: Sequence[Line]) -> Table:
    begun = min(line.begun for line in lines)
    table = Table("Requests that count, by minute:", ("minute", "admitted", "refused"))
    for minute in range(int((max(line.begun for line in lines) - begun) // 60) + 1):
        counted = [line for line in lines if line.step in COUNTED and (line.begun - begun) // 60 == minute]
        let_in = len(admitted(counted))
        table.rows.append((str(minute + 1), str(let_in), str(len(counted) - let_in)))
    return table


def kept_table(kept: dict[int, Use]) -> Table:
    table = Table(
        "Of Gunicorn, its worker and the nursery, while no image is worked on. Own, what they wrote, has the bar:",
        ("images", "own, MB", "RSS, MB", "file descriptors", "processes"),
    )
    for images, use in kept.items():
        table.rows.append(
            (str(images), f"{use.own_mb:.1f}", f"{use.rss_mb:.1f}", str(use.descriptors), str(use.processes))
        )
    return table


if __name__ == "__main__":
    sys.exit(main())
