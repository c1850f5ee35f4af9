"""Every state that the page can be in, each with the steps that bring a new visit there; each looks that it has.

The tests run axe on all of them, `make audit` counts what it finds, and `make screenshot` takes pictures of some.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urljoin

from playwright.sync_api import Browser

from tests.browser.visit import HANGING_MS, PHOTO, Sent, Visit, corpus, expect, picture

Step = Callable[[Visit], None]

SERVER = {"RATE_LIMIT": "10000 per minute"}  # so that no state meets the limit but the one that is about it
CLIP = Sent("clip.gif", b"GIF89a")
# Their names here are such as people give, and all may be shown anywhere (CC0).
CANYON = Sent("canyon.jpg", corpus(PHOTO).data)
TULIPS = Sent("tulips.png", corpus("photo-tulips-alpha.png").data)
DASHBOARD = Sent("dashboard.png", corpus("screenshot-dashboard.png").data)
BENCH = Sent("bench.png", corpus("photo-bench-icc-brg-orient5.png").data)

# In the page, since a request that is held outside tells no progress, and has to be let go in the end.
STALL_UPLOADS = """() => {
    XMLHttpRequest.prototype.send = function () {
        this.upload.dispatchEvent(new ProgressEvent('progress', { lengthComputable: true, loaded: 62, total: 100 }));
    };
}"""

STALL_RESULTS = """() => {
    const send = window.fetch;
    window.fetch = (url, options) => url.endsWith('/optimize') ? new Promise(() => {}) : send(url, options);
}"""


@contextmanager
def visit_in(state: str, browser: Browser, url: str, **options: Any) -> Iterator[Visit]:
    """Yield a new visit that is in this state; `options` are those of the browser's context."""
    context = browser.new_context(**{"viewport": {"width": 1440, "height": 900}} | options)
    context.set_default_timeout(HANGING_MS)
    visit = Visit(context.new_page()).open(url)
    for step in STATES[state]:
        step(visit)
    yield visit
    context.close()


def empty(visit: Visit) -> None:
    expect(visit.button("Choose images")).to_be_visible()


def dragging(visit: Visit) -> None:
    visit.drag(picture())
    expect(visit.page.get_by_text("Drop to add")).to_be_visible()


def uploading(visit: Visit) -> None:
    visit.page.evaluate(STALL_UPLOADS)
    visit.drop(CANYON)
    expect(visit.result).to_contain_text("Uploading 62%")
    expect(visit.before).to_be_visible()


def ready(visit: Visit) -> None:
    visit.drop(picture())
    visit.expect_done()
    visit.page.get_by_role("checkbox", name="Live preview").uncheck()
    visit.drop(CANYON)
    expect(visit.result).to_contain_text("Ready")
    expect(visit.button("Optimize")).to_be_visible()


def optimizing(visit: Visit) -> None:
    visit.page.evaluate(STALL_RESULTS)
    visit.drop(CANYON)
    expect(visit.result).to_contain_text("Optimizing")
    expect(visit.before).to_be_visible()


def done(visit: Visit) -> None:
    visit.drop(CANYON)
    visit.expect_done()
    visit.choose("Web, small")
    expect(visit.link).to_have_attribute("download", "canyon.webp")
    visit.expect_done()
    expect(visit.page.get_by_role("radio", name="Split")).to_be_checked()


def side(visit: Visit) -> None:
    visit.choose("Side by side")
    expect(visit.page.get_by_role("radio", name="Side by side")).to_be_checked()


def zoomed(visit: Visit) -> None:
    visit.button("Zoom in").click()
    visit.button("Zoom in").click()
    expect(visit.button("Fit")).to_be_hidden()


def estimate(visit: Visit) -> None:
    visit.draft_slider("Brightness", 24)
    expect(visit.result).to_contain_text("estimate")


def larger(visit: Visit) -> None:
    visit.drop(corpus("photo-tulips-alpha-lossy.webp"))
    visit.expect_done()
    visit.choose("PNG")
    expect(visit.page.get_by_text("% larger. Try a lower quality or another format")).to_be_attached()
    expect(visit.result.locator("strong")).to_contain_text("+")


def found(visit: Visit) -> None:
    visit.drop(CANYON)
    visit.expect_done()
    visit.page.get_by_role("combobox", name="Auto quality").select_option("High")
    visit.page.get_by_role("spinbutton", name="Target size").fill("1")
    visit.page.keyboard.press("Tab")
    expect(visit.result).to_contain_text("1 KB is out of reach")
    visit.expect_done()


def error(visit: Visit) -> None:
    visit.drop(CLIP)
    expect(visit.trouble).to_contain_text("clip.gif is not supported. Use JPEG, PNG or WebP.")


def refused(visit: Visit) -> None:
    visit.expected.append("422")
    visit.drop(corpus("bad-truncated.jpg"))
    expect(visit.trouble).to_contain_text("damaged")


def rate_limited(visit: Visit) -> None:
    visit.expected.append("429")
    visit.page.route("**/optimize", lambda route: route.fulfill(status=429, headers={"Retry-After": "60"}))
    visit.set_slider("Quality", 60)
    expect(visit.notice).to_contain_text("Continues by itself in")
    expect(visit.after).to_be_visible()


def offline(visit: Visit) -> None:
    visit.expected.append("ERR_INTERNET_DISCONNECTED")
    visit.page.context.set_offline(True)
    visit.set_slider("Quality", 60)
    expect(visit.page.locator("#offline")).to_be_visible()
    expect(visit.after).to_be_visible()


def batch(visit: Visit) -> None:
    visit.drop(CANYON, TULIPS, DASHBOARD)
    expect(visit.badges).to_have_count(3)
    visit.choose("Web, small")
    visit.page.get_by_role("button", name="Optimize all").click()
    expect(visit.page.get_by_role("button", name="Download all 3 images")).to_be_visible()
    expect(visit.page.get_by_role("button", name="Optimize all")).to_be_hidden()
    visit.page.evaluate(STALL_UPLOADS)
    visit.drop(BENCH, CLIP)
    expect(visit.tiles.nth(3)).to_contain_text("uploading, 62%")
    expect(visit.tiles.nth(4)).to_contain_text("Not supported")
    visit.tiles.first.click()
    visit.expect_done()


def naming(visit: Visit) -> None:
    visit.button("Save current").click()
    expect(visit.page.get_by_role("textbox", name="Name of the preset")).to_be_focused()


def undo(visit: Visit) -> None:
    visit.page.keyboard.type("My blog")
    visit.page.keyboard.press("Enter")
    visit.button("Delete preset My blog").click()
    expect(visit.button("Undo")).to_be_visible()


def shortcuts(visit: Visit) -> None:
    visit.page.keyboard.press("?")
    expect(visit.page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()


def privacy(visit: Visit) -> None:
    visit.page.goto(urljoin(visit.page.url, "privacy.html"))
    expect(visit.page.get_by_text("30 minutes", exact=True).first).to_be_visible()


def german(visit: Visit) -> None:
    visit.page.get_by_role("combobox", name="Language").select_option("de")
    expect(visit.page.get_by_role("button", name="Bilder auswählen")).to_be_visible()
    visit.drop(CANYON, TULIPS)
    expect(visit.badges).to_have_count(2)


STATES: dict[str, tuple[Step, ...]] = {
    "empty": (empty,),
    "dragging": (empty, dragging),
    "uploading": (uploading,),
    "ready": (ready,),
    "optimizing": (optimizing,),
    "done": (done,),
    "side": (done, side),
    "zoomed": (done, zoomed),
    "estimate": (done, estimate),
    "larger": (larger,),
    "found": (found,),
    "error": (empty, error),
    "refused": (empty, refused),
    "rate-limited": (done, rate_limited),
    "offline": (done, offline),
    "batch": (batch,),
    "naming": (done, naming),
    "undo": (done, naming, undo),
    "shortcuts": (done, shortcuts),
    "privacy": (privacy,),
    "german": (german,),
}
