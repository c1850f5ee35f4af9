"""Browsers that lack something, German, and the files beside the page: what can work does, and the rest says why."""

import json
import re
from collections.abc import Iterator
from io import BytesIO
from typing import Any
from urllib.parse import urljoin

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, Route

from optimizer.settings import PRESETS, PROPERTIES
from tests.browser.conftest import OpenVisit
from tests.browser.test_batch import download_all
from tests.browser.test_leaving import expect_all_gone
from tests.browser.test_search import PHOTO as FLOWER
from tests.browser.visit import LOGO, Sent, Visit, corpus, expect
from tests.images import encoded, exif_bytes, opened, photo
from tests.sampling import WHOLE

PHOTO = Sent("photo.jpg", encoded(photo(), "jpeg", quality=97, exif=exif_bytes(Make="Maker", gps=True)))
NBSP = "\N{NO-BREAK SPACE}"
MINUS = "\N{MINUS SIGN}"

LACKS = {
    "Worker": "delete globalThis.Worker;",
    "OffscreenCanvas": "delete globalThis.OffscreenCanvas;",
    "an encoder for JPEG": """const { convertToBlob } = OffscreenCanvas.prototype;
        OffscreenCanvas.prototype.convertToBlob = function () {
            return convertToBlob.call(this, { type: 'image/png' });
        };""",
    "decoding": "globalThis.createImageBitmap = () => Promise.reject(new DOMException('', 'InvalidStateError'));",
    "trustedTypes": "delete globalThis.trustedTypes;",
    "clipboard": "delete Navigator.prototype.clipboard;",
    "storage": """Storage.prototype.getItem = Storage.prototype.setItem = () => {
            throw new DOMException('', 'SecurityError');
        };""",
    "sendBeacon": "delete Navigator.prototype.sendBeacon;",
    "AbortSignal.any": "delete AbortSignal.any;",
    "webkitGetAsEntry": "delete DataTransferItem.prototype.webkitGetAsEntry;",
    "webkitdirectory": "delete HTMLInputElement.prototype.webkitdirectory;",
}
NOTE_ESTIMATES = """() => {
    window.estimated = false;
    const result = document.querySelector('#settings .result');
    const note = () => { estimated ||= result.textContent.includes('estimate'); };
    new MutationObserver(note).observe(result, { subtree: true, childList: true, characterData: true });
}"""
WITHOUT_ESTIMATE = {"Worker", "OffscreenCanvas", "an encoder for JPEG", "decoding"}
OTHERS = tuple(name for name in LACKS if name not in WITHOUT_ESTIMATE)
# Each estimate has one way to be made, which any of these takes away; of the others none is in another's way.
TOGETHER = [*((name,) for name in sorted(WITHOUT_ESTIMATE)), OTHERS]


def lack(visit: Visit, *names: str) -> Visit:
    """Load the page again in a browser that lacks these, in the page and in its worker."""
    script = "".join(f"{{{LACKS[name]}}}" for name in names)
    visit.page.add_init_script(script)

    def without(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, body=script + answer.text())

    if WITHOUT_ESTIMATE & {*names}:
        visit.page.route("**/estimate-worker*.js", without)
    visit.page.reload()
    expect(visit.page.locator("#formats")).to_contain_text("25 MB")
    return visit


@pytest.mark.parametrize("names", [(name,) for name in LACKS] if WHOLE else TOGETHER, ids=", ".join)
def test_from_drop_to_download_all_works_without(open_visit: OpenVisit, names: tuple[str, ...]) -> None:
    # Where there are no trusted types, no policy asks for them.
    visit = lack(open_visit(bypass_csp="trustedTypes" in names), *names)
    can_estimate = not WITHOUT_ESTIMATE & {*names}
    visit.drop(PHOTO)
    visit.expect_done()

    visit.page.evaluate(NOTE_ESTIMATES)
    visit.draft_slider("Quality", 30)
    if can_estimate:
        expect(visit.result).to_contain_text("estimate")
    with visit.answer() as answer:
        visit.set_slider("Quality", 40)
    visit.expect_done()
    assert visit.page.evaluate("estimated") == can_estimate
    filename, data = visit.download()

    made = opened(data)
    assert (filename, made.format, made.size) == ("photo.jpg", "JPEG", (240, 160))
    assert (len(data), answer["quality"]) == (answer["bytes"], 40)
    visit.button("Delete now").click()
    expect(visit.button("Choose images")).to_be_visible()
    expect(visit.button("or a folder")).to_be_visible(visible="webkitdirectory" not in names)


def test_without_a_clipboard_the_address_is_there_to_be_copied(visit: Visit, url: str) -> None:
    lack(visit, "clipboard")
    visit.drop(PHOTO)
    visit.expect_done()
    visit.set_slider("Quality", 42)

    visit.button("Share").click()

    address = visit.page.get_by_role("textbox", name="Address with these settings")
    expect(address).to_be_focused()
    expect(address).to_have_value(re.compile(re.escape(f"{url}#s=") + ".*42"))
    assert visit.page.evaluate("String(getSelection())") == address.input_value()
    visit.set_slider("Quality", 43)
    expect(address).to_be_hidden()  # it is not that of these settings
    visit.expect_done()


def test_without_a_beacon_leaving_still_discards(visit: Visit, url: str) -> None:
    lack(visit, "sendBeacon")
    with visit.answer() as answer:
        visit.drop(PHOTO)
    visit.expect_done()

    visit.page.goto("about:blank")

    expect_all_gone(visit, url, answer)


@pytest.fixture
def scriptless(browser: Browser, url: str) -> Iterator[Page]:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(url)
    yield page
    context.close()


def test_without_javascript_a_sentence_says_so_and_nothing_pretends_to_work(scriptless: Page) -> None:
    sentence = scriptless.locator("noscript p")
    expect(sentence).to_have_text("Pinch needs JavaScript to upload your images and to show the results.")
    expect(sentence).to_be_visible()
    controls = scriptless.locator("button, select, input, [role=button]").filter(visible=True)
    expect(controls).to_have_count(0)
    scriptless.get_by_role("contentinfo").get_by_role("link").click()
    expect(scriptless.get_by_role("heading", name="What happens to an image")).to_be_visible()


# --- languages ---

Sentences = dict[str, list[str]]


@pytest.fixture(scope="module")
def sentences(browser: Browser, sources_url: str) -> Sentences:
    """Return every sentence of each language, in all its forms."""
    page = browser.new_page()
    page.goto(sources_url)
    found: Sentences = page.evaluate(
        """async () => Object.fromEntries(await Promise.all(['en', 'de'].map(async (language) => {
            const { strings } = await import(`/strings/${language}.js`);
            const forms = (entry) => typeof entry === 'string' ? [entry] : Object.values(entry);
            return [language, Object.values(strings).flatMap(forms)];
        })))"""
    )
    page.close()
    return found


SAID = """() => {
    const said = [];
    for (const element of document.querySelectorAll('body *')) {
        if (!element.checkVisibility({ visibilityProperty: true })) continue;
        for (const node of element.childNodes) if (node.nodeType === Node.TEXT_NODE) said.push(node.data);
        for (const name of ['aria-label', 'title', 'placeholder', 'alt', 'aria-valuetext']) {
            said.push(element.getAttribute(name) ?? '');
        }
    }
    return [document.title, ...said].map((text) => text.trim()).filter(Boolean);
}"""


PLACE = r"\{\w+\}"


def has_word(sentence: str) -> bool:
    """Tell whether it says anything beside what it is filled in with: the others are the same in every language."""
    return re.search(r"[A-Za-z]{2}", re.sub(PLACE, "", sentence)) is not None


def english_of(visit: Visit, sentences: Sentences) -> list[str]:
    """Return what the page says now, to eyes and ears, that is a sentence of English and none of German."""
    server = [text for each in PROPERTIES.values() for text in (each["title"], each["description"])]
    server += [each["title"] for each in PRESETS]
    foreign = {text.strip() for text in sentences["en"] + server} - {text.strip() for text in sentences["de"]}
    patterns = [re.compile(".+".join(map(re.escape, re.split(PLACE, text)))) for text in foreign if has_word(text)]
    said: list[str] = visit.page.evaluate(SAID)
    return [text for text in said if any(pattern.fullmatch(text) for pattern in patterns)]


@pytest.mark.parametrize(
    ("locale", "language", "button"),
    [
        ("en-GB", "en", "Choose images"),
        ("fr-FR", "en", "Choose images"),
        ("de-AT", "de", "Bilder auswählen"),
    ],
)
def test_the_page_speaks_the_language_of_the_browser_or_english(
    open_visit: OpenVisit, locale: str, language: str, button: str
) -> None:
    visit = open_visit(locale=locale)

    expect(visit.button(button)).to_be_visible()

    expect(visit.page.locator("html")).to_have_attribute("lang", language)
    expect(visit.page.locator("#language")).to_have_value(language)


FRAMES = """
    window.frames = [];
    const note = () => {
        frames.push(document.body?.innerText ?? '');  // without what is not visible
        requestAnimationFrame(note);
    };
    note();
"""


def test_german_is_there_from_the_first_paint(open_visit: OpenVisit) -> None:
    visit = open_visit(locale="de-DE")
    visit.page.add_init_script(FRAMES)
    late: list[Route] = []
    visit.page.route(re.compile(r"/de\b[^/]*\.js"), lambda route: late.append(route))  # noqa: PLW0108  # no built-in is taken
    visit.page.reload(wait_until="commit")
    visit.page.wait_for_function("() => frames.length > 3")
    while not late:
        visit.page.evaluate("0")  # routes arrive with any answer of the browser
    late[0].continue_()

    expect(visit.button("Bilder auswählen")).to_be_visible()
    frames = visit.page.evaluate("frames")
    assert len(late) == 1
    assert frames[0] == ""
    assert "Bilder auswählen" in frames[-1]
    assert [text for text in frames if "images" in text] == []
    expect(visit.page.locator("html")).not_to_have_attribute("data-waiting", "")
    expect(visit.page).to_have_title("Pinch: Bilder schlanker machen")


def test_no_sentence_was_left_in_english(sentences: Sentences) -> None:
    same = {text for text in {*sentences["en"]} & {*sentences["de"]} if has_word(text)}

    assert same == {"Pinch", "Pinch {version}", "Format"}


def expect_saved(visit: Visit, filename: str) -> None:
    """Wait for a result of this name, in German."""
    link = visit.page.get_by_role("link", name="Speichern")
    expect(link).to_have_attribute("download", filename)
    expect(link).not_to_have_attribute("aria-disabled", "true")


def test_what_is_said_of_images_is_all_german(open_visit: OpenVisit, sentences: Sentences) -> None:
    visit = open_visit(locale="de-DE")
    visit.expected.append("422")
    page = visit.page

    expect(visit.button("Bilder auswählen")).to_be_visible()
    assert english_of(visit, sentences) == []

    visit.drag(PHOTO)
    expect(page.get_by_text("Zum Hinzufügen ablegen")).to_be_visible()
    assert english_of(visit, sentences) == []

    visit.drop(PHOTO)
    expect_saved(visit, "photo.jpg")
    result = page.get_by_role("group", name="Ergebnis")
    expect(result.locator("strong")).to_have_text(re.compile(rf"{MINUS}\d+{NBSP}%"))
    expect(result).to_contain_text(re.compile(r"→ \d,\d KB"))
    expect(page.get_by_text("Entfernt: Kameradaten (EXIF)")).to_be_visible()
    expect(page.get_by_role("status")).to_contain_text("Prozent kleiner")
    hint = "Niedriger ist kleiner. JPEG geht nur bis 95; PNG nutzt unter 100 eventuell eine Farbpalette."
    expect(page.get_by_title(hint)).to_be_visible()
    assert english_of(visit, sentences) == []

    visit.choose("PNG")
    page.get_by_role("checkbox", name="Verlustfrei").check()
    expect_saved(visit, "photo.png")
    expect(page.get_by_text("% größer. Besser: weniger Qualität")).to_be_visible()
    expect(visit.button("Original behalten")).to_be_visible()
    assert english_of(visit, sentences) == []

    page.keyboard.press("r")
    visit.drop(Sent("flower.jpg", FLOWER.data))
    expect_saved(visit, "flower.jpg")
    page.get_by_role("combobox", name="Autoqualität").select_option("Hoch")
    page.get_by_role("spinbutton", name="Zielgröße").fill("1")
    page.keyboard.press("Tab")
    expect(result).to_contain_text("1 KB sind mit diesen Einstellungen nicht erreichbar")
    expect(result).to_contain_text(
        re.compile(r"Qualität \d+ · Ähnlichkeit \d+Geringe Ähnlichkeit: Kompression sichtbar")
    )
    expect(page.get_by_role("slider", name="Qualität durch Autoqualität")).to_be_disabled()
    assert english_of(visit, sentences) == []
    visit.choose("Kleinste")
    expect(result).to_contain_text(re.compile(r"(JPEG|WebP|PNG) · "))
    assert english_of(visit, sentences) == []
    page.keyboard.press("r")

    visit.choose("JPEG")
    visit.drop(corpus(LOGO), Sent("clip.gif", b"GIF89a"), corpus("bad-truncated.jpg"))
    expect_saved(visit, LOGO.replace(".png", ".jpg"))
    expect(page.get_by_text("Durchsichtige Stellen wurden mit der Hintergrundfarbe gefüllt.")).to_be_visible()
    expect(page.get_by_text(re.compile(r"^Gesamt: \d"))).to_be_visible()
    assert english_of(visit, sentences) == []
    for short, message in [
        ("Falscher Typ", "clip.gif wird nicht unterstützt. Möglich sind JPEG, PNG und WebP."),
        ("Beschädigt", "Die Datei ist beschädigt oder unvollständig."),
    ]:
        visit.tiles.filter(has_text=short).click()
        expect(visit.trouble).to_contain_text(message)
        assert english_of(visit, sentences) == []


def test_what_is_said_beside_images_is_all_german(open_visit: OpenVisit, sentences: Sentences) -> None:
    visit = open_visit(locale="de-DE")
    visit.expected += ["429", "ERR_CONNECTION_REFUSED", "ERR_INTERNET_DISCONNECTED"]
    page = visit.page
    visit.drop(PHOTO)
    expect_saved(visit, "photo.jpg")

    visit.button("Sichern").first.click()
    assert english_of(visit, sentences) == []
    page.get_by_role("textbox", name="Name der Vorlage").fill("Blog")
    page.keyboard.press("Enter")
    expect(page.locator("#toast")).to_contain_text("Vorlage „Blog“ gesichert.")
    assert english_of(visit, sentences) == []

    visit.button("Tastenkürzel").click()
    expect(page.get_by_role("dialog", name="Tastenkürzel")).to_be_visible()
    assert english_of(visit, sentences) == []
    page.keyboard.press("Escape")

    page.route("**/optimize", lambda route: route.abort("connectionrefused"), times=1)
    visit.set_slider("Qualität", 50)
    expect(visit.trouble).to_contain_text("Der Server ist nicht erreichbar.")
    assert english_of(visit, sentences) == []

    page.route("**/optimize", lambda route: route.fulfill(status=429, headers={"Retry-After": "60"}))
    visit.button("Wiederholen").click()
    expect(visit.notice).to_contain_text("Weiter geht es von selbst in")
    page.context.set_offline(True)
    expect(page.locator("#offline")).to_be_visible()
    assert english_of(visit, sentences) == []


def test_what_is_searched_for_in_german_is_found_in_english(visit: Visit, sentences: Sentences) -> None:
    visit.drop(PHOTO)
    visit.expect_done()

    found = english_of(visit, sentences)

    assert {"Before", "Settings", "Strip metadata", "Balanced", "Fit", "Uploading 1 image"} <= set(found)
    assert len(found) > 60


@pytest.mark.parametrize(
    ("locale", "minutes", "heading", "back", "home"),
    [
        ("en-US", "7 minutes", "What happens to an image", "Back to Pinch", "Choose images"),
        ("de-DE", "7 Minuten", "Was mit einem Bild geschieht", "Zurück zu Pinch", "Bilder auswählen"),
    ],
)
def test_the_privacy_page_names_the_minutes_of_the_deployment_and_leads_back(
    open_visit: OpenVisit, brief_url: str, locale: str, minutes: str, heading: str, back: str, home: str
) -> None:
    visit = open_visit(brief_url, locale=locale)
    page = visit.page
    page.get_by_role("contentinfo").get_by_role("link").click()

    expect(page.get_by_role("heading", level=1)).to_have_text(heading)
    expect(page).to_have_title(re.compile(f"^{heading} . Pinch$"))
    expect(page.locator("main:visible [data-minutes]")).to_have_text(minutes)
    expect(page.locator("html")).not_to_have_attribute("data-waiting", "")
    page.get_by_role("link", name=back).click()
    expect(page.get_by_role("button", name=home)).to_be_visible()


# --- files beside the page ---


def test_the_manifest_names_icons_that_are_what_it_says(visit: Visit, url: str) -> None:
    link = visit.page.locator("link[rel=manifest]").get_attribute("href")
    address = urljoin(url, link)
    manifest: dict[str, Any] = json.loads(visit.request.get(address).text())

    assert urljoin(address, manifest["start_url"]) == urljoin(address, manifest["scope"]) == url
    assert {"192x192", "512x512", "any"} <= {icon["sizes"] for icon in manifest["icons"]}
    for icon in manifest["icons"]:
        answer = visit.request.get(urljoin(address, icon["src"]))
        assert (answer.status, answer.headers["content-type"].partition(";")[0]) == (200, icon["type"])
        if icon["sizes"] == "any":
            assert answer.text().startswith("<svg")
        else:
            width, height = Image.open(BytesIO(answer.body())).size
            assert f"{width}x{height}" == icon["sizes"]
    for rel, size in [("apple-touch-icon", (180, 180))]:
        icon_url = urljoin(url, visit.page.locator(f"link[rel={rel}]").get_attribute("href"))
        assert Image.open(BytesIO(visit.request.get(icon_url).body())).size == size


# --- the original in place of a larger result ---


def test_the_original_can_be_kept_in_place_of_a_larger_result(visit: Visit) -> None:
    keep = visit.button("Keep original")
    visit.drop(PHOTO)
    visit.expect_done()
    expect(keep).to_be_hidden()
    visit.page.get_by_role("checkbox", name="Lossless").check()
    visit.choose("PNG")
    expect(visit.result.locator("strong")).to_contain_text("+")
    expect(visit.page.get_by_text("% larger. Try a lower quality or another format")).to_be_visible()

    keep.click()

    expect(keep).to_be_hidden()
    expect(visit.result.locator("strong")).to_have_text("0%")
    expect(visit.result).to_contain_text("same size")
    expect(visit.tiles.first).to_contain_text("0%")
    assert visit.download() == ("photo.jpg", PHOTO.data)
    visit.choose("WebP")
    expect(visit.link).to_have_attribute("download", "photo.webp")
    visit.choose("PNG")
    expect(visit.link).to_have_attribute("download", "photo.jpg")  # for these settings it was chosen
    visit.drop(Sent("other.jpg", PHOTO.data))
    expect(visit.link).to_have_attribute("download", "other.png")
    visit.expect_done()
    saved = download_all(visit)
    assert {name: image.format for name, image in saved.items()} == {"photo.jpg": "JPEG", "other.png": "PNG"}
