"""Draws the plots of docs/benchmarks.md as SVG: `python plots.py <folder>`, with a JSON list of them on stdin.

Runs in .tools/bench-python, so nothing of the project can be imported here.
"""

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from matplotlib import rcParams, ticker

# White, so that it can be read on a light and on a dark page; the same file for the same numbers.
rcParams.update({"figure.facecolor": "white", "svg.fonttype": "none", "svg.hashsalt": "pinch", "font.size": 10})
rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.25})
rcParams.update({"font.family": "sans-serif", "font.sans-serif": ["Arial", "Helvetica", "DejaVu Sans"]})
COLORS = ("#d6336c", "#1971c2", "#e8850c", "#2b8a3e", "#7048e8", "#495057", "#0c8599")
MARKERS = "osD^vPX"


def draw(plot: dict[str, Any], folder: Path) -> None:
    """Draw lines, points or bars of named series of [x, y]."""
    figure, axes = plt.subplots(figsize=(8.4, 4.2), layout="constrained")
    series = plot["series"]
    for index, (name, values) in enumerate(series.items()):
        color, marker = COLORS[index % len(COLORS)], MARKERS[index % len(MARKERS)]
        xs, ys = zip(*values, strict=True) if values else ((), ())
        if plot["kind"] == "bars":
            width = 0.8 / len(series)
            places = [place + (index - (len(series) - 1) / 2) * width for place in range(len(xs))]
            axes.bar(places, ys, width, label=name, color=color)
            axes.set_xticks(range(len(xs)), xs)
            axes.grid(visible=False, axis="x")
            continue
        thick = 2.4 if index == 0 else 1.4
        line = "-" if plot["kind"] == "lines" else ""
        axes.plot(xs, ys, linestyle=line, marker=marker, color=color, label=name, linewidth=thick, markersize=6)
    if plot.get("log_x"):
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(ticker.FormatStrFormatter("%g"))
        axes.xaxis.set_minor_formatter(ticker.NullFormatter())
    axes.set_title(plot["title"], loc="left")
    axes.set_xlabel(plot["x"])
    axes.set_ylabel(plot["y"])
    figure.legend(frameon=False, fontsize=8.5, loc="outside right upper")
    figure.savefig(folder / plot["file"], metadata={"Date": None})
    plt.close(figure)


if __name__ == "__main__":
    for each in json.load(sys.stdin):
        draw(each, Path(sys.argv[1]))
