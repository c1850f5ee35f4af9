import gzip
import shutil
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import Client, TestResponse

from infra.bundle import MEDIA_TYPES
from infra.page import content_security_policy, page_app, read_files
from optimizer.config import Config

GZIP = {"Accept-Encoding": "br, gzip;q=0.8"}


class Browser(Client):
    def open(self, *args: Any, **options: Any) -> TestResponse:
        return super().open(*args, base_url="http://127.0.0.1", **options)  # localhost would be redirected


@pytest.fixture
def page(built: Path) -> Browser:
    return Browser(page_app(Config(), built))


@pytest.mark.parametrize("name", ["index.html", "js/main.js", "styles/app.css", "icon.svg"])
def test_a_file_is_packed_for_who_takes_it(page: Browser, built: Path, name: str) -> None:
    plain, packed = page.get(f"/{name}"), page.get(f"/{name}", headers=GZIP)

    body = (built / name).read_bytes()
    assert plain.data == gzip.decompress(packed.data) == body
    assert len(packed.data) < len(body)
    assert dict(packed.headers) == {
        "Content-Type": MEDIA_TYPES[Path(name).suffix],
        "Content-Length": str(len(packed.data)),
        "Content-Encoding": "gzip",
        "Vary": "Accept-Encoding",
        "ETag": packed.headers["ETag"],
        "Date": packed.headers["Date"],
        "Content-Security-Policy": content_security_policy(),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-cache",
    }
    assert dict(plain.headers).keys() == dict(packed.headers).keys() - {"Content-Encoding"}
    assert plain.headers["Vary"] == "Accept-Encoding"


@pytest.mark.parametrize("accepted", ["identity", "br", "gzip;q=0"])
def test_a_file_is_sent_as_it_is_to_whom_gzip_is_nothing(page: Browser, built: Path, accepted: str) -> None:
    answer = page.get("/", headers={"Accept-Encoding": accepted})

    assert answer.data == (built / "index.html").read_bytes()


@pytest.mark.parametrize("headers", [GZIP, {}], ids=["gzip", "plain"])
def test_a_file_that_did_not_change_is_not_sent_again(page: Browser, headers: dict[str, str]) -> None:
    first = page.get("/js/main.js", headers=headers)

    again = page.get("/js/main.js", headers=headers | {"If-None-Match": first.headers["ETag"]})

    assert (again.status_code, again.data) == (304, b"")
    for name in ("ETag", "Vary", "Cache-Control", "Content-Security-Policy"):
        assert again.headers[name] == first.headers[name]


def test_each_encoding_and_each_content_has_a_tag_of_its_own(page: Browser) -> None:
    answers = [page.get(path, headers=headers) for path in ("/", "/js/main.js") for headers in (GZIP, {})]

    assert len({answer.headers["ETag"] for answer in answers}) == 4


@pytest.mark.parametrize("path", ["/", "/js/main.js", "/config.json", "/none"])
def test_head_answers_as_get_without_the_body(page: Browser, path: str) -> None:
    get, head = page.get(path, headers=GZIP), page.head(path, headers=GZIP)

    assert (head.status_code, head.data) == (get.status_code, b"")
    assert dict(head.headers) == dict(get.headers)


@pytest.mark.parametrize(
    ("suffix", "media_type"),
    [*MEDIA_TYPES.items(), (".webmanifest", "application/manifest+json"), (".png", "image/png")],
)
def test_a_file_has_its_media_type(tmp_path: Path, suffix: str, media_type: str) -> None:
    for name in ("index.html", f"file{suffix}"):
        (tmp_path / name).touch()

    answer = Browser(page_app(Config(), tmp_path)).get(f"/file{suffix}")

    assert answer.headers["Content-Type"] == media_type


@pytest.mark.parametrize("path", ["/none", "/js", "/js/", "/index.html/", "/js/../index.html"])
def test_what_is_not_there_is_told(page: Browser, path: str) -> None:
    answer = page.get(path)

    assert (answer.status_code, answer.text) == (404, "There is no such page.")
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.headers["Content-Security-Policy"] == content_security_policy()


def test_the_folder_is_read_once(built: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(built, tmp_path / "page")
    page = Browser(page_app(Config(), copy))

    shutil.rmtree(copy)

    assert page.get("/js/main.js").data == (built / "js" / "main.js").read_bytes()


def test_a_folder_without_a_page_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^there is no page in .*page\. Build it: python -m infra\.bundle .*page$"):
        read_files(tmp_path / "page")
