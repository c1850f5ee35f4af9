"""How well the product meets what is asked for: a similarity, a size, and never more bytes than the source."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from io import BytesIO
from math import sqrt
from statistics import mean, median
from typing import Any

from PIL import Image as pillow
from PIL.Image import Image

from optimizer.imaging.decode import open_source
from optimizer.imaging.encoders import ENCODERS
from optimizer.imaging.pipeline import optimize
from optimizer.problems import Problem
from optimizer.settings import Settings
from tests.bench import pictures
from tests.bench.codecs import Bench
from tests.bench.pictures import CORPUS
from tests.bench.report import Section, Table, spread
from tests.bench.stacks import timed

FORMATS = ("jpeg", "webp")
BALANCED = 80  # what "balanced" aims at
SHARES = (0.20, 0.35, 0.50, 0.75)  # of the bytes at quality 90
PHOTOS_WITH_TARGETS = 12


def auto_quality(bench: Bench) -> Section:
    """Measure how far "balanced" lands from its score, and what finding it costs."""
    table = Table(
        f'`"auto_quality": "balanced"` on {len(bench.photos)} photos: the score of the whole result',
        ("format", "score (median [range] n)", "quality", f"RMSE to {BALANCED}", "worst", "told less true"),
    )
    section = Section("Automatic quality", [table])
    for format in FORMATS:
        asked = Settings.parse({"format": format, "auto_quality": "balanced"})
        results = [optimize(picture.upload(format), asked) for picture in bench.photos]
        scores = bench.scorer.score(
            (picture, result.data) for picture, result in zip(bench.photos, results, strict=True)
        )
        rmse = sqrt(mean((score - BALANCED) ** 2 for score in scores))
        worst = max(abs(score - BALANCED) for score in scores)
        told = [
            result.similarity - score
            for result, score in zip(results, scores, strict=True)
            if result.similarity is not None
        ]
        qualities = [result.quality for result in results if result.quality is not None]
        table.rows.append(
            (format, spread(scores, 1), spread(qualities, 0), f"{rmse:.2f}", f"{worst:.2f}", spread(told, 2))
        )
        section.figures |= {
            f"auto_quality, {format}: RMSE to 80": rmse,
            f"auto_quality, {format}: worst distance to 80": worst,
        }
    table = Table(
        "What the search adds to the whole job, in encodings of the whole photo",
        ("photo", *FORMATS),
    )
    section.tables.append(table)
    costs: dict[str, list[float]] = {format: [] for format in FORMATS}
    photos = {"12 MP": next(iter(pictures.large(quick=False).values()))}
    if not bench.quick:
        photos["21 MP"] = pictures.largest()
    for title, data in photos.items():
        for format in FORMATS:
            costs[format].append(_search_cost(data, format, bench.repeats))
        table.rows.append((title, *(f"{costs[format][-1]:.2f}" for format in FORMATS)))
    for format, cost in costs.items():
        for title, encodings in zip(photos, cost, strict=True):
            section.figures[f"auto_quality, {format}: search on {title}, in encodes"] = encodings
    return section


def _search_cost(data: bytes, format: str, repeats: int) -> float:
    """Return what the search takes, in encodings at the quality that it found."""
    asked = Settings.parse({"format": format, "auto_quality": "balanced"})
    quality = optimize(data, asked).quality
    fixed = Settings.parse({"format": format} | ({} if quality is None else {"quality": quality}))
    image = pictures.srgb(pillow.open(BytesIO(data))).convert("RGB")
    with_search = timed(partial(_optimized, data, asked), repeats).seconds
    without = timed(partial(_optimized, data, fixed), repeats).seconds
    return (with_search - without) / timed(partial(_encoded, image, fixed), repeats).seconds


def _optimized(data: bytes, settings: Settings) -> bytes:
    return optimize(data, settings).data


def _encoded(image: Image, settings: Settings) -> bytes:
    return ENCODERS[settings.format].encode(image, settings)[0]


def target_bytes(bench: Bench) -> Section:
    """Measure how near below a size the results land, and in how many encodings."""
    photos = bench.photos[:PHOTOS_WITH_TARGETS]
    table = Table(
        f"`target_bytes` on {len(photos)} photos, {len(SHARES)} targets each, from "
        f"{SHARES[0]:.0%} to {SHARES[-1]:.0%} of the bytes at quality 90",
        (
            *("format", "within 2 % below", "above", "said to be reached", "bytes for one of the target"),
            *("encodings", "time in encodings"),
        ),
    )
    section = Section("Target size", [table])
    for format in FORMATS:
        landed, told, above = 0, 0, 0
        shares, encodings, times = [], [], []
        for picture in photos:
            data = picture.upload(format)
            high = Settings.parse({"format": format, "quality": 90})
            whole = len(optimize(data, high).data)
            one = timed(partial(_encoded, picture.image, high), 1)
            for share in SHARES:
                target = round(whole * share)
                settings = Settings.parse({"format": format, "target_bytes": target})
                with counted(format) as calls:
                    result = optimize(data, settings)
                size = len(result.data) / target
                landed += 0.98 <= size <= 1
                above += size > 1
                told += result.target_reached is True
                shares.append(size)
                encodings.append(len(calls))
                times.append(timed(partial(_optimized, data, settings), 1).seconds / one.seconds)
        of = len(shares)
        table.rows.append(
            (
                *(format, f"{landed} of {of}", str(above), f"{told} of {of}", spread(shares)),
                *(f"{mean(encodings):.1f}, at most {max(encodings)}", spread(times, 1)),
            )
        )
        # The search may use a part of the encoder that is not counted here; then time has to tell.
        most = max(encodings) if max(encodings) > 1 else median(times)
        section.figures[f"target_bytes, {format}: most encodes"] = most
        if not bench.quick:
            section.figures[f"target_bytes, {format}: within 2 % below, of 48"] = landed * 48 / of
    return section


@contextmanager
def counted(format: str) -> Iterator[list[None]]:
    """Collect the calls of a format's encoder in a list."""
    module: Any = ENCODERS[format]
    calls: list[None] = []
    original = module.encode

    def encode(*arguments: Any, **options: Any) -> Any:
        calls.append(None)
        return original(*arguments, **options)

    module.encode = encode
    try:
        yield calls
    finally:
        module.encode = original


def never_larger(bench: Bench) -> Section:
    """Count the files of the corpus that grow at the highest quality."""
    table = Table("Files that grew", ("file", "bytes", "became"))
    section = Section("Never larger", [table])
    highest = Settings.parse({"quality": 100})
    files = 0
    for path in sorted(CORPUS.iterdir()):
        data = path.read_bytes()
        if path.suffix == ".md" or (bench.quick and len(data) > 300_000):
            continue
        try:
            open_source(data).load()
        except Problem:
            continue  # what is refused has no result
        files += 1
        result = optimize(data, highest)
        if len(result.data) > len(data):
            table.rows.append((path.name, str(len(data)), str(len(result.data))))
    table.caption = f"{len(table.rows)} of {files} files of the corpus grew at quality 100"
    section.figures["Never larger: files that grew"] = len(table.rows)
    return section
