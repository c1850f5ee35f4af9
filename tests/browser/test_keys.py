"""The keyboard: every shortcut that the page's dialog lists, and when they keep out of the way."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from playwright.sync_api import Locator

from tests.browser.visit import Visit, expect, picture

MODIFIERS = ["Control", "Alt", "Meta"]

# Written by the browser itself, so that the paste is a real one.
COPY_PICTURE = """async () => {
    const canvas = new OffscreenCanvas(64, 48);
    canvas.getContext('2d').fillRect(8, 8, 16, 16);
    await navigator.clipboard.write([new ClipboardItem({ 'image/png': await canvas.convertToBlob() })]);
}"""


def dialog(visit: Visit) -> Locator:
    return visit.page.get_by_role("dialog", name="Keyboard shortcuts")


def view(visit: Visit) -> Locator:
    return visit.page.locator("#stage .view")


def mode(visit: Visit) -> Locator:
    return visit.page.locator("#stage [name=mode]:checked")


def zoom_label(visit: Visit) -> Locator:
    return visit.page.locator("#stage .zoom")


def handle(visit: Visit) -> Locator:
    """Return the slider, also where it is hidden."""
    return visit.page.locator("#stage .handle input")


def expect_handle(visit: Visit, before: int) -> None:
    expect(handle(visit)).to_have_attribute("aria-valuetext", f"{before}% before, {100 - before}% after")


def expect_current(visit: Visit, index: int) -> None:
    expect(visit.tiles.nth(index)).to_have_attribute("aria-current", "true")


def press(visit: Visit, *keys: str) -> None:
    for key in keys:
        visit.page.keyboard.press(key)


def open_two(visit: Visit) -> None:
    visit.drop(picture("one.png", (320, 240)), picture("two.png"))
    expect(visit.badges).to_have_count(2)
    visit.expect_done()
    expect(mode(visit)).to_have_value("split")


def choose(visit: Visit, key: str) -> None:
    with visit.page.expect_file_chooser() as chooser:
        visit.page.evaluate("0")  # the browser listens for choosers by then; a key is quicker than that otherwise
        press(visit, key)
    assert chooser.value.is_multiple()
    assert chooser.value.element.get_attribute("webkitdirectory") is None


def choose_folder(visit: Visit, key: str) -> None:
    with visit.page.expect_file_chooser() as chooser:
        visit.page.evaluate("0")  # the browser listens for choosers by then; a key is quicker than that otherwise
        press(visit, key)
    assert chooser.value.element.get_attribute("webkitdirectory") is not None


def paste(visit: Visit, key: str) -> None:
    visit.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    visit.page.evaluate(COPY_PICTURE)
    press(visit, key)
    expect(visit.badges).to_have_count(3)
    expect_current(visit, 2)


def previous(visit: Visit, key: str) -> None:
    visit.tiles.nth(1).click()
    for _ in range(2):  # the first stays the first
        press(visit, key)
        expect_current(visit, 0)
        expect(visit.tiles.nth(0)).to_be_focused()


def following(visit: Visit, key: str) -> None:
    for _ in range(2):
        press(visit, key)
        expect_current(visit, 1)
        expect(visit.tiles.nth(1)).to_be_focused()


def remove(visit: Visit, key: str) -> None:
    press(visit, key)
    expect(visit.tiles).to_have_count(1)
    expect(visit.tiles.nth(0)).to_contain_text("two.png")
    expect(visit.tiles.nth(0)).to_be_focused()
    visit.button("Undo").click()
    expect(visit.badges).to_have_count(2)
    assert [name.split(".")[0] for name in visit.page.locator("#strip .name").all_inner_texts()] == ["one", "two"]
    expect_current(visit, 0)
    visit.expect_done()
    assert (visit.uploads(), visit.calls.count("POST /api/discard")) == (3, 1)


def divide(before: int) -> Callable[[Visit, str], None]:
    def check(visit: Visit, key: str) -> None:
        press(visit, "b")
        handle(visit).evaluate("(slider) => { slider.value = 30; }")
        press(visit, key)
        expect_handle(visit, before)
        expect(mode(visit)).to_have_value("split")

    return check


def compare(name: str, other: str) -> Callable[[Visit, str], None]:
    def check(visit: Visit, key: str) -> None:
        press(visit, other, key)
        expect(mode(visit)).to_have_value(name)
        expect(visit.page.locator("#stage")).to_have_attribute("data-mode", name)

    return check


def move_handle(visit: Visit, left: str, right: str) -> None:
    handle(visit).focus()
    for key, before in {right: 51, "PageUp": 61, left: 60, "PageDown": 50, "Home": 0, "End": 100}.items():
        press(visit, key)
        expect_handle(visit, before)


def zoom_in(visit: Visit, *keys: str) -> None:
    for key, label in zip(keys, ("180%", "270%"), strict=True):
        press(visit, key)
        expect(zoom_label(visit)).to_have_text(label)


def zoom_out(visit: Visit, key: str) -> None:
    press(visit, "=", key)
    expect(zoom_label(visit)).to_have_text("Fit")


def fit(visit: Visit, key: str) -> None:
    press(visit, "=", "=", key)
    expect(zoom_label(visit)).to_have_text("Fit")


def toggle_zoom(visit: Visit, key: str) -> None:
    for label in ("100%", "Fit"):
        press(visit, key)
        expect(zoom_label(visit)).to_have_text(label)


def place(visit: Visit) -> tuple[float, float]:
    box = visit.after.bounding_box()
    assert box
    return box["x"], box["y"]


def pan(visit: Visit, left: str, right: str, up: str, down: str) -> None:
    press(visit, "=", "=", "=", "=")
    view(visit).focus()
    # The picture goes the other way, so that more of that side is seen.
    for key, x, y in ((left, 1, 0), (right, -1, 0), (up, 0, 1), (down, 0, -1)):
        before = place(visit)
        press(visit, key)
        after = place(visit)
        assert (after[0] - before[0], after[1] - before[1]) == pytest.approx((64 * x, 64 * y), abs=0.1)
    press(visit, *[left] * 30)
    frame = visit.page.get_by_role("figure", name="After").bounding_box()
    assert frame
    assert place(visit)[0] == pytest.approx(frame["x"], abs=0.1)  # and leaves no gap


def hold(visit: Visit, key: str) -> None:
    for name in ("s", "a"):
        press(visit, name)
        view(visit).focus()
        visit.page.keyboard.down(key)
        expect(visit.after).to_be_hidden()
        expect(visit.before).to_be_visible()
        visit.page.keyboard.up(key)
        expect(visit.after).to_be_visible()


def download(visit: Visit, key: str) -> None:
    with visit.page.expect_download() as started:
        press(visit, key)
    assert started.value.suggested_filename == "one.png"


def download_all(visit: Visit, key: str) -> None:
    with visit.page.expect_download() as started:
        press(visit, key)
    assert started.value.suggested_filename == "pinch.zip"


def reset(visit: Visit, key: str) -> None:
    quality = visit.slider("Quality")
    usual = quality.input_value()
    visit.set_slider("Quality", 40)
    press(visit, key)
    expect(quality).to_have_value(usual)
    visit.button("Undo").click()
    expect(quality).to_have_value("40")


def open_help(visit: Visit, key: str) -> None:
    press(visit, key)
    expect(dialog(visit)).to_be_visible()


def close_help(visit: Visit, key: str) -> None:
    visit.tiles.nth(1).focus()
    press(visit, "Shift+Slash")
    expect(dialog(visit)).to_be_visible()
    press(visit, key)
    expect(dialog(visit)).to_be_hidden()
    expect(visit.tiles.nth(1)).to_be_focused()


@dataclass(frozen=True)
class Row:
    """A row of the dialog: what it says, its keys as they are written there and as they are pressed, and their test."""

    title: str
    keys: dict[str, str]
    check: Callable[..., None]


ROWS = [
    Row("Choose images", {"O": "o"}, choose),
    Row("Choose a folder", {"Shift O": "Shift+O"}, choose_folder),
    Row("Paste images", {"Ctrl V": "Control+v"}, paste),
    Row("Previous image", {"[": "["}, previous),
    Row("Next image", {"]": "]"}, following),
    Row("Remove the image", {"Delete": "Delete"}, remove),
    Row("All of Before", {"1": "1"}, divide(100)),
    Row("Half and half", {"2": "2"}, divide(50)),
    Row("All of After", {"3": "3"}, divide(0)),
    Row("Split", {"S": "s"}, compare("split", "b")),
    Row("Side by side", {"B": "b"}, compare("side", "s")),
    Row("After", {"A": "a"}, compare("after", "s")),
    Row("Move the handle that has the focus", {"←": "ArrowLeft", "→": "ArrowRight"}, move_handle),
    Row("Zoom in", {"+": "Shift+Equal", "=": "Equal"}, zoom_in),
    Row("Zoom out", {"-": "-"}, zoom_out),
    Row("Fit", {"0": "0"}, fit),
    Row("Fitted or 100%", {"Z": "z"}, toggle_zoom),
    Row("Move the image that has the focus",
        {"←": "ArrowLeft", "→": "ArrowRight", "↑": "ArrowUp", "↓": "ArrowDown"}, pan),
    Row("Hold on the image: show Before", {"Space": "Space"}, hold),
    Row("Download", {"D": "d"}, download),
    Row("Download all", {"Shift D": "Shift+D"}, download_all),
    Row("Reset the settings", {"R": "r"}, reset),
    Row("Show these shortcuts", {"?": "Shift+Slash"}, open_help),
    Row("Close", {"Esc": "Escape"}, close_help),
]  # fmt: skip
ALONE = (paste, remove)  # these leave other images behind
# What a single key does anywhere; the others need the focus, or close what is open.
SINGLE = [key for row in ROWS[:-1] if row.check not in (paste, move_handle, pan, hold) for key in row.keys.values()]


def test_every_shortcut_that_the_dialog_lists_is_tested_here(visit: Visit) -> None:
    visit.button("Keyboard shortcuts").click()
    rows = dialog(visit).locator("dl > div")
    expect(rows.first).to_be_visible()

    listed = rows.evaluate_all(
        """(rows) => rows.map((row) => [
            row.querySelector('dd').textContent, [...row.querySelectorAll('kbd')].map((key) => key.textContent)])"""
    )

    assert listed == [[row.title, list(row.keys)] for row in ROWS]


@pytest.mark.parametrize("row", [row for row in ROWS if row.check in ALONE], ids=lambda row: row.title)
def test_a_shortcut_for_files_does_what_the_dialog_says(visit: Visit, row: Row) -> None:
    open_two(visit)

    row.check(visit, *row.keys.values())


def test_every_other_shortcut_does_what_the_dialog_says(visit: Visit) -> None:
    open_two(visit)

    for row in ROWS:
        if row.check not in ALONE:
            print(row.title)  # which one it was that failed
            visit.tiles.nth(0).click()
            press(visit, "s", "0", "2")
            expect_handle(visit, 50)
            visit.expect_done()
            row.check(visit, *row.keys.values())
            press(visit, "Escape")
            expect(dialog(visit)).to_be_hidden()


@dataclass
class Watch:
    """Notes what keys set off."""

    visit: Visit
    happened: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.visit.page.on("filechooser", lambda _: self.happened.append("chooser"))
        self.visit.page.on("download", lambda _: self.happened.append("download"))

    def state(self) -> list[object]:
        visit = self.visit
        shown = (mode(visit), zoom_label(visit), handle(visit), visit.page.locator("#strip"))
        of_page = "() => [location.hash, document.querySelector('#toast').hidden]"
        return [*(each.evaluate("(one) => one.outerHTML") for each in shown), visit.page.evaluate(of_page)]

    @contextmanager
    def nothing_happens(self) -> Iterator[None]:
        before = self.state()
        yield
        expect(dialog(self.visit)).to_be_hidden()
        assert self.state() == before
        assert self.happened == []


def test_single_keys_are_letters_and_digits_where_something_is_typed(visit: Visit) -> None:
    open_two(visit)
    number = visit.page.get_by_role("spinbutton", name="Max. width")
    number.focus()
    with Watch(visit).nothing_happens():
        press(visit, *SINGLE)
    expect(number).to_be_focused()
    number.fill("")

    visit.button("Save current").click()
    name = visit.page.get_by_role("textbox", name="Name of the preset")
    expect(name).to_be_focused()
    with Watch(visit).nothing_happens():
        press(visit, *(key for key in SINGLE if key != "Delete"))

    expect(name).to_have_value("oO[]123sba+=-0zdDr?")
    with Watch(visit).nothing_happens():
        press(visit, "Home", "Delete")
    expect(name).to_have_value("O[]123sba+=-0zdDr?")


def test_single_keys_choose_in_a_select(visit: Visit) -> None:
    watch = Watch(visit)
    visit.page.get_by_role("combobox", name="Language").focus()

    press(visit, "o", "Shift+Slash")
    visit.button("Choose images").focus()
    press(visit, "Shift+Slash")  # answered after those before it

    expect(dialog(visit)).to_be_visible()
    assert watch.happened == []
    press(visit, "Escape")
    expect(visit.button("Choose images")).to_be_focused()


def test_single_keys_with_another_held_are_left_to_the_browser(visit: Visit) -> None:
    open_two(visit)

    for held in MODIFIERS:
        with Watch(visit).nothing_happens():
            press(visit, *(f"{held}+{key}" for key in SINGLE))


def test_arrows_on_the_image_with_a_key_held_are_left_to_the_browser(visit: Visit) -> None:
    open_two(visit)
    press(visit, "=", "=", "=", "=")
    before = place(visit)
    view(visit).focus()
    visit.page.evaluate("() => addEventListener('keydown', (event) => { window.taken = event.defaultPrevented; })")

    for held in MODIFIERS:
        press(visit, f"{held}+ArrowLeft")

        assert visit.page.evaluate("() => window.taken") is False
        assert place(visit) == before


def test_single_keys_do_nothing_behind_the_open_dialog(visit: Visit) -> None:
    open_two(visit)
    with Watch(visit).nothing_happens():
        press(visit, "Shift+Slash")
        expect(dialog(visit)).to_be_visible()

        press(visit, *SINGLE)
        visit.page.evaluate("() => document.activeElement.blur()")
        press(visit, *SINGLE)

        press(visit, "Escape")


def test_single_keys_can_be_switched_off_for_good_and_on_again(visit: Visit) -> None:
    visit.button("Keyboard shortcuts").click()
    dialog(visit).get_by_text("Single-key shortcuts").click()
    press(visit, "Escape")
    expect(visit.button("Keyboard shortcuts")).to_be_focused()

    for again in (False, True):
        if again:
            visit.page.reload()
        open_two(visit)
        with Watch(visit).nothing_happens():
            press(visit, *SINGLE)
    visit.button("Keyboard shortcuts").click()
    expect(dialog(visit).get_by_role("checkbox", name="Single-key shortcuts")).not_to_be_checked()
    dialog(visit).get_by_text("Single-key shortcuts").click()
    visit.button("Close").click()
    press(visit, "b")

    expect(mode(visit)).to_have_value("side")


def test_what_needs_the_focus_works_with_single_keys_switched_off(visit: Visit) -> None:
    visit.page.evaluate("() => localStorage.setItem('pinch.keys', 'false')")
    visit.page.reload()
    open_two(visit)

    move_handle(visit, "ArrowLeft", "ArrowRight")
    view(visit).focus()
    visit.page.keyboard.down("Space")

    expect(visit.after).to_be_hidden()


@pytest.mark.parametrize("row", [row for row in ROWS if row.check in (choose, choose_folder, open_help)],
                         ids=lambda row: row.title)  # fmt: skip
def test_the_first_key_on_the_empty_page_works_although_its_code_is_loaded_only_then(visit: Visit, row: Row) -> None:
    loaded = "() => performance.getEntriesByType('resource').filter(({ name }) => /editor/.test(name)).length"
    # A browser may tell a new page where the pointer of the last one rests, which is a sign of life as well.
    visit.page.add_init_script("addEventListener('pointermove', (event) => event.stopImmediatePropagation(), true)")
    visit.page.reload()
    expect(visit.page.locator("#formats .later")).to_have_count(0)
    assert visit.page.evaluate(loaded) == 0

    row.check(visit, *row.keys.values())

    assert visit.page.evaluate(loaded) > 0


def test_keys_for_an_image_do_nothing_without_one(visit: Visit) -> None:
    visit.drop(picture())
    visit.expect_done()
    press(visit, "Delete")
    expect(visit.button("Choose images")).to_be_focused()

    with Watch(visit).nothing_happens():
        press(visit, "d", "Shift+D", "Delete", "[", "]", "=", "0", "z")

    visit.button("Undo").click()
    visit.expect_done()
    expect(visit.tiles).to_have_count(1)


def test_the_focus_goes_to_the_next_thumbnail_and_at_the_end_to_the_last(visit: Visit) -> None:
    visit.drop(*[picture(f"{number}.png") for number in range(4)])
    expect(visit.badges).to_have_count(4)
    visit.tiles.nth(1).click()

    for focused in ("2.png", "3.png", "0.png"):
        press(visit, "Delete")
        expect(visit.page.locator(".thumb:focus")).to_contain_text(focused)
        expect(visit.page.locator(".thumb[aria-current=true]")).to_contain_text(focused)
    press(visit, "Delete")

    expect(visit.button("Choose images")).to_be_focused()


def test_the_first_tab_offers_to_skip_to_the_settings(visit: Visit) -> None:
    visit.drop(picture())
    visit.expect_done()
    skip = visit.page.get_by_role("link", name="Skip to settings")

    press(visit, "Tab")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    press(visit, "Enter")
    expect(visit.page.locator("#settings")).to_be_focused()
    press(visit, "Tab")

    expect(visit.page.locator("#settings :focus")).to_have_count(1)
    expect(skip).not_to_be_in_viewport()
