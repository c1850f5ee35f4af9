import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from infra import bundle
from infra.bundle import ENTRY_POINTS, REFERENCE, BundleError, build_page, built_page
from infra.page import read_files
from infra.setup import ROOT


def test_every_file_that_a_page_names_is_built(built: Path) -> None:
    pages = list(built.glob("*.html"))

    assert {page.name for page in pages} == {page.name for page in bundle.WEB.glob("*.html")}
    for page in pages:
        assert [name for _, name in REFERENCE.findall(page.read_text()) if not (built / name).is_file()] == []
    assert [name for name in ENTRY_POINTS if not (built / name).is_file()] == []


def test_nothing_of_the_sources_is_left_in_what_is_built(built: Path) -> None:
    for path in [*built.rglob("*.js"), *built.rglob("*.css")]:
        text = path.read_text()
        assert not re.search(r"/\*|@param|@import|node_modules|sourceMappingURL", text), path


def test_what_is_imported_dynamically_is_loaded_later(built: Path) -> None:
    (chunk,) = built.glob("js/client-zip-*.js")

    assert chunk.name not in (built / "index.html").read_text()
    assert (built / "vendor" / "LICENSE-client-zip.txt").is_file()


def test_the_same_sources_give_the_same_files_wherever_they_are(built: Path, web: Path) -> None:
    with built_page() as again:
        assert read_files(again) == read_files(built)


def test_what_two_pages_have_in_common_is_a_chunk_that_both_preload(
    web: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("one", "two"):
        script = f'<script type="module" src="js/{name}.js"></script>'
        (web / f"{name}.html").write_text(f'<html lang="en"><head>{script}</head></html>')
        (web / "js" / f"{name}.js").write_text("import { both } from './both.js'; both();")
    (web / "js" / "both.js").write_text("export const both = () => console.info('both');")
    monkeypatch.setattr(bundle, "ENTRY_POINTS", (*ENTRY_POINTS, "js/one.js", "js/two.js"))

    build_page(tmp_path / "page")

    pages = [(tmp_path / "page" / f"{name}.html").read_text() for name in ("one", "two")]
    preloads = [re.findall(r'<link rel="modulepreload" href="(js/chunk-\w+\.js)">\n</head>', page) for page in pages]
    assert preloads[0] == preloads[1]
    (chunk,) = preloads[0]
    assert "both" in (tmp_path / "page" / chunk).read_text()


def test_whatever_is_neither_script_nor_style_is_copied(web: Path, tmp_path: Path) -> None:
    for name in ("icons/icon-512.png", "app.webmanifest", ".hidden.txt"):
        (web / name).parent.mkdir(exist_ok=True)
        (web / name).write_bytes(name.encode())

    build_page(tmp_path / "page")

    files = read_files(tmp_path / "page")
    assert files["icons/icon-512.png"] == b"icons/icon-512.png"
    assert files["app.webmanifest"] == b"app.webmanifest"
    assert ".hidden.txt" not in files


def break_a_script(web: Path) -> None:
    (web / "js" / "main.js").write_text("import './none.js';")


def drop_an_entry_point(web: Path) -> None:
    (web / "js" / "early.js").unlink()


def name_another_script(web: Path) -> None:
    (web / "more.html").write_text('<script type="module" src="js/api.js"></script>')


def add_an_unknown_file(web: Path) -> None:
    (web / "photo.tiff").touch()


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (break_a_script, r"^esbuild cannot bundle web/\. It says: .*Could not resolve \"\./none\.js\""),
        (drop_an_entry_point, r"^esbuild cannot bundle web/\. It says: .*js/early\.js"),
        (name_another_script, r"^more\.html names js/api\.js, which is not built\. Correct it, or add it to ENTRY_POI"),
        (add_an_unknown_file, r"^photo\.tiff has no media type\. Add '\.tiff' to MEDIA_TYPES in infra/bundle\.py\.$"),
    ],
)
def test_what_cannot_be_built_is_told(web: Path, tmp_path: Path, spoil: Callable[[Path], None], told: str) -> None:
    spoil(web)

    with pytest.raises(BundleError, match=told):
        build_page(tmp_path / "page")


def bundle_by_command(folder: Path, target: Path) -> subprocess.CompletedProcess[str]:
    """Run the command as the image's build does: with no package but the standard library."""
    command = [sys.executable, "-S", "-m", "infra.bundle", str(target)]
    return subprocess.run(command, cwd=folder, env={}, capture_output=True, text=True, check=False)


def test_the_command_needs_no_package_of_python(built: Path, tmp_path: Path) -> None:
    done = bundle_by_command(ROOT, tmp_path / "page")

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert read_files(tmp_path / "page") == read_files(built)


@pytest.mark.processes
def test_the_command_tells_in_one_sentence_that_esbuild_is_missing(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "infra", tmp_path / "infra")

    done = bundle_by_command(tmp_path, tmp_path / "page")

    assert (done.returncode, done.stderr) == (
        1,
        "Pinch cannot be bundled: esbuild is missing. Run make again, which installs it.\n",
    )
