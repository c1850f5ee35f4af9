"""Encoders beside their peers: lossy ones at equal score, PNG lossless and in 256 colours."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import exp, isfinite, log
from pathlib import Path
from random import Random
from statistics import median

from PIL import Image as pillow
from PIL.Image import Quantize

from tests.bench.pictures import Picture, save
from tests.bench.report import Section, Table, spread
from tests.bench.scores import Scorer
from tests.bench.stacks import OURS, PILLOW, Encode, Peer, ours, pillow_encoder, pillow_palette

TARGETS = (60, 70, 80, 90)
TIMED_AT = 80
EXACT = 99.9
JPEG_QUALITIES = (35, 55, 70, 80, 87, 92, 95, 98)  # halved chroma needs the highest for a score of 90
WEBP_QUALITIES = (30, 50, 65, 76, 84, 89, 93, 97)
SHARP, MOZJPEG, JSQUASH = "sharp", "sharp mozjpeg", "@jsquash"
EFFORT_6, MEDIAN_CUT = "sharp effort 6, smartSubsample", "Pillow mediancut"
# At effort 6 libwebp packs the alpha plane as slowly as it can, 40 s a megapixel; the median cut knows no alpha.
OPAQUE_ONLY = frozenset([EFFORT_6, MEDIAN_CUT])


@dataclass
class Bench:
    """What the sections measure with."""

    quick: bool
    folder: Path
    node: Peer
    vips: Peer
    scorer: Scorer
    photos: list[Picture]
    graphics: list[Picture]

    @property
    def repeats(self) -> int:
        return 1 if self.quick else 3

    def qualities(self, every: Sequence[int]) -> Sequence[int]:
        return every[1::2] if self.quick else every


@dataclass(frozen=True)
class Point:
    """One result of a stack."""

    quality: int
    bytes: int
    score: float

    @property
    def exact(self) -> bool:
        """Whether no pixel looks different. A lossless file may lose the colours of what is fully transparent."""
        return self.score >= EXACT


@dataclass
class Curve:
    """What a stack makes of a picture over its qualities."""

    points: list[Point]
    seconds: float = float("inf")  # of the encoding that scores about TIMED_AT

    def bytes_at(self, score: float) -> float | None:
        """Return the bytes at this score, log-interpolated; None when that would be a guess.

        A result that is exact reaches every score, so that fewer bytes than it has are taken from others only.
        """
        exact = min((point.bytes for point in self.points if point.exact), default=None)
        between = self._between(score)
        if between is None:
            return exact
        low, high, share = between
        found = exp(log(low.bytes) + share * (log(high.bytes) - log(low.bytes)))
        return found if exact is None else min(found, exact)

    def quality_at(self, score: float) -> int | None:
        """Return the quality at this score, likewise; of an exact result the one nearest to the middle."""
        between = self._between(score)
        if between is None:
            exact = [point.quality for point in self.points if point.exact]
            return exact[len(exact) // 2] if exact else None
        low, high, share = between
        return round(low.quality + share * (high.quality - low.quality))

    def _between(self, score: float) -> tuple[Point, Point, float] | None:
        lossy = sorted((point for point in self.points if not point.exact), key=lambda point: point.quality)
        for low, high in pairwise(lossy):
            if low.score <= score <= high.score and low.score < high.score:
                return low, high, (score - low.score) / (high.score - low.score)
        return None


Curves = dict[str, list[Curve]]  # by stack, a curve for each picture


def draw_curves(bench: Bench, pictures: list[Picture], stacks: dict[str, Encode], qualities: Sequence[int]) -> Curves:
    """Encode every picture by every stack at every quality, score all of it, then time what scores TIMED_AT."""
    plan = [
        (name, picture, quality)
        for picture in pictures
        for name in stacks
        for quality in qualities
        if name not in OPAQUE_ONLY or picture.image.mode == "RGB"
    ]
    made = [stacks[name](picture, quality, 0).data for name, picture, quality in plan]
    scored = bench.scorer.score((picture, data) for (_, picture, _), data in zip(plan, made, strict=True))
    curves: Curves = {name: [Curve([]) for _ in pictures] for name in stacks}
    places = {id(picture): place for place, picture in enumerate(pictures)}
    for (name, picture, quality), data, score in zip(plan, made, scored, strict=True):
        curves[name][places[id(picture)]].points.append(Point(quality, len(data), score))
    for place, picture in enumerate(pictures):
        for _ in range(bench.repeats):  # in turn, so that noise meets all of them
            for name, encode in stacks.items():
                curve = curves[name][place]
                timed_at = curve.quality_at(TIMED_AT)
                if timed_at is not None:
                    curve.seconds = min(curve.seconds, encode(picture, timed_at, 1).seconds)
    return curves


def ratios(curves: Curves, stack: str, baseline: str, score: float) -> list[float]:
    """Return the bytes of the stack for a byte of the baseline, for each picture that both bring to this score."""
    pairs = [
        (mine.bytes_at(score), theirs.bytes_at(score))
        for mine, theirs in zip(curves[stack], curves[baseline], strict=True)
    ]
    return [mine / theirs for mine, theirs in pairs if mine and theirs]


def time_ratios(curves: Curves, stack: str, baseline: str) -> list[float]:
    """Return the encode times at TIMED_AT for one of the baseline, likewise."""
    pairs = zip(curves[stack], curves[baseline], strict=True)
    return [
        mine.seconds / theirs.seconds for mine, theirs in pairs if isfinite(mine.seconds) and isfinite(theirs.seconds)
    ]


def equal_score_tables(curves: Curves, pictures: list[Picture], what: str, baselines: Sequence[str]) -> list[Table]:
    """Return the bytes at each target as ratios to each baseline, and the encode times at TIMED_AT."""
    tables = []
    for baseline in baselines:
        table = Table(
            f"{what} ({len(pictures)}): bytes at equal score, for a byte of {baseline} (median [range] n)",
            ("stack", *(f"at {target}" for target in TARGETS)),
        )
        for name in curves:
            table.rows.append((name, *(spread(ratios(curves, name, baseline, target)) for target in TARGETS)))
        tables.append(table)
    table = Table(
        f"{what}: encode time and quality at a score of {TIMED_AT}",
        ("stack", f"time for one of {baselines[0]}", "ms/MP", "quality"),
    )
    for name, own in curves.items():
        rates = [
            curve.seconds * 1_000 / picture.megapixels
            for curve, picture in zip(own, pictures, strict=True)
            if isfinite(curve.seconds)
        ]
        qualities = [found for curve in own if (found := curve.quality_at(TIMED_AT)) is not None]
        times = spread(time_ratios(curves, name, baselines[0]), 2)
        table.rows.append((name, times, spread(rates, 1), spread(qualities, 0)))
    return [*tables, table]


def plots(curves: Curves, pictures: list[Picture], what: str, baseline: str) -> list[dict[str, object]]:
    """Return what to draw: bytes over score, and bytes over time."""
    slug = what.partition(" ")[0].lower()
    scores = range(54, 93, 4)
    lines = {}
    points = {}
    for name, own in curves.items():
        found = [(score, ratios(curves, name, baseline, score)) for score in scores]
        # Half of the pictures at the least: the median of a few says more of them than of the stack.
        lines[name] = [(score, median(each)) for score, each in found if len(each) * 2 >= len(pictures)]
        rates = [
            curve.seconds * 1_000 / picture.megapixels
            for curve, picture in zip(own, pictures, strict=True)
            if isfinite(curve.seconds)
        ]
        at_80 = ratios(curves, name, baseline, TIMED_AT)
        points[name] = [(median(rates), median(at_80))] if rates and at_80 else []
    y = f"bytes for a byte of {baseline}"
    return [
        {"file": f"benchmark-{slug}.svg", "kind": "lines", "title": f"{what}: bytes at equal score", "x": "SSIMULACRA2"}
        | {"y": y, "series": lines},
        {"file": f"benchmark-{slug}-time.svg", "kind": "points", "title": f"{what}: time and bytes at a score of 80"}
        | {"x": "ms per megapixel", "y": y, "series": points, "log_x": True},
    ]


def jpeg(bench: Bench) -> Section:
    """Measure JPEG on photos."""
    stacks: dict[str, Encode] = {
        OURS: ours("jpeg"),
        PILLOW: pillow_encoder("jpeg"),
        "Pillow optimize, progressive": pillow_encoder("jpeg", optimize=True, progressive=True),
        SHARP: bench.node.encoder(SHARP, "jpeg"),
        MOZJPEG: bench.node.encoder(MOZJPEG, "jpeg"),
        "@jsquash/jpeg": bench.node.encoder(JSQUASH, "jpeg"),
        "pyvips": bench.vips.encoder("pyvips", "jpeg"),
    }
    curves = draw_curves(bench, bench.photos, stacks, bench.qualities(JPEG_QUALITIES))
    section = Section("JPEG", equal_score_tables(curves, bench.photos, "JPEG photos", (PILLOW, MOZJPEG)))
    section.plots = plots(curves, bench.photos, "JPEG photos", PILLOW)
    figures = section.figures
    if found := ratios(curves, OURS, PILLOW, 80):
        figures["JPEG at 80: bytes to Pillow's"] = median(found)
    worst = []
    for target in (70, 80, 90):
        if found := ratios(curves, OURS, MOZJPEG, target):
            figures[f"JPEG at {target}: bytes to sharp mozjpeg's"] = median(found)
            worst.append(max(found))
    if worst:
        figures["JPEG at 70, 80, 90: bytes to sharp mozjpeg's, the worst photo"] = max(worst)
    if times := time_ratios(curves, OURS, MOZJPEG):
        figures["JPEG at 80: encode time to sharp mozjpeg's"] = median(times)
    return section


def webp(bench: Bench) -> Section:
    """Measure WebP on photos and on graphics."""
    stacks: dict[str, Encode] = {
        OURS: ours("webp"),
        PILLOW: pillow_encoder("webp", method=4),
        SHARP: bench.node.encoder(SHARP, "webp"),
        EFFORT_6: bench.node.encoder("sharp effort 6", "webp"),
        "@jsquash/webp": bench.node.encoder(JSQUASH, "webp"),
    }
    section = Section("WebP")
    qualities = bench.qualities(WEBP_QUALITIES)
    curves = draw_curves(bench, bench.photos, stacks, qualities)
    section.tables += equal_score_tables(curves, bench.photos, "WebP photos", (PILLOW, SHARP))
    section.plots = plots(curves, bench.photos, "WebP photos", PILLOW)
    if found := ratios(curves, OURS, SHARP, 80):
        section.figures["WebP photos at 80: bytes to sharp's"] = median(found)

    curves = draw_curves(bench, bench.graphics, stacks, qualities)
    section.tables += equal_score_tables(curves, bench.graphics, "WebP graphics", (PILLOW, SHARP))
    # By Pillow, so that it is not the product that chooses what it is judged on.
    lossless = [len(save(picture.image, "WEBP", lossless=True, quality=50, method=2)) for picture in bench.graphics]
    compared = [
        (own.bytes_at(80), theirs.bytes_at(80), size)
        for own, theirs, size in zip(curves[OURS], curves[SHARP], lossless, strict=True)
    ]
    wins = [own / theirs for own, theirs, size in compared if own and theirs and size < theirs]
    table = Table(
        "WebP graphics of which a lossless file is smaller than sharp's at 80: bytes at 80, for a byte of sharp",
        ("stack", "bytes"),
        [(OURS, spread(wins))],
    )
    section.tables.append(table)
    if wins:
        section.figures["WebP graphics at 80 where lossless wins: bytes to sharp's"] = median(wins)
    return section


def png(bench: Bench) -> Section:
    """Measure PNG with every pixel kept."""
    stacks: dict[str, Encode] = {
        OURS: ours("png", lossless=True),
        PILLOW: pillow_encoder("png"),
        "Pillow optimize": pillow_encoder("png", optimize=True),
        SHARP: bench.node.encoder(SHARP, "png"),
        "sharp compressionLevel 9, adaptiveFiltering": bench.node.encoder("sharp max", "png"),
        "@jsquash/oxipng 2": bench.node.encoder(JSQUASH, "png"),
    }
    section = Section("PNG, lossless")
    for what, pictures in (("photos", bench.photos), ("graphics", bench.graphics)):
        made = {
            name: [encode(picture, 100, min(2, bench.repeats)) for picture in pictures]
            for name, encode in stacks.items()
        }
        table = Table(
            f"PNG {what} ({len(pictures)}), for one of {PILLOW} (median [range] n)",
            ("stack", "bytes", "all bytes", "time", "ms/MP"),
        )
        for name, own in made.items():
            pairs = list(zip(own, made[PILLOW], strict=True))
            sizes = [mine.size / theirs.size for mine, theirs in pairs]
            total = sum(each.size for each in own) / sum(each.size for each in made[PILLOW])
            times = [mine.seconds / theirs.seconds for mine, theirs in pairs]
            rates = [each.seconds * 1_000 / picture.megapixels for each, picture in zip(own, pictures, strict=True)]
            table.rows.append((name, spread(sizes), f"{total:.3f}", spread(times, 2), spread(rates, 0)))
            if name == OURS:
                section.figures[f"PNG lossless {what}: total bytes to Pillow's"] = total
                section.figures[f"PNG lossless {what}: time to Pillow's"] = median(times)
        section.tables.append(table)
    return section


def palette(bench: Bench) -> Section:
    """Measure PNG in 256 colours."""
    rival = "sharp palette"
    stacks: dict[str, Encode] = {
        OURS: ours("png"),
        rival: bench.node.encoder(rival, "png"),
        "Pillow octree": pillow_palette(Quantize.FASTOCTREE),
        MEDIAN_CUT: pillow_palette(Quantize.MEDIANCUT),
    }
    section = Section("PNG, palette")
    for what, pictures in (("photos", bench.photos), ("graphics", bench.graphics)):
        plain = [len(save(picture.image, "PNG")) for picture in pictures]
        table = Table(
            f"PNG {what} ({len(pictures)}): bytes for a byte of Pillow's lossless PNG (median [range] n)",
            ("stack", "bytes", "score", "time for one of sharp palette", "ms/MP"),
        )
        rival_seconds: list[float] = []
        for name, encode in sorted(stacks.items(), key=lambda each: each[0] != rival):
            fitting = [
                place
                for place, picture in enumerate(pictures)
                if name not in OPAQUE_ONLY or picture.image.mode == "RGB"
            ]
            made = [encode(pictures[place], 85, min(2, bench.repeats)) for place in fitting]
            scores = bench.scorer.score((pictures[place], each.data) for place, each in zip(fitting, made, strict=True))
            sizes = [each.size / plain[place] for place, each in zip(fitting, made, strict=True)]
            if name == rival:
                rival_seconds = [each.seconds for each in made]
            times = [each.seconds / rival_seconds[place] for place, each in zip(fitting, made, strict=True)]
            rates = [
                each.seconds * 1_000 / pictures[place].megapixels for place, each in zip(fitting, made, strict=True)
            ]
            table.rows.append((name, spread(sizes), spread(scores, 1), spread(times, 2), spread(rates, 0)))
            if name == OURS:
                section.figures[f"PNG palette {what}: bytes to lossless"] = median(sizes)
                section.figures[f"PNG palette {what}: score"] = median(scores)
                section.figures[f"PNG palette {what}: time to sharp palette's"] = median(times)
        section.tables.append(table)

    side = 2_000
    random = Random(1).randbytes(4 * side * side)
    noise = Picture("noise", pillow.frombytes("RGBA", (side, side), random), bench.folder)
    table = Table("4 MP of random RGBA, which no palette holds", ("stack", "seconds", "bytes a pixel"))
    for name in (OURS,) if bench.quick else (OURS, rival, "Pillow octree"):
        encoded = stacks[name](noise, 85, 1)
        table.rows.append((name, f"{encoded.seconds:.2f}", f"{encoded.size / side**2:.2f}"))
        if name == OURS:
            section.figures["PNG palette: seconds for 4 MP of random RGBA"] = encoded.seconds
    section.tables.append(table)
    return section
