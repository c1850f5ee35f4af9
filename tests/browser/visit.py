"""One visit to the page, with the gestures and the observations that the tests share."""

import base64
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, overload
from urllib.parse import urlsplit

from PIL import Image
from playwright.sync_api import APIRequestContext, Locator, Page, Request, Route
from playwright.sync_api import expect as expect_once
from playwright.sync_api._generated import LocatorAssertions, PageAssertions

CORPUS = Path(__file__).parent.parent / "corpus"
PHOTO = "photo-canyon-orient6-gps.jpg"  # a real photo: turned by EXIF, with GPS, serial number, MakerNote and XMP
SMALL = "small.png"
LOGO = "graphic-logo-alpha.png"

# Only against hanging: no test waits that long for anything that comes.
HANGING_MS = 60_000
LOOK_MS = 200
MOST_ASKED = 10_000

# Files are made in the page and handed over in the event, as the browser does for a real drop or paste.
HAND_OVER = """([kind, files]) => {
    const transfer = new DataTransfer();
    for (const [name, text, size] of files) {
        const head = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
        const padding = new Uint8Array(Math.max(size - head.length, 0));
        transfer.items.add(new File([head, padding], name));
    }
    const event = kind === 'paste'
        ? new ClipboardEvent(kind, { clipboardData: transfer, bubbles: true, cancelable: true })
        : new DragEvent(kind, { dataTransfer: transfer, bubbles: true, cancelable: true });
    (document.activeElement ?? document.body).dispatchEvent(event);
}"""


@dataclass(frozen=True)
class Sent:
    """A file as the user has it; `size` pads it with zeros."""

    name: str
    data: bytes
    size: int = 0


def corpus(name: str) -> Sent:
    return Sent(name, (CORPUS / name).read_bytes())


def picture(name: str = SMALL, size: tuple[int, int] = (96, 64)) -> Sent:
    """Make a picture that takes the server no time: noise of 64 colours, for which it needs to look for no palette."""
    file = BytesIO()
    image = Image.effect_noise(size, 40).quantize(4).convert("L")
    Image.merge("RGBA", [image, image.rotate(180), image.rotate(90, expand=False), image.point(lambda _: 255)]).save(
        file, "PNG"
    )
    return Sent(name, file.getvalue())


class _Patiently:
    """Looks again and again whether it is so: Playwright itself soon does that every half second only."""

    def __init__(self, assertions: LocatorAssertions | PageAssertions) -> None:
        self._assertions = assertions

    def __getattr__(self, name: str) -> Any:
        check = getattr(self._assertions, name)

        def look(*args: Any, **options: Any) -> Any:
            __tracebackhide__ = True
            # Counted rather than timed: where the machine is slow, so is each look.
            for _ in range(HANGING_MS // LOOK_MS):
                try:
                    return check(*args, **options, timeout=LOOK_MS)
                except AssertionError as error:
                    failure = error
            raise failure

        return look


@overload
def expect(actual: Locator) -> LocatorAssertions: ...
@overload
def expect(actual: Page) -> PageAssertions: ...
def expect(actual: Any) -> Any:
    """Expect it of the page, as soon as the page gets there."""
    return _Patiently(expect_once(actual))


def wait_until(is_so: Callable[[], bool]) -> None:
    """Ask a server until it is so."""
    # Counted rather than timed: where the machine is slow, so is each answer.
    for _ in range(MOST_ASKED):
        if is_so():
            return
    raise AssertionError("it never came about")


@dataclass
class Visit:
    """A page that notes every call to the API and everything that went wrong in it."""

    page: Page
    calls: list[str] = field(default_factory=list)  # "POST /api/uploads", with ids as <id>; "POST S3" for any key
    problems: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)  # parts of console messages that the test provokes

    def __post_init__(self) -> None:
        self.page.add_init_script(
            "document.addEventListener('securitypolicyviolation',"
            " (event) => console.error('policy', event.violatedDirective, event.blockedURI, event.sample))"
        )
        self.page.on("console", lambda message: self._note(message.type, message.text))
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("request", self._count)

    def _note(self, kind: str, text: str) -> None:
        if kind in ("error", "warning") and not any(part in text for part in self.expected):
            self.problems.append(f"{kind}: {text}")

    def _count(self, request: Request) -> None:
        if request.url.startswith("blob:"):
            return
        path = re.sub("[0-9a-f]{32}", "<id>", urlsplit(request.url).path)
        self.calls.append(f"{request.method} {'S3' if path.startswith('/pinch-temp') else path}")

    def open(self, url: str) -> "Visit":
        self.page.goto(url)
        expect(self.page.locator("#formats .later")).to_have_count(0)  # the API has answered
        return self

    def drop(self, *files: Sent) -> None:
        self._hand_over("drop", files)

    def drop_paths(self, *paths: Path) -> None:
        """Drop files and folders of this machine, as the desktop does."""
        client = self.page.context.new_cdp_session(self.page)
        data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            client.send("Input.dispatchDragEvent", {"type": kind, "x": 200, "y": 300, "data": data})

    def paste(self, *files: Sent) -> None:
        self._hand_over("paste", files)

    def drag(self, *files: Sent) -> None:
        self._hand_over("dragover", files)

    def _hand_over(self, kind: str, files: tuple[Sent, ...]) -> None:
        sent = [(each.name, base64.b64encode(each.data).decode(), each.size) for each in files]
        self.page.evaluate(HAND_OVER, [kind, sent])

    def set_slider(self, name: str, value: int) -> None:
        """Move a slider as a pointer does: several inputs, one change at the end."""
        self.slider(name).evaluate(
            """(slider, value) => {
                for (const step of [value + 2, value + 1, value]) {
                    slider.value = step;
                    slider.dispatchEvent(new Event('input', { bubbles: true }));
                }
                slider.dispatchEvent(new Event('change', { bubbles: true }));
            }""",
            value,
        )

    def draft_slider(self, name: str, value: int) -> None:
        """Move a slider as far as a pointer that has not let go of it."""
        self.slider(name).evaluate(
            "(slider, value) => { slider.value = value; slider.dispatchEvent(new Event('input', { bubbles: true })); }",
            value,
        )

    def hold_slider(self, name: str, part: float) -> None:
        """Drag a slider to this part of its length and keep the button down."""
        self.move_slider(name, 0.5)
        self.page.mouse.down()
        self.move_slider(name, part)

    def move_slider(self, name: str, part: float) -> None:
        """Move the pointer over the slider, to this part of its length."""
        box = self.slider(name).bounding_box()
        assert box
        self.page.mouse.move(box["x"] + box["width"] * part, box["y"] + box["height"] / 2, steps=2)

    def slider(self, name: str) -> Locator:
        return self.page.get_by_role("slider", name=name, exact=False)

    def optimizes(self) -> int:
        return self.calls.count("POST /api/uploads/<id>/optimize")

    @property
    def request(self) -> APIRequestContext:
        """Calls that the page does not make."""
        return self.page.context.request

    def uploads(self) -> int:
        return self.calls.count("POST S3")

    @contextmanager
    def answer(self) -> Iterator[dict[str, Any]]:
        """Give the next result that the API answers with, filled in when the block ends."""
        result: dict[str, Any] = {}
        with self.page.expect_response(re.compile("/optimize$")) as waiting:
            yield result
        assert waiting.value.status == 200, waiting.value.text()
        result.update(waiting.value.json())

    @contextmanager
    def held(self, pattern: str = "**/optimize") -> Iterator[None]:
        """Keep such requests from the server until the block ends."""
        routes: list[Route] = []
        released = False

        def hold(route: Route) -> None:
            if released:
                route.continue_()
            else:
                routes.append(route)

        # Never unrouted: a request that is on its way to the handler then would be continued twice.
        self.page.route(pattern, hold)
        yield
        released = True
        for route in routes:
            route.continue_()

    @property
    def badges(self) -> Locator:
        """What each finished image gained."""
        return self.page.locator("#strip b:not(:empty)")

    @property
    def after(self) -> Locator:
        """The picture in the After pane."""
        return self.page.get_by_role("figure", name="After").get_by_role("img")

    @property
    def before(self) -> Locator:
        return self.page.get_by_role("figure", name="Before").get_by_role("img")

    @property
    def tiles(self) -> Locator:
        return self.page.locator("#strip .thumb")

    @property
    def result(self) -> Locator:
        return self.page.get_by_role("group", name="Result")

    @property
    def trouble(self) -> Locator:
        return self.page.locator("#stage").get_by_role("alert")

    @property
    def notice(self) -> Locator:
        """The countdown of a pause."""
        return self.page.locator("#pause")

    def choose(self, label: str) -> None:
        """Choose a format or a preset."""
        self.page.locator("label").get_by_text(label, exact=True).click()

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)

    def expect_done(self) -> None:
        """Wait until the selected image has a result with the settings of now."""
        expect(self.link).not_to_have_attribute("aria-disabled", "true")
        expect(self.after).to_be_visible()

    @property
    def link(self) -> Locator:
        return self.result.get_by_role("link", name="Download")

    def download(self) -> tuple[str, bytes]:
        with self.page.expect_download() as started:
            self.link.click()
        return started.value.suggested_filename, started.value.path().read_bytes()
