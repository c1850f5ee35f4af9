"""What the page may weigh as it is served, and that the lists in web/ agree with each other."""

import gzip
import re
from pathlib import Path

from infra.bundle import REFERENCE, WEB
from tests.browser.conftest import OpenVisit
from tests.browser.visit import Sent, Visit, expect
from tests.images import encoded, photo

PAGE = (WEB / "index.html").read_text()
VENDOR = WEB / "vendor"
MODULES = sorted(path.relative_to(WEB).as_posix() for path in WEB.rglob("*.js") if VENDOR not in path.parents)

# Bytes on the wire, each file compressed by itself. All of the first load may be 30,000, its JavaScript 20,000.
FIRST_SCRIPTS = 8_000
ALL_SCRIPTS = 27_000  # and with what works on images, which is loaded when somebody is about to have one
STYLES = 6_000
HTML = 4_000
FIRST_LOAD = 20_000


def weight(*paths: Path) -> int:
    return sum(len(gzip.compress(path.read_bytes())) for path in paths)


def first_files(built: Path) -> list[Path]:
    """Return what index.html loads: itself and all that it names, down to the chunks that its scripts import."""
    index = built / "index.html"
    # The manifest and its icons are fetched when somebody installs the page.
    later = (".html", ".webmanifest", ".png")
    named = {name for _, name in REFERENCE.findall(index.read_text()) if not name.endswith(later)}
    return [index, *(built / name for name in sorted(named))]


def test_the_page_stays_light(built: Path) -> None:
    first = first_files(built)

    scripts = [path for path in first if path.suffix == ".js"]
    assert weight(*scripts) <= FIRST_SCRIPTS
    assert weight(*built.rglob("*.css")) <= STYLES
    assert weight(built / "index.html") <= HTML
    assert weight(*first) <= FIRST_LOAD


def test_a_visit_with_one_image_stays_light(visit: Visit, built: Path) -> None:
    visit.drop(Sent("photo.jpg", encoded(photo(), "jpeg")))
    visit.expect_done()
    visit.draft_slider("Quality", 40)
    expect(visit.result).to_contain_text("estimate")

    loaded = {built / call.removeprefix("GET /") for call in visit.calls if call.endswith(".js")}
    assert {path.name.split("-")[0] for path in loaded} >= {"main.js", "editor", "estimate"}
    assert weight(*loaded) <= ALL_SCRIPTS


def test_the_first_load_is_what_the_index_names(visit: Visit, built: Path) -> None:
    # Headless Chromium sometimes moves a mouse that nobody has.
    visit.page.add_init_script("addEventListener('pointermove', (event) => event.stopImmediatePropagation(), true)")
    visit.page.reload()
    visit.page.wait_for_load_state("networkidle")
    loaded = visit.page.evaluate("performance.getEntriesByType('resource').map(({ name }) => new URL(name).pathname)")

    named = {f"/{path.relative_to(built).as_posix()}" for path in first_files(built)} - {"/index.html"}
    assert {*loaded, "/icon.svg"} == named | {"/config.json", "/api/settings"}  # the browser may ask for the icon later


def test_web_works_as_it_is_written(open_visit: OpenVisit, sources_url: str) -> None:
    visit = open_visit(sources_url)

    visit.page.mouse.move(20, 20)

    expect(visit.page.locator("#form input[type=range]").first).to_be_attached()


def test_the_page_shows_the_sentences_of_the_language_file_from_the_first_paint(
    open_visit: OpenVisit, sources_url: str
) -> None:
    shown = dict(re.findall(r'data-t="([^"]+)"[^>]*>([^<]*)<', PAGE))
    named = re.findall(r'aria-label="([^"]+)" data-t-label="([^"]+)"', PAGE)
    strings = open_visit(sources_url).page.evaluate("async () => (await import('/strings/en.js')).strings")

    assert len(shown) > 20
    assert shown == {key: strings[key] for key in shown}
    assert [label for label, _ in named] == [strings[key] for _, key in named]


def test_every_sentence_that_is_asked_for_exists_and_none_is_left_over(open_visit: OpenVisit, sources_url: str) -> None:
    page = open_visit(sources_url).page
    keys = set(page.evaluate("async () => Object.keys((await import('/strings/en.js')).strings)"))
    source = PAGE + "".join((WEB / module).read_text() for module in MODULES if module.startswith("js/"))
    asked = set(re.findall(r"""['"`]([a-z]+\.(?!html)[a-z-]+)['"`]""", source))
    families = set(re.findall(r"`([a-z]+)\.\$\{", source))

    assert {key for key in keys - asked if key.split(".")[0] not in families} == set()
    families_of_all = {key.split(".")[0] for key in keys}
    assert {key for key in asked - keys if key.split(".")[0] in families_of_all} == set()


def test_nothing_is_fetched_from_anybody_else() -> None:
    sources = [path for path in WEB.rglob("*.*") if path.suffix in {".html", ".css", ".js"}]

    for path in sources:
        addresses = set(re.findall(r"https?://[^\s'\"]+", path.read_text()))
        assert addresses <= {"http://www.w3.org/2000/svg"}, path


def test_what_others_wrote_comes_with_its_licence() -> None:
    for path in VENDOR.glob("*.js"):
        assert "MIT" in path.read_text()[:200]
        assert "Permission is hereby granted" in (VENDOR / f"LICENSE-{path.stem}.txt").read_text()
