"""Settings under a name, in a link, and in the memory of the browser."""

import json
from math import inf
from typing import Any
from urllib.parse import quote

from playwright.sync_api import Locator

from optimizer.settings import PRESETS, PROPERTIES
from tests.browser.conftest import OpenVisit
from tests.browser.visit import Sent, Visit, expect
from tests.images import encoded, opened, photo

SOURCE = (480, 360)
PHOTO = Sent("photo.jpg", encoded(photo(*SOURCE), "jpeg", quality=97))
EXTENSIONS = {"JPEG": "jpg", "WEBP": "webp", "PNG": "png"}


def done(visit: Visit) -> Visit:
    visit.drop(PHOTO)
    visit.expect_done()
    return visit


def form_values(visit: Visit) -> dict[str, Any]:
    """Return every setting as the form shows it."""
    shown: dict[str, Any] = visit.page.locator("#form").evaluate(
        """(form, names) => Object.fromEntries(names.map((name) => {
            const input = form.querySelector(`#s-${name}`) ?? form.querySelector(`[name=s-${name}]:checked`);
            if (input.type === 'checkbox') return [name, input.checked];
            const unit = name === 'target_bytes' ? 1000 : 1;
            const number = ['range', 'number'].includes(input.type);
            return [name, number ? (input.value === '' ? null : input.valueAsNumber * unit) : input.value];
        }))""",
        list(PROPERTIES),
    )
    return shown


def with_defaults(settings: dict[str, Any]) -> dict[str, Any]:
    return {name: schema["default"] for name, schema in PROPERTIES.items()} | settings


def own_presets(visit: Visit) -> Locator:
    return visit.page.locator("#presets .own label")


def name_it(visit: Visit, name: str) -> None:
    visit.page.get_by_role("textbox", name="Name of the preset").fill(name)
    visit.page.keyboard.press("Enter")


def save(visit: Visit, name: str, quality: int) -> None:
    visit.set_slider("Quality", quality)
    visit.button("Save current").click()
    name_it(visit, name)
    expect(visit.page.get_by_role("radio", name=name, exact=True)).to_be_checked()


def apply(visit: Visit, name: str, quality: int) -> None:
    visit.choose("Balanced")
    visit.choose(name)
    expect(visit.slider("Quality")).to_have_value(str(quality))


def test_every_built_in_preset_sets_the_form_and_makes_what_it_says(visit: Visit) -> None:
    done(visit)
    visit.choose(PRESETS[-1]["title"])  # so that the first one changes something
    for preset in PRESETS:
        expect_made(visit, preset)


def expect_made(visit: Visit, preset: dict[str, Any]) -> None:
    settings = preset["settings"]
    visit.choose(preset["title"])
    visit.expect_done()

    name, data = visit.download()

    expect(visit.page.get_by_role("radio", name=preset["title"], exact=True)).to_be_checked()
    shown = form_values(visit)
    if {"auto_quality", "target_bytes"} & set(settings):
        assert 1 <= shown.pop("quality") <= 100  # the one that was found
    assert shown == {name: value for name, value in with_defaults(settings).items() if name in shown}
    made = opened(data)
    assert name == f"photo.{EXTENSIONS[str(made.format)]}"
    if settings.get("format") == "smallest":
        assert len(data) < len(PHOTO.data) / 2
    else:
        assert made.format == settings.get("format", "jpeg").upper()
    assert len(data) <= settings.get("target_bytes", inf)
    scale = min(1, settings.get("width", SOURCE[0]) / SOURCE[0], settings.get("height", SOURCE[1]) / SOURCE[1])
    assert made.size == tuple(round(side * scale) for side in SOURCE)


def test_a_preset_is_renamed_in_its_place_to_any_text_and_keeps_its_settings(visit: Visit) -> None:
    name = "<img src=x onerror=alert(1)>"
    done(visit)
    save(visit, "First", 31)
    save(visit, "Second", 32)
    rename = visit.button("Rename")

    visit.choose("First")
    rename.click()
    expect(visit.page.get_by_role("textbox", name="Name of the preset")).to_have_value("First")
    name_it(visit, name)

    expect(own_presets(visit)).to_have_text([name, "Second"])
    expect(rename).to_be_focused()
    visit.page.reload()
    done(visit)
    expect(own_presets(visit)).to_have_text([name, "Second"])
    apply(visit, name, 31)
    visit.choose("Balanced")
    expect(rename).to_be_hidden()
    visit.expect_done()


def test_a_preset_takes_the_place_of_the_one_that_had_its_name(visit: Visit) -> None:
    done(visit)
    save(visit, "First", 31)
    save(visit, "Second", 32)

    save(visit, "First", 33)
    expect(own_presets(visit)).to_have_text(["First", "Second"])
    apply(visit, "First", 33)
    visit.choose("Second")
    visit.button("Rename").click()
    name_it(visit, "First")

    expect(own_presets(visit)).to_have_text(["First"])
    apply(visit, "First", 32)
    visit.expect_done()


def test_a_refused_name_and_a_deletion_that_is_undone_leave_the_presets_as_they_were(visit: Visit) -> None:
    name = visit.page.get_by_role("textbox", name="Name of the preset")
    done(visit)
    save(visit, "First", 31)
    save(visit, "Second", 32)

    visit.button("Save current").click()
    name_it(visit, "Balanced")
    assert "built-in preset" in name.evaluate("(field) => field.validationMessage")
    expect(visit.page.get_by_role("radio", name="Balanced")).to_have_count(1)
    visit.page.keyboard.press("Escape")
    expect(name).to_be_hidden()
    expect(visit.button("Save current")).to_be_focused()
    visit.button("Rename").click()
    visit.page.keyboard.press("Enter")  # it was not refused for the name before
    expect(name).to_be_hidden()
    expect(own_presets(visit)).to_have_text(["First", "Second"])

    visit.button("Delete preset First").click()
    expect(visit.page.get_by_role("status")).to_contain_text("Preset “First” deleted.")
    expect(own_presets(visit)).to_have_text(["Second"])
    visit.button("Undo").click()

    expect(own_presets(visit)).to_have_text(["First", "Second"])
    visit.expect_done()


def shared(settings: object) -> str:
    return "#s=" + quote(json.dumps(settings))


def quality_sent(visit: Visit) -> object:
    with visit.page.expect_request("**/optimize") as sent:
        visit.drop(PHOTO)
    visit.expect_done()
    return sent.value.post_data_json


def test_a_shared_link_brings_the_settings_to_the_next_visit_and_undo_brings_back_the_old_ones(
    open_visit: OpenVisit, url: str
) -> None:
    giver = done(open_visit())
    giver.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    giver.set_slider("Quality", 42)
    giver.choose("WebP")
    giver.button("Share").click()
    expect(giver.page.get_by_role("status")).to_contain_text("Link with these settings copied.")
    link = giver.page.evaluate("navigator.clipboard.readText()")
    giver.expect_done()
    assert link.startswith(f"{url}#s=")
    assert giver.page.url == url

    taker = done(open_visit())
    taker.set_slider("Quality", 60)
    taker.expect_done()
    taker.page.goto("about:blank")
    taker.open(link)

    expect(taker.page.locator("#toast")).to_contain_text("The settings from the link are in use.")
    expect(taker.page.get_by_role("status")).to_contain_text("The settings from the link are in use.")
    assert taker.page.url == url
    assert quality_sent(taker) == {"format": "webp", "quality": 42}
    taker.button("Undo").click()
    expect(taker.slider("Quality")).to_have_value("60")
    expect(taker.link).to_have_attribute("download", "photo.jpg")
    taker.expect_done()
    taker.page.reload()
    assert quality_sent(taker) == {"quality": 60}


def test_a_link_that_is_opened_in_the_running_page_changes_the_image_at_hand(visit: Visit, url: str) -> None:
    done(visit)

    visit.page.evaluate("(hash) => { location.hash = hash; }", shared({"format": "png"}))

    expect(visit.link).to_have_attribute("download", "photo.png")
    visit.expect_done()
    expect(visit.page.locator("#toast")).to_contain_text("The settings from the link are in use.")
    assert visit.page.url == url
    visit.button("Undo").click()
    expect(visit.link).to_have_attribute("download", "photo.jpg")
    visit.expect_done()


def test_a_link_with_the_defaults_brings_the_defaults(open_visit: OpenVisit, url: str) -> None:
    visit = done(open_visit())
    visit.set_slider("Quality", 60)
    visit.expect_done()

    visit.page.evaluate("(hash) => { location.hash = hash; }", shared({}))

    expect(visit.slider("Quality")).to_have_value("85")
    visit.expect_done()


KEPT = {"quality": 42}
NOTHING_OF = {
    "no JSON": "#s=%7B%22quality%22%3A",
    "bad escapes": "#s=%E0%A4%A",
    "nothing": "#s=",
    "null": shared(None),
    "a number": shared(50),
    "text": shared("quality"),
    "a list": shared([50]),
    "unknown names": shared({"qualität": 50, "toString": 1, "constructor": None}),
    "out of bounds": shared({"quality": 101, "width": 0, "sharpen": -101}),
    "no whole number": shared({"quality": 50.5}),
    "other types": shared({"quality": "50", "format": ["webp"], "lossless": 1, "background": {}, "width": True}),
    "no choice": shared({"format": "gif", "background": "url(//example.org)"}),
    "a prototype": "#s=" + quote('{"__proto__": {"quality": 50}}'),
    "other words": "#quality=50",
}


def test_a_visit_by_a_broken_link_uses_the_settings_of_the_last_one(open_visit: OpenVisit, url: str) -> None:
    visit = open_visit()
    visit.page.evaluate("(kept) => localStorage.setItem('pinch.settings', kept)", json.dumps(KEPT))
    visit.page.goto("about:blank")
    visit.open(url + NOTHING_OF["no JSON"])

    assert quality_sent(visit) == KEPT

    expect(visit.page.locator("#toast")).to_be_hidden()


def test_no_broken_or_hostile_link_changes_anything(visit: Visit, url: str) -> None:
    visit.page.evaluate("(kept) => localStorage.setItem('pinch.settings', kept)", json.dumps(KEPT))
    visit.page.reload()
    done(visit)

    for about, hash in NOTHING_OF.items():
        # The page's own listener was there first: it is done when this one is called.
        visit.page.evaluate(
            """(hash) => new Promise((resolve) => {
                addEventListener('hashchange', resolve, { once: true });
                location.hash = hash;
            })""",
            hash,
        )
        assert form_values(visit) == with_defaults(KEPT), about
        expect(visit.page.locator("#toast")).to_be_hidden()
    assert visit.optimizes() == 1


def test_of_a_link_only_what_this_server_knows_is_used(visit: Visit) -> None:
    done(visit)

    with visit.page.expect_request("**/optimize") as sent:
        visit.page.evaluate(
            "(hash) => { location.hash = hash; }",
            shared({"quality": 50, "novelty": 1, "width": 99_999, "format": ["png"]}),
        )
    visit.expect_done()

    assert sent.value.post_data_json == {"quality": 50}


def test_every_choice_is_remembered(visit: Visit) -> None:
    page = visit.page
    visit.button("Switch to dark theme").click()
    done(visit)
    visit.set_slider("Quality", 42)
    visit.choose("Side by side")
    visit.expect_done()
    page.get_by_role("checkbox", name="Live preview").uncheck()
    visit.button("Keyboard shortcuts").click()
    page.get_by_role("checkbox", name="Single-key shortcuts").uncheck()
    page.keyboard.press("Escape")
    visit.button("Delete now").click()
    page.get_by_role("combobox", name="Language").select_option("de")

    expect(visit.button("Bilder auswählen")).to_be_visible()
    page.reload()
    expect(page.get_by_role("combobox", name="Sprache")).to_have_value("de")
    expect(page.locator("html")).to_have_attribute("lang", "de")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    visit.drop(PHOTO)
    visit.button("Optimieren").click()
    expect(visit.slider("Qualität")).to_have_value("42")
    expect(page.get_by_role("checkbox", name="Live-Vorschau")).not_to_be_checked()
    expect(page.get_by_role("radio", name="Nebeneinander")).to_be_checked()
    visit.button("Tastenkürzel").click()
    expect(page.get_by_role("checkbox", name="Kürzel mit einzelnen Tasten")).not_to_be_checked()
