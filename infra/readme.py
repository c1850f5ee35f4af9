"""Writes the tables of README.md and SECURITY.md from where they are declared or kept; `make format` runs it."""

import json
import re
from pathlib import Path
from typing import Any

from infra import cost
from optimizer import limits
from optimizer.config import Config
from optimizer.imaging.encoders import ENCODERS
from optimizer.settings import PROPERTIES

README = Path(__file__).parent.parent / "README.md"
SECURITY = README.parent / "SECURITY.md"
AUDIT = README.parent / "docs" / "audit.json"
AUDITED = (
    *("performance", "accessibility", "best practices", "SEO", "LCP", "TBT", "CLS", "bytes"),
    *("longest task in a drag", "axe violations"),
)
# The states of the page that the README shows, in its words.
SCREENS = {
    "empty": "The start",
    "done": "A result",
    "estimate": "While a slider moves",
    "batch": "Several images",
    "rate-limited": "At the limit",
    "offline": "Offline",
}


def with_tables(text: str) -> str:
    """Return the text with the tables of now."""
    tables = {
        "limits": limits_table(),
        "screens": screens_table(),
        "settings": settings_table(),
        "costs": cost.table(cost.kept_results()),
        "audit": audit_table(json.loads(AUDIT.read_text())),
    }
    for name, made in tables.items():
        section = rf"(?<=<!-- {name}: made by `make format` -->\n).*?(?=<!-- end -->)"
        text = re.sub(section, made.replace("\\", r"\\") + "\n", text, count=1, flags=re.DOTALL)
    return text


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
    """Return a row of pictures for each state."""
    rows = ["| | light | dark | on a phone | |", "|---|---|---|---|---|"]
    for state, title in SCREENS.items():
        kinds = ("light", "dark", "light-phone", "dark-phone")
        pictures = [
            f'<img alt="{title}, {kind.replace("-", ", on a ")}" height="170" src="docs/screens/{state}-{kind}.webp">'
            for kind in kinds
        ]
        rows.append(f"| {' | '.join([title, *pictures])} |")
    return "\n".join(rows)


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
    for path in (README, SECURITY):
        path.write_text(with_tables(path.read_text()))
