"""Takes the README's screenshot of the running product; `make screenshot` runs it."""

import os
import subprocess
import sys
from pathlib import Path

from infra.browser import chromium
from optimizer.imaging.pipeline import optimize
from optimizer.settings import Settings

ROOT = Path(__file__).parent.parent
PHOTO = ROOT / "tests" / "corpus" / "photo-canyon-orient6-gps.jpg"  # CC0
PORT = "5099"


def main() -> None:
    """Serve the product, drop a photo on its page, and save what a person sees, made smaller by the product itself."""
    product = subprocess.Popen(
        [sys.executable, "-m", "infra.local"],
        env=os.environ | {"PORT": PORT},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert product.stdout
    try:
        address = product.stdout.readline().split()[-1]
        with chromium() as browser:
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            page.goto(address)
            page.set_input_files("input[type=file]", PHOTO)
            page.get_by_text("Web, small").click()
            page.get_by_role("link", name="Download").wait_for()
            page.wait_for_timeout(2_000)  # fades end, fonts settle
            result = optimize(page.screenshot(), Settings(format="webp"))
            (ROOT / "docs" / "screenshot.webp").write_bytes(result.data)
    finally:
        product.terminate()
        product.wait()


if __name__ == "__main__":
    main()
