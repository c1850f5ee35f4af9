"""Writes the tables of README.md, SECURITY.md and docs/ from where they are declared or kept; `make format` runs it."""

import json
import re
from pathlib import Path
from typing import Any

from infra import cost
from optimizer import limits
from optimizer.config import Config
from optimizer.imaging.encoders import ENCODERS
from optimizer.settings import PROPERTIES

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
AUDIT = DOCS / "audit.json"
AUDITED = (
    *("performance", "accessibility", "best practices", "SEO", "LCP", "TBT", "CLS", "bytes"),
    *("longest task in a drag", "axe violations"),
)
# The pictures of docs/page.md: a state of the page and how it is seen, with its title.
SCREENS = {
    ("empty", "light"): "The start",
    ("estimate", "dark"): "While a slider moves, dark",
    ("batch", "light"): "Several images",
    ("done", "light-phone"): "A result on a phone",
    ("rate-limited", "dark-phone"): "At the rate limit on a phone, dark",
    ("offline", "light-phone"): "Offline on a phone",
}
SCREENS_PER_ROW = 3


def with_tables() -> dict[Path, str]:
    """Return the files that hold tables, each as it reads with the tables of now."""
    tables = {
        "limits": limits_table(),
        "screens": screens_table(),
        "settings": settings_table(),
        "costs": cost.table(cost.kept_results()),
        "audit": audit_table(json.loads(AUDIT.read_text())),
    }
    texts = {}
    for path in (ROOT / "README.md", ROOT / "SECURITY.md", *sorted(DOCS.glob("*.md"))):
        text = path.read_text()
        names = re.findall("^<!-- ([a-z]+): made by `make format` -->$", text, re.MULTILINE)
        for name in names:
            section = rf"(?<=<!-- {name}: made by `make format` -->\n).*?(?=<!-- end -->)"
            text = re.sub(section, tables[name].replace("\\", r"\\") + "\n", text, count=1, flags=re.DOTALL)
        if names:
            texts[path] = text
    return texts


def limits_table() -> str:
    """Return a row for each limit."""
    rows = {
        "upload": f"{limits.MAX_UPLOAD_BYTES // 2**20} MB",
        "pixels of a source, and of a result": f"{limits.MAX_PIXELS // 10**6} megapixels",
        "side of a result": ", ".join(
            f"{each.TITLE} {each.MAX_SIDE:,}" for each in (ENCODERS["jpeg"], ENCODERS["webp"])
        ),
        "frames of an animation": f"{limits.MAX_FRAMES:,}",
        "pixels of all frames, where it stays one": f"{limits.MAX_ANIMATION_PIXELS // 10**6} megapixels",
        "scans of a JPEG": f"{limits.MAX_SCANS}",
        "metadata": f"{limits.MAX_METADATA_BYTES // 2**20} MB",
        "segments of a JPEG; fill between them": f"{limits.MAX_SEGMENTS:,}; {limits.MAX_FILL_BYTES // 2**10} KB",
        "chunks of a PNG or WebP; those with a PNG's pixels": f"{limits.MAX_CHUNKS:,}; {limits.MAX_PIXEL_CHUNKS:,}",
        "time of one image": f"{limits.WORKER_SECONDS} seconds",
        "address space of one image": f"{limits.WORKER_BYTES // 2**20:,} MB",
        "form for an upload": f"{limits.UPLOAD_LINK_SECONDS // 60} minutes",
        "link to a result": f"{limits.DOWNLOAD_LINK_SECONDS // 60} minutes",
        "retention": f"{Config().retention_minutes} minutes",
        "requests of one address": Config().rate_limit,
    }
    return "\n".join(["| limit | |", "|---|---|", *(f"| {what} | {value} |" for what, value in rows.items())])


def screens_table() -> str:
    """Return the pictures of the page, each over its title."""
    cells = [
        f'<img alt="{title}" height="240" src="screens/{state}-{kind}.webp"><br>{title}'
        for (state, kind), title in SCREENS.items()
    ]
    rows = [" | ".join(cells[start : start + SCREENS_PER_ROW]) for start in range(0, len(cells), SCREENS_PER_ROW)]
    return "\n".join(["|" + " |" * SCREENS_PER_ROW, "|" + "---|" * SCREENS_PER_ROW, *(f"| {row} |" for row in rows)])


def audit_table(results: dict[str, Any]) -> str:
    """Return what `make audit` kept, in one row."""
    points = " | ".join(str(points) for points in results["scores"].values())
    axe, versions = results["axe"], results["versions"]
    widths = " and ".join(map(str, axe["widths"]))
    return "\n".join(
        [
            f"| {' | '.join(AUDITED)} |",
            "|" + "---|" * len(AUDITED),
            f"| {points} | {results['lcp_ms'] / 1000:.1f} s | {results['tbt_ms']:.0f} ms | {results['cls']:g} "
            f"| {results['bytes'] / 1000:.0f} KB | {results['longest_task_ms']} ms | {axe['violations']} |",
            "",
            f"Median of {results['runs']} runs of Lighthouse {versions['lighthouse']} as on a phone, and axe-core "
            f"{versions['axe']} in {axe['states']} states of the page, light and dark, {widths} pixels wide; "
            f"Chromium {versions['chromium'].partition('.')[0]}, {results['date']}.",
        ]
    )


def settings_table() -> str:
    """Return a row for each setting, from its declaration."""
    rows = ["| name | values | default | what |", "|---|---|---|---|"]
    for name, schema in PROPERTIES.items():
        rows.append(f"| `{name}` | {_values(schema)} | `{json.dumps(schema['default'])}` | {schema['description']} |")
    return "\n".join(rows)


def _values(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return " ".join(f"`{each}`" for each in schema["enum"])
    if "minimum" in schema:
        optional = " or null" if "null" in schema["type"] else ""
        return f"{schema['minimum']} to {schema['maximum']}{optional}"
    return "`#rrggbb`" if "pattern" in schema else "true, false"


if __name__ == "__main__":
    for path, text in with_tables().items():
        path.write_text(text)
