"""Runs axe-core, a test tool under MPL-2.0 that npm installs, on the page as it is."""

import json
from itertools import product
from typing import Any, Literal

from infra.setup import NODE_MODULES
from tests.browser.visit import Visit

PACKAGE = NODE_MODULES / "axe-core"
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
WIDTHS = {1440: 900, 390: 844}  # with their heights

RUN = "async (tags) => (await axe.run({ runOnly: tags, resultTypes: ['violations'] })).violations"


def version() -> str:
    package: dict[str, str] = json.loads((PACKAGE / "package.json").read_text())
    return package["version"]


def violations(visit: Visit, whole: bool = True) -> list[str]:
    """Return a text for each element that breaks a rule: where, which rule, and why.

    The whole is every width in every theme; else each of them once.
    """
    if not visit.page.evaluate("'axe' in window"):
        visit.page.evaluate((PACKAGE / "axe.min.js").read_text())
    found = []
    for width, theme in product(WIDTHS, THEMES) if whole else zip(WIDTHS, THEMES, strict=True):
        visit.page.set_viewport_size({"width": width, "height": WIDTHS[width]})
        # Reduced motion: a colour on its way from one theme to the other is nobody's.
        visit.page.emulate_media(color_scheme=theme, reduced_motion="reduce")
        broken: list[dict[str, Any]] = visit.page.evaluate(RUN, TAGS)
        found += [
            f"{theme}, {width} px: {rule['id']} at {' '.join(map(str, node['target']))}: {node['failureSummary']}"
            for rule in broken
            for node in rule["nodes"]
        ]
    return found
