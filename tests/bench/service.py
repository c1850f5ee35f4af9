"""The product as it is deployed: cold start, a warm request, an image, and the memory that the limits allow."""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from infra.build import build, find_python, own_architecture, runtime

ROOT = Path(__file__).parent.parent.parent
WORKLOADS = Path(__file__).parent / "workloads.py"
COLD_STARTS = 9
MEGAPIXELS = (2, 12, 24)
WORKER_MEGAPIXELS = ("0.1", "3", "12")
FORMATS = ("jpeg", "png", "webp")

Run = Callable[..., Any]


def built(folder: Path) -> tuple[str, Run]:
    """Build what is deployed. Returns the version of its Python, and a function that runs a workload with it."""
    version = runtime() if find_python(runtime()) else f"{sys.version_info.major}.{sys.version_info.minor}"
    build(folder, own_architecture(), version)
    return version, _runner(folder, version)


def measure(run: Run, quick: bool) -> dict[str, Any]:
    """Run every workload and print what it found."""
    results: dict[str, Any] = {}
    starts = 3 if quick else COLD_STARTS
    print(f"Cold start, fresh interpreter, best of {starts}:")
    both = [(run("floor"), run("ready")) for _ in range(starts)]  # in turn, so that noise meets both
    floor, ready = (min(each[side]["ms"] for each in both) for side in (0, 1))
    loaded = sorted({name for _, each in both for name in each["loaded"]})
    results["cold_start"] = {"floor_ms": floor, "ready_ms": ready, "ratio": round(ready / floor, 2)}
    print(f"  Flask and aws-wsgi alone {floor} ms, ready for the first request {ready} ms: {ready / floor:.2f} times")
    print(f"  of cv2, numpy and moto imported by then: {', '.join(loaded) or 'none'}")

    print("A warm request, without the network:")
    results["warm"] = warm = run("warm")
    print(f"  optimize {warm['total_ms']} ms, its pipeline {warm['pipeline_ms']} ms: own {warm['own_ms']} ms")

    print("An image, the product's default settings, beside the plainest use of Pillow (decode and save):")
    results["images"] = images = [run("image", str(size)) for size in (MEGAPIXELS[:1] if quick else MEGAPIXELS)]
    for row in images:
        print(
            f"  {row['megapixels']:>2} MP JPEG {row['seconds']:.2f} s, plain {row['plain_seconds']:.2f} s: "
            f"{row['seconds'] / row['plain_seconds']:.2f} times the time, "
            f"{row['bytes'] / row['plain_bytes']:.2f} times the bytes"
        )

    print("What a process of its own adds to an image, default settings, medians of 30:")
    results["worker"] = [run("worker", size) for size in (WORKER_MEGAPIXELS[:1] if quick else WORKER_MEGAPIXELS)]
    for row in results["worker"]:
        print(f"  {row['megapixels']:>3} MP JPEG {row['worker_ms']} ms, in process {row['pipeline_ms']} ms")

    print("Memory of the largest image that the limits allow, every step at work:")
    formats = FORMATS[:1] if quick else FORMATS
    results["memory"] = memory = {name: run("memory", name)["peak_mb"] for name in formats}
    for name, peak in memory.items():
        print(f"  50 MP with transparency to {name}: {peak} MB of 3008")
    return results


def figures(results: dict[str, Any]) -> dict[str, float]:
    """Return what bars are about."""
    return {"Worker: ms more than in process, the worst size": max(row["more_ms"] for row in results["worker"])}


def _runner(artefact: Path, version: str) -> Run:
    """Return a function that runs a workload with the artefact and nothing else, and returns what it printed."""
    interpreter = find_python(version)
    assert interpreter

    def run(*arguments: str) -> Any:
        command = [*_pinned(), *interpreter, "-S", str(WORKLOADS), *arguments]
        environ = {
            **{"PYTHONPATH": str(artefact), "PYENV_VERSION": version, "PATH": os.environ["PATH"]},
            **{"AWS_DEFAULT_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"},
            **{"PAGE_ORIGIN": "https://page.example", "RATELIMIT_STORAGE_URI": "dynamodb://table?secret=x"},
            **{"RATE_LIMIT": "100000 per minute", "TEST_IMAGES": str(ROOT / "tests" / "corpus")},
        }
        done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(done.stderr)
        return json.loads(done.stdout.splitlines()[-1])

    return run


def _pinned() -> Iterator[str]:
    """Yield the words that keep a command on one processor, where the system can."""
    if platform.system() == "Linux":
        yield from ("taskset", "-c", "0")
