"""The whole job beside the peers: a photo of 12 MP from file to file, half and a fifth as wide; and its memory."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from io import BytesIO
from math import exp, log
from pathlib import Path
from typing import Any

from PIL import Image as pillow
from PIL.Image import Resampling

from optimizer.imaging.perception import Reference
from tests.bench import pictures
from tests.bench.codecs import MOZJPEG, SHARP, Bench
from tests.bench.report import Section, Table
from tests.bench.scores import decode
from tests.bench.stacks import OURS, Job, node_peer, our_job, pillow_job

QUALITY = 80
AS_SHARP = f"{OURS}, at sharp's score"

Run = Callable[..., Any]  # a workload with the built product


def whole_jobs(bench: Bench) -> Section:
    """Measure time, bytes and score of each stack at the same quality, and the product's at sharp's score as well."""
    section = Section("Whole job")
    photos = pictures.large(bench.quick)
    bars: dict[str, list[tuple[str, float]]] = {}
    for format in ("jpeg", "webp"):
        for percent in (20,) if bench.quick else (50, 20):
            job = f"{percent} % {format}"
            measured = [_measure(bench, data, percent, format) for data in photos.values()]
            table = Table(
                f"{', '.join(photos)} to {percent} % as {format}, quality {QUALITY} (medians; the score is against "
                "Lanczos on all of the decoded photo)",
                ("stack", "time for one of sharp", "seconds", "bytes for one of sharp", "score", "score less sharp's"),
            )
            for name in measured[0]:
                pairs = [(each[name], each[SHARP]) for each in measured]
                time, size, score = (
                    statistics.median(values)
                    for values in (
                        [mine.seconds / theirs.seconds for mine, theirs in pairs],
                        [mine.size / theirs.size for mine, theirs in pairs],
                        [mine.score - theirs.score for mine, theirs in pairs],
                    )
                )
                seconds = statistics.median(mine.seconds for mine, _ in pairs)
                own = statistics.median(mine.score for mine, _ in pairs)
                row = (name, f"{time:.2f}", f"{seconds:.3f}", f"{size:.3f}", f"{own:.1f}", f"{score:+.2f}")
                table.rows.append(row)
                bars.setdefault(name, []).append((job, time))
                if name == AS_SHARP:
                    section.figures |= {
                        f"Whole job, {job}: time to sharp's": time,
                        f"Whole job, {job}: bytes to sharp's": size,
                        f"Whole job, {job}: score less sharp's": score,
                    }
            section.tables.append(table)
    labels = [job for job, _ in bars[SHARP]]
    series = {name: [(job, dict(found).get(job, 0)) for job in labels] for name, found in bars.items()}
    section.plots.append(
        {"file": "benchmark-jobs.svg", "kind": "bars", "title": "Whole job, 12 MP: time", "x": ""}
        | {"y": "time for one of sharp", "series": series}
    )
    return section


@dataclass
class Measured:
    """What a stack made of one photo."""

    size: float  # bytes
    score: float
    seconds: float = float("inf")


def _measure(bench: Bench, data: bytes, percent: int, format: str) -> dict[str, Measured]:
    """Return what each stack made of one photo, and what the product makes of it at sharp's score.

    Its bytes there are interpolated between two neighbouring qualities; its time is that of the better one.
    """
    mine = our_job(percent)
    size = pillow.open(BytesIO(mine(data, 0, 0, format, QUALITY, 0).data)).size
    full = pictures.srgb(pillow.open(BytesIO(data))).convert("RGB")
    reference = full.resize(size, Resampling.LANCZOS)
    stacks: dict[str, Job] = {
        OURS: mine,
        "Pillow": pillow_job,
        SHARP: bench.node.job(SHARP),
        **({MOZJPEG: bench.node.job(MOZJPEG)} if format == "jpeg" else {}),
        "pyvips thumbnail": bench.vips.job("pyvips"),
    }
    score = Reference(reference).score

    def tried(job: Job, quality: int) -> Measured:
        encoded = job(data, *size, format, quality, 0)
        return Measured(encoded.size, score(decode(encoded.data, "RGB")))

    found = {name: tried(job, QUALITY) for name, job in stacks.items()}
    trial = cache(partial(tried, mine))
    wanted = found[SHARP].score
    quality = _least_quality(lambda quality: trial(quality).score >= wanted)
    above, below = trial(quality), trial(quality - 1)
    if below.score < wanted < above.score:
        share = (wanted - below.score) / (above.score - below.score)
        above.size = exp(log(below.size) + share * (log(above.size) - log(below.size)))
    found = {OURS: found[OURS], AS_SHARP: above} | found
    for _ in range(2 if bench.quick else 5):  # in turn, so that noise meets all of them
        for name, each in found.items():
            asked = quality if name == AS_SHARP else QUALITY
            each.seconds = min(each.seconds, stacks.get(name, mine)(data, *size, format, asked, 1).seconds)
    return found


def _least_quality(holds: Callable[[int], bool]) -> int:
    """Return the least quality about QUALITY that holds, or the highest when none does."""
    low, high = QUALITY - 40, QUALITY + 15
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle + 1, high)
    return low


def memory(bench: Bench, run: Run) -> Section:
    """Measure the peak of fresh processes that only encode a file anew."""
    table = Table("Peak memory of a fresh process, MB", ("job", OURS, "Pillow", SHARP))
    section = Section("Memory", [table])
    path = bench.folder / "peak.source"
    jobs = [
        ("24 MP JPEG to JPEG", "jpeg", ("write", str(path), "24")),
        ("50 MP JPEG to JPEG", "jpeg", ("write", str(path), "50")),
        ("50 MP RGBA to WebP", "webp", ("large", str(path))),
    ]
    for job, format, make in jobs[:1] if bench.quick else jobs:
        run(*make)
        ours, plain = (run("peak", stack, str(path), format)["peak_mb"] for stack in ("ours", "plain"))
        table.rows.append((job, str(ours), str(plain), str(_sharp_peak(bench.folder, path, format))))
        section.figures[f"Memory: {job}, MB"] = ours
    return section


def _sharp_peak(folder: Path, source: Path, format: str) -> int:
    with node_peer(folder) as fresh:
        reply = fresh.ask(
            stack=SHARP, format=format, quality=QUALITY, repeats=1, source=str(source), result=str(folder / "peak")
        )
    peak: int = reply["peak_mb"]
    return peak
