"""Takes the README's pictures of the running product; `make screenshot` runs it."""

from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, Page

from infra.browser import chromium
from infra.readme import SCREENS
from optimizer.imaging.pipeline import optimize
from optimizer.settings import Settings
from tests.browser.axe import THEMES
from tests.browser.states import visit_in
from tests.product import running

DOCS = Path(__file__).parent.parent / "docs"
FOLDER = DOCS / "screens"
DESKTOP = Settings(format="webp", quality=70, width=720)
PHONE = Settings(format="webp", quality=70, width=390)
SETTLED_MS = 1_000  # fades end, pictures are decoded


def main() -> None:
    """Save what a person sees in each state, made smaller by the product itself."""
    FOLDER.mkdir(exist_ok=True)
    with chromium() as browser:
        for state in SCREENS:
            with running() as (_, url):  # one for each state, so that none meets the limit of another
                take(state, browser, f"{url}/")


def take(state: str, browser: Browser, url: str) -> None:
    """Take the state in both themes, on a large screen and on a phone."""
    with visit_in(state, browser, url) as visit:
        for theme in THEMES:
            picture = shot(visit.page, theme)
            save(picture, FOLDER / f"{state}-{theme}.webp", DESKTOP)
            if (state, theme) == ("done", "light"):
                save(picture, DOCS / "screenshot.webp", Settings(format="webp"))
    # The steps are made on a large screen, since a small one hides some of their buttons.
    with visit_in(state, browser, url, device_scale_factor=2, has_touch=True, is_mobile=True) as visit:
        visit.page.set_viewport_size({"width": 390, "height": 844})
        for theme in THEMES:
            save(shot(visit.page, theme), FOLDER / f"{state}-{theme}-phone.webp", PHONE)


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
