"""Takes the pictures of README.md and docs/page.md of the running product; `make screenshot` runs it."""

from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, Page

from infra.browser import chromium
from infra.docs import DOCS, SCREENS
from optimizer.imaging.pipeline import optimize
from optimizer.settings import Settings
from tests.browser.axe import THEMES
from tests.browser.states import visit_in
from tests.product import running

FOLDER = DOCS / "screens"
DESKTOP = Settings(format="webp", quality=70, width=720)
PHONE = Settings(format="webp", quality=70, width=390)
SETTLED_MS = 1_000  # fades end, pictures are decoded


def main() -> None:
    """Save what a person sees, made smaller by the product itself."""
    FOLDER.mkdir(exist_ok=True)
    with chromium() as browser:
        save(take("done", "light", browser), DOCS / "screenshot.webp", Settings(format="webp"))
        for state, kind in SCREENS:
            settings = PHONE if kind.endswith("-phone") else DESKTOP
            save(take(state, kind, browser), FOLDER / f"{state}-{kind}.webp", settings)


def take(state: str, kind: str, browser: Browser) -> bytes:
    """Return a PNG of the page in this state; `kind` is a theme, with `-phone` for a small screen."""
    (theme,) = (each for each in THEMES if each == kind.removesuffix("-phone"))
    phone = {"device_scale_factor": 2, "has_touch": True, "is_mobile": True} if kind.endswith("-phone") else {}
    # A product for each picture, so that none meets the limit of another.
    with running() as (_, url), visit_in(state, browser, f"{url}/", **phone) as visit:
        if phone:
            # The steps are made on a large screen, since a small one hides some of their buttons.
            visit.page.set_viewport_size({"width": 390, "height": 844})
        return shot(visit.page, theme)


def shot(page: Page, theme: Literal["light", "dark"]) -> bytes:
    """Return a PNG of the page in this theme."""
    page.emulate_media(color_scheme=theme)
    page.mouse.move(0, 0)  # over nothing that would change under it
    page.wait_for_timeout(SETTLED_MS)
    return page.screenshot()


def save(picture: bytes, path: Path, settings: Settings) -> None:
    path.write_bytes(optimize(picture, settings).data)


if __name__ == "__main__":
    main()
