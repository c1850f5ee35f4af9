"""What `make bench` finds: sections of tables, the bars that the figures have to meet, and how both are written."""

import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any


@dataclass(frozen=True)
class Bar:
    """What a figure has to be."""

    figure: str
    bound: float
    comparison: str = "<="

    def judge(self, figures: dict[str, float]) -> tuple[str, str]:
        """Return what was measured and the verdict."""
        if self.figure not in figures:
            return "-", "not measured"
        measured = figures[self.figure]
        met = {"<=": operator.le, ">=": operator.ge}[self.comparison](measured, self.bound)
        return f"{measured:.3g}", "PASS" if met else "FAIL"


JOBS = [f"{percent} % {format}" for format in ("jpeg", "webp") for percent in (50, 20)]
BARS = (
    Bar("JPEG at 80: bytes to Pillow's", 0.80),
    Bar("JPEG at 70: bytes to sharp mozjpeg's", 0.95),
    Bar("JPEG at 80: bytes to sharp mozjpeg's", 0.92),
    Bar("JPEG at 90: bytes to sharp mozjpeg's", 0.94),
    Bar("JPEG at 70, 80, 90: bytes to sharp mozjpeg's, the worst photo", 1.03),
    Bar("JPEG at 80: encode time to sharp mozjpeg's", 0.167),
    Bar("WebP photos at 80: bytes to sharp's", 1.00),
    Bar("WebP graphics at 80 where lossless wins: bytes to sharp's", 0.85),
    Bar("PNG lossless photos: total bytes to Pillow's", 0.90),
    Bar("PNG lossless graphics: total bytes to Pillow's", 0.83),
    Bar("PNG lossless photos: time to Pillow's", 4),
    Bar("PNG palette photos: bytes to lossless", 0.32),
    Bar("PNG palette photos: score", 70, ">="),
    Bar("PNG palette photos: time to sharp palette's", 1),
    Bar("PNG palette graphics: bytes to lossless", 0.36),
    Bar("PNG palette graphics: score", 82, ">="),
    Bar("PNG palette graphics: time to sharp palette's", 1),
    Bar("PNG palette: seconds for 4 MP of random RGBA", 5),
    *(
        bar
        for job in JOBS
        for bar in (
            Bar(f"Whole job, {job}: time to sharp's", 0.8),
            Bar(f"Whole job, {job}: bytes to sharp's", 1),
            Bar(f"Whole job, {job}: score less sharp's", 0, ">="),
        )
    ),
    *(
        bar
        for format in ("jpeg", "webp")
        for bar in (
            Bar(f"auto_quality, {format}: RMSE to 80", 1.6),
            Bar(f"auto_quality, {format}: worst distance to 80", 5),
            Bar(f"auto_quality, {format}: search on 12 MP, in encodes", 4),
            Bar(f"auto_quality, {format}: search on 21 MP, in encodes", 4),
            Bar(f"target_bytes, {format}: within 2 % below, of 48", 46, ">="),
            Bar(f"target_bytes, {format}: most encodes", 5),
        )
    ),
    Bar("Never larger: files that grew", 0),
    Bar("Worker: ms more than in process, the worst size", 30),
    Bar("Memory: 24 MP JPEG to JPEG, MB", 300),
    Bar("Memory: 50 MP JPEG to JPEG, MB", 700),
    Bar("Memory: 50 MP RGBA to WebP, MB", 2048),
)


@dataclass
class Table:
    """Rows under a header, with a sentence on what they are."""

    caption: str
    header: Sequence[str]
    rows: list[Sequence[str]] = field(default_factory=list)

    def markdown(self) -> str:
        lines = [self.caption, "", _row(self.header), "|" + "---|" * len(self.header), *map(_row, self.rows)]
        return "\n".join(lines)


@dataclass
class Section:
    """A part of the benchmark: its tables, the figures that bars are about, and what to draw of it."""

    title: str
    tables: list[Table] = field(default_factory=list)
    figures: dict[str, float] = field(default_factory=dict)
    plots: list[dict[str, Any]] = field(default_factory=list)

    def markdown(self) -> str:
        parts = [f"## {self.title}", *(table.markdown() for table in self.tables)]
        parts += [f"![{plot['title']}]({plot['file']})" for plot in self.plots]
        return "\n\n".join(parts)


def bars_table(figures: dict[str, float], *, all_of_them: bool) -> tuple[Table, bool]:
    """Return the verdicts, and whether every bar is met.

    Without `all_of_them`, a bar whose figure was not measured is left out instead of failing.
    """
    table = Table("Every bar is on the product:", ("bar", "measured", "bound", ""))
    met = True
    for bar in BARS:
        measured, verdict = bar.judge(figures)
        if verdict == "not measured" and not all_of_them:
            continue
        met = met and verdict == "PASS"
        table.rows.append((bar.figure, measured, f"{bar.comparison} {bar.bound:g}", verdict))
    return table, met


def spread(values: Iterable[float], digits: int = 3) -> str:
    """Return the median, the extremes and how many there are."""
    found = sorted(values)
    if not found:
        return "-"
    less = max(0, digits - 1)
    return f"{median(found):.{digits}f} [{found[0]:.{less}f} to {found[-1]:.{less}f}] {len(found)}"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
