"""`make bench`: measures on this machine, prints what it found, and fails below the bars.

Keeps the product's own numbers in docs/benchmark.json, and how it compares in docs/benchmarks.md with its plots. A
quick or partial run, which says less, leaves them alone and writes into build/ instead.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from PIL import features

from infra.build import own_architecture
from infra.setup import PYTHON_PEERS, listed
from tests.bench import codecs, goals, jobs, pictures, scores, service
from tests.bench.codecs import Bench
from tests.bench.report import Section, bars_table
from tests.bench.stacks import SINGLE_THREADED, node_peer, vips_peer

ROOT = Path(__file__).parent.parent.parent
PLOTS = Path(__file__).parent / "plots.py"
SERVICE, MEMORY = "service", "memory"
SECTIONS: dict[str, Callable[[Bench], Section]] = {
    "jpeg": codecs.jpeg,
    "webp": codecs.webp,
    "png": codecs.png,
    "palette": codecs.palette,
    "jobs": jobs.whole_jobs,
    "auto": goals.auto_quality,
    "target": goals.target_bytes,
    "larger": goals.never_larger,
}
# Of what the product encodes with, and of what draws.
PACKAGES = ("Pillow", "ajpegli", "pyoxipng", "opencv-python-headless", "numpy")
LIBRARIES = ("libjpeg_turbo", "webp", "zlib_ng")


def main() -> int:
    """Run everything, or what is asked for. Returns the exit status, 1 below a bar."""
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument("--quick", action="store_true", help="few and small pictures: a first look in three minutes")
    parser.add_argument("--only", nargs="+", choices=[SERVICE, *SECTIONS, MEMORY], help="these parts alone")
    arguments = parser.parse_args()
    asked = arguments.only or [SERVICE, *SECTIONS, MEMORY]
    whole = not arguments.quick and not arguments.only
    kept = ROOT / ("docs" if whole else "build")
    kept.mkdir(exist_ok=True)
    os.environ.update(SINGLE_THREADED, TEST_IMAGES=str(ROOT / "tests" / "corpus"))
    about = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{own_architecture()}, {_processor()}",
    }
    if arguments.quick:
        print("Quick: few and small pictures, fewer qualities and repetitions. Its numbers are a first look only.")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        figures: dict[str, float] = {}
        run: service.Run = lambda *_: None  # noqa: E731
        if SERVICE in asked or MEMORY in asked:
            python, run = service.built(folder / "functions")
            about["python"] = python
        if SERVICE in asked:
            results = about | service.measure(run, arguments.quick)
            figures |= service.figures(results)
            (kept / "benchmark.json").write_text(json.dumps(results, indent=1) + "\n")
        # The peers are pinned with this process; scoring is not.
        with scores.Scorer() as scorer:
            scores.pin()
            with node_peer(folder) as node, vips_peer(folder) as vips:
                bench = Bench(
                    quick=arguments.quick,
                    folder=folder,
                    node=node,
                    vips=vips,
                    scorer=scorer,
                    photos=pictures.photos(folder, arguments.quick),
                    graphics=pictures.graphics(folder, arguments.quick),
                )
                versions = _versions() | node.ask(stack="versions")["versions"] | vips.ask(stack="versions")["versions"]
                wanted = [partial(each, bench) for key, each in SECTIONS.items() if key in asked]
                if MEMORY in asked:
                    wanted.append(partial(jobs.memory, bench, run))
                sections = [_announced(each) for each in wanted]
    figures |= {name: value for section in sections for name, value in section.figures.items()}
    bars, met = bars_table(figures, all_of_them=whole)
    print(bars.markdown())
    _draw([plot for section in sections for plot in section.plots], kept)
    (kept / "benchmarks.md").write_text(_document(about, bench, versions, bars.markdown(), sections))
    print(
        f"Kept in {kept.relative_to(ROOT)}/benchmarks.md."
        + " `make format` writes the costs into docs/deploy.md." * whole
    )
    return int(not met)


def _announced(measure: Callable[[], Section]) -> Section:
    begun = time.monotonic()
    section = measure()
    print(f"\n{section.markdown()}\n\n({time.monotonic() - begun:.0f} s)", flush=True)
    return section


def _draw(plots: list[dict[str, Any]], folder: Path) -> None:
    if plots:
        command = [PYTHON_PEERS / "bin" / "python", PLOTS, folder]
        environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        subprocess.run(command, input=json.dumps(plots), text=True, check=True, env=environ)


def _document(about: dict[str, str], bench: Bench, versions: dict[str, str], bars: str, sections: list[Section]) -> str:
    """Return docs/benchmarks.md."""
    missing = [name for name in (*pictures.UNTOUCHED, *pictures.REDUCED) if not (pictures.CORPUS / name).exists()]
    lines = [
        "# Benchmarks",
        f"Made by `make bench` on {about['date']} ({about['machine']}). One thread and one processor for every stack. "
        "A time is the least of several, of encoding pixels that are decoded already if nothing else is said.",
        f"{len(bench.photos)} photos, reduced by a whole factor to about a megapixel unless they never were a JPEG, "
        f"and {len(bench.graphics)} graphics, all as 8-bit sRGB. Scores are SSIMULACRA2 as the product computes it. "
        "Bytes at equal score are log-interpolated between results on both sides of it, never beyond them: a picture "
        "that a stack does not bring to a score is left out, as n tells.",
        *([f"Not in this corpus, so left out: {', '.join(missing)}."] if missing else []),
        *(["A quick run: few and small pictures."] if bench.quick else []),
        f"## Bars\n\n{bars}",
        *(section.markdown() for section in sections),
        "## Versions\n\n" + ", ".join(f"{name} {number}" for name, number in versions.items()) + ".",
    ]
    return "\n\n".join(lines) + "\n"


def _versions() -> dict[str, str]:
    found = {"Python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    for library in LIBRARIES:
        if number := features.version(library):
            found[f"Pillow's {library}"] = number
    for line in listed("bench-tools.txt"):
        name, _, number = line.partition("==")
        if number:
            found[name] = number
    return found


def _processor() -> str:
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return statistics.mode(models).partition(": ")[2] if models else platform.processor()


if __name__ == "__main__":
    sys.exit(main())
