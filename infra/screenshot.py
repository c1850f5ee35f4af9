"""Takes the README's screenshot of the running product; `make screenshot` runs it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

from infra.setup import BROWSERS
from optimizer.imaging.pipeline import optimize
from optimizer.settings import Settings

ROOT = Path(__file__).parent.parent
PHOTO = ROOT / "tests" / "corpus" / "photo-canyon-orient6-gps.jpg"  # CC0
PORT = "5099"


def main() -> None:
    """Serve the product, drop a photo on its page, and save what a person sees, made smaller by the product itself."""
    browser_path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)))
    product = subprocess.Popen(
        [sys.executable, "-m", "infra.local"],
        env=os.environ | {"PORT": PORT},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert product.stdout
    try:
        address = product.stdout.readline().split()[-1]
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            page.goto(address)
            page.set_input_files("input[type=file]", PHOTO)
            page.get_by_text("Web, small").click()
            page.get_by_role("link", name="Download").wait_for()
            page.wait_for_timeout(2_000)  # fades end, fonts settle
            result = optimize(page.screenshot(), Settings(format="webp"))
            (ROOT / "docs" / "screenshot.webp").write_bytes(result.data)
            browser.close()
    finally:
        product.terminate()
        product.wait()


if __name__ == "__main__":
    main()
