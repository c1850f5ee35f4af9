"""What web/ may weigh, and that its lists agree with each other."""

import gzip
import re
from pathlib import Path

import pytest

from tests.browser.visit import Visit

WEB = Path(__file__).parent.parent.parent / "web"
PAGE = (WEB / "index.html").read_text()
STRINGS = (WEB / "strings" / "en.js").read_text()
VENDOR = WEB / "vendor"  # loaded when it is needed, so that the first paint does not wait for it
OURS = [path for path in WEB.rglob("*.*") if VENDOR not in path.parents]
MODULES = sorted(path.relative_to(WEB).as_posix() for path in OURS if path.suffix == ".js")


def weight(pattern: str) -> int:
    """Return the bytes on the wire of these files, each compressed by itself."""
    return sum(len(gzip.compress(path.read_bytes(), 9)) for path in OURS if path.match(pattern))


@pytest.mark.parametrize(("pattern", "most"), [("*.js", 30_500), ("*.css", 6_500), ("*.html", 4_000), ("*.*", 40_500)])
def test_the_page_stays_light(pattern: str, most: int) -> None:
    assert weight(pattern) <= most


def imports(module: str) -> set[str]:
    found = re.findall(r"^(?:import|\} from) .*?'(\.[^']+)';$", (WEB / module).read_text(), re.MULTILINE)
    return {((WEB / module).parent / each).resolve().relative_to(WEB.resolve()).as_posix() for each in found}


def test_the_preloaded_modules_are_those_that_main_imports() -> None:
    reached, open_ends = set[str](), {"js/main.js"}
    while open_ends:
        module = open_ends.pop()
        reached.add(module)
        open_ends |= imports(module) - reached
    preloaded = re.findall(r'<link rel="modulepreload" href="([^"]+)">', PAGE)
    scripts = re.findall(r'<script type="module" src="([^"]+)"', PAGE)

    assert sorted(reached) == MODULES
    assert sorted(preloaded + scripts) == MODULES


def test_the_page_shows_the_sentences_of_the_language_file_from_the_first_paint(visit: Visit, url: str) -> None:
    shown = dict(re.findall(r'data-t="([^"]+)"[^>]*>([^<]*)<', PAGE))
    named = re.findall(r'aria-label="([^"]+)" data-t-label="([^"]+)"', PAGE)
    strings = visit.page.evaluate("async (url) => (await import(url)).strings", f"{url}strings/en.js")

    assert len(shown) > 20
    assert shown == {key: strings[key] for key in shown}
    assert [label for label, _ in named] == [strings[key] for _, key in named]


def test_every_sentence_that_is_asked_for_exists_and_none_is_left_over(visit: Visit, url: str) -> None:
    keys = set(visit.page.evaluate("async (url) => Object.keys((await import(url)).strings)", f"{url}strings/en.js"))
    source = PAGE + "".join((WEB / module).read_text() for module in MODULES if module.startswith("js/"))
    asked = set(re.findall(r"""['"`]([a-z]+\.[a-z-]+)['"`]""", source))
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
