"""Publishes to a real stack and bucket of moto, as the one of template.yaml will be."""

import json
import re
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from infra import bundle, publish
from infra.bundle import WEB
from infra.page import read_files
from optimizer.app import create_app
from optimizer.config import Config

API = "https://abc123.execute-api.eu-west-1.amazonaws.com"
TEMP_BUCKET = "https://pinch-temp-xyz.s3.eu-west-1.amazonaws.com"
OUTPUTS: dict[str, Any] = {
    "ApiUrl": API,
    "PageUrl": "https://d1.cloudfront.net/",
    "PageBucketName": {"Ref": "PageBucket"},
    "TempBucketUrl": TEMP_BUCKET,
    "RateLimit": "12 per minute",
    "RetentionMinutes": "45",
}
with bundle.built_page() as _folder:
    BUILT = read_files(_folder)
FILES = sorted(BUILT)
PAGES = ["privacy.html", "index.html"]
ROOT_FILES = ["config.json", *PAGES]
MEDIA_TYPES = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "jpg": "image/jpeg",
    "js": "text/javascript; charset=utf-8",
    "json": "application/json",
    "png": "image/png",
    "svg": "image/svg+xml",
    "txt": "text/plain; charset=utf-8",
    "webmanifest": "application/manifest+json",
}


def connect_to(url: str, patch: pytest.MonkeyPatch) -> boto3.session.Session:
    """Let every new client of boto3 call the emulated AWS at this address. Returns the session that makes them."""
    patch.setenv("AWS_ENDPOINT_URL", url)
    session = boto3.session.Session(region_name="eu-west-1")
    patch.setattr(boto3, "DEFAULT_SESSION", session)
    return session


def create_stack(**outputs: object) -> str:
    """Create a stack of one bucket with these outputs, and return its name."""
    name = f"pinch-{uuid.uuid4().hex}"
    template = {
        "Resources": {"PageBucket": {"Type": "AWS::S3::Bucket"}},
        "Outputs": {key: {"Value": value} for key, value in outputs.items() if value is not None},
    }
    client: Any = boto3.client("cloudformation")
    client.create_stack(StackName=name, TemplateBody=json.dumps(template))
    return name


@dataclass
class Site:
    """A deployed stack, and what publishing to it calls."""

    session: boto3.session.Session
    stack: str
    calls: list[tuple[str, str]] = field(default_factory=list)  # ("PutObject", key)
    failing: str = ""  # the end of the key whose call fails

    def __post_init__(self) -> None:
        self.bucket = publish.read_outputs(self.stack)["PageBucketName"]
        self.s3 = self.session.client("s3")
        self.session.events.register("provide-client-params.s3", self._note)

    def _note(self, params: dict[str, Any], model: Any, **_: object) -> None:
        if "Key" not in params or model.name == "GetObject":
            return
        if self.failing and params["Key"].endswith(self.failing):
            raise ClientError({"Error": {"Code": "SlowDown", "Message": "Reduce your request rate."}}, model.name)
        self.calls.append((model.name, params["Key"]))

    def publish(self) -> int:
        self.calls.clear()
        return publish.main([self.stack])

    def keys(self) -> list[str]:
        return [each["Key"] for each in self.s3.list_objects_v2(Bucket=self.bucket).get("Contents", [])]

    def folder(self) -> str:
        """Return the folder that index.html names."""
        (folder,) = set(re.findall(r'(?:href|src)="([^"#]*?)/', self.read("index.html").decode()))
        return str(folder)

    def get(self, key: str) -> Any:
        return self.s3.get_object(Bucket=self.bucket, Key=key)

    def read(self, key: str) -> bytes:
        with self.get(key)["Body"] as body:
            data: bytes = body.read()
        return data


@pytest.fixture
def session(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> boto3.session.Session:
    return connect_to(s3_url, monkeypatch)


@pytest.fixture
def site(session: boto3.session.Session) -> Site:
    return Site(session, create_stack(**OUTPUTS))


@pytest.fixture
def published(site: Site) -> Site:
    """A published page to change."""
    assert site.publish() == 0
    return site


@pytest.fixture(scope="module")
def page(s3_url: str) -> Iterator[Site]:
    """A published page to look at."""
    with pytest.MonkeyPatch.context() as patch:
        site = Site(connect_to(s3_url, patch), create_stack(**OUTPUTS))
        assert site.publish() == 0
        yield site


def test_everything_but_config_and_pages_is_in_one_folder_named_after_its_contents(page: Site) -> None:
    folder = page.folder()

    assert re.fullmatch("[0-9a-f]{12}", folder)
    assert page.keys() == sorted([f"{folder}/{name}" for name in FILES if name not in PAGES] + ROOT_FILES)


@pytest.mark.parametrize("name", [*FILES, "config.json"])
def test_every_file_has_its_media_type_and_is_kept_for_good_unless_it_is_in_the_root(page: Site, name: str) -> None:
    is_root = name in ROOT_FILES

    answer = page.get(name if is_root else f"{page.folder()}/{name}")
    answer["Body"].close()

    assert answer["ContentType"] == MEDIA_TYPES[name.rpartition(".")[2]]
    assert answer["CacheControl"] == ("no-cache" if is_root else "public, max-age=31536000, immutable")


@pytest.mark.parametrize("name", [name for name in FILES if name not in PAGES])
def test_a_file_is_published_as_it_is(page: Site, name: str) -> None:
    assert page.read(f"{page.folder()}/{name}") == BUILT[name]


@pytest.mark.parametrize("name", PAGES)
def test_every_reference_of_a_page_is_in_the_bucket_and_nothing_else_is_changed(page: Site, name: str) -> None:
    source = BUILT[name].decode()
    index = page.read(name).decode()
    folder = page.folder()

    names = re.findall(r'\s(?:href|src)="([^"#]+)"', index)

    assert len(names) == len(re.findall(r'\s(?:href|src)="[^"#]', source)) > 3
    assert set(names) <= set(page.keys())
    meta = re.search("<meta http-equiv.*\n", index)
    assert meta
    assert index.replace(meta[0], "").replace(f"{folder}/", "") == source


def test_every_module_is_imported_by_a_relative_path_so_that_the_folder_can_move() -> None:
    for path in WEB.rglob("*.js"):
        for name in re.findall(r"""(?:from|import)\s*\(?\s*['"]([^'"]+)""", path.read_text()):
            assert name.startswith(("./", "../")), path
            assert (path.parent / name).resolve().is_relative_to(WEB), path


@pytest.mark.parametrize("name", PAGES)
def test_the_policy_of_a_page_names_api_and_bucket_exactly(page: Site, name: str) -> None:
    head = page.read(name).decode().splitlines()[2:5]

    assert head[:2] == [
        "<head>",
        '<meta charset="utf-8">',
    ]
    assert head[2] == (
        f'<meta http-equiv="Content-Security-Policy" content="connect-src \'self\' {API} {TEMP_BUCKET}">'
    )


def test_the_policy_names_origins_whatever_path_the_outputs_have(session: boto3.session.Session) -> None:
    site = Site(session, create_stack(**OUTPUTS | {"ApiUrl": f"{API}/stage/", "TempBucketUrl": f"{TEMP_BUCKET}/"}))
    assert site.publish() == 0

    assert f"connect-src 'self' {API} {TEMP_BUCKET}\"" in site.read("index.html").decode()
    assert json.loads(site.read("config.json"))["api_url"] == f"{API}/stage"


def test_the_config_brings_exactly_what_the_api_answers_and_names_no_account(page: Site) -> None:
    text = page.read("config.json").decode()
    api = create_app(Config(rate_limit="12 per minute", retention_minutes=45))

    answer = api.test_client().get("/api/settings").get_data(as_text=True)

    # As text, since the form has its fields in this order.
    assert text == json.dumps({"api_url": API, "settings": json.loads(answer)})
    account: str = boto3.client("sts").get_caller_identity()["Account"]
    assert account not in text
    assert page.bucket not in text


def test_uploads_come_in_the_order_in_which_they_name_each_other(page: Site) -> None:
    names, keys = zip(*page.calls, strict=True)

    assert set(names) == {"PutObject"}
    assert list(keys[-3:]) == ROOT_FILES
    assert set(keys) == set(page.keys())


def test_a_second_run_uploads_and_removes_nothing(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert site.publish() == 0
    first = capsys.readouterr().out

    assert site.publish() == 0

    assert site.calls == []
    told = "Objects uploaded: {}, removed: 0.\nPinch is published at https://d1.cloudfront.net/\n"
    assert (first, capsys.readouterr().out) == (told.format(len(FILES) + 1), told.format(0))


def test_a_change_gets_a_new_folder_and_the_old_one_stays_until_the_next_publish(published: Site, web: Path) -> None:
    for source in ("js/main.js", "strings/en.js", "styles/tokens.css"):
        old, before = published.folder(), set(published.keys())
        with (web / source).open("a") as file:
            file.write(f"/*! changed {source} */\n")

        assert published.publish() == 0

        assert published.folder() != old
        assert f"/*! changed {source} */".encode() in b"".join(map(published.read, published.keys()))
        assert published.calls[-len(PAGES) :] == [("PutObject", name) for name in PAGES]
        assert before < set(published.keys())
        assert published.publish() == 0
        assert published.keys() == sorted(publish.page_objects(publish.read_outputs(published.stack)))
        assert published.calls == [("DeleteObject", key) for key in sorted(before - set(ROOT_FILES))]


def test_a_file_with_another_name_makes_another_folder(web: Path) -> None:
    outputs = {**OUTPUTS, "PageBucketName": "pinch-page"}
    (web / "new-1.svg").write_text("<svg/>")
    old = next(iter(publish.page_objects(outputs)))

    (web / "new-1.svg").rename(web / "new-2.svg")

    assert next(iter(publish.page_objects(outputs))).partition("/")[0] != old.partition("/")[0]


def test_a_corrected_media_type_reaches_those_who_keep_the_file(
    published: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(bundle.MEDIA_TYPES, ".svg", "image/svg+xml; charset=utf-8")

    assert published.publish() == 0

    assert published.get(f"{published.folder()}/icon.svg")["ContentType"] == "image/svg+xml; charset=utf-8"


def test_a_new_limit_changes_the_config_only(published: Site) -> None:
    outputs = publish.read_outputs(published.stack)
    published.calls.clear()

    publish.publish(outputs | {"RetentionMinutes": "60"})

    assert published.calls == [("PutObject", "config.json")]
    assert json.loads(published.read("config.json"))["settings"]["limits"]["retention_minutes"] == 60


def test_what_is_not_of_this_page_is_removed(published: Site, capsys: pytest.CaptureFixture[str]) -> None:
    strange = sorted(["old.html", "0123456789ab/js/main.js", "js/main.js", "a b/ö&.txt"])
    for key in strange:
        published.s3.put_object(Bucket=published.bucket, Key=key, Body=b"old")

    assert published.publish() == 0

    assert published.calls == [("DeleteObject", key) for key in strange]
    assert "Objects uploaded: 0, removed: 4.\n" in capsys.readouterr().out


def test_a_half_finished_publish_is_completed(published: Site) -> None:
    folder = published.folder()
    for key, flaw in product([*ROOT_FILES, f"{folder}/js/main.js", f"{folder}/icon.svg"], ["missing", "cut"]):
        whole = published.read(key)
        if flaw == "missing":
            published.s3.delete_object(Bucket=published.bucket, Key=key)
        else:
            published.s3.put_object(Bucket=published.bucket, Key=key, Body=whole[:-1])

        assert published.publish() == 0

        assert published.calls == [("PutObject", key)]
        assert published.read(key) == whole


@pytest.mark.parametrize("failing", ["js/main.js", "index.html"])
def test_a_publish_that_fails_leaves_the_old_page_whole_and_the_next_run_goes_on(
    published: Site, web: Path, failing: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = dict(zip(published.keys(), map(published.read, published.keys()), strict=True))
    (web / "icon.svg").write_text("<svg/>")
    published.failing = failing

    assert published.publish() == 1

    assert capsys.readouterr().err == (
        "Pinch cannot be published: An error occurred (SlowDown) when calling the PutObject operation:"
        " Reduce your request rate.\n"
    )
    before.pop("privacy.html")  # a page by itself, whose files are all there already
    assert {key: published.read(key) for key in before} == before
    done = len(published.calls)
    published.failing = ""
    assert published.publish() == 0
    assert done + len([call for call, _ in published.calls if call == "PutObject"]) == len(FILES)
    assert published.publish() == 0
    assert {call for call, _ in published.calls} == {"DeleteObject"}  # of the page before


def fail(stack: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Publish to a stack that cannot be, and return what is told."""
    assert publish.main([stack]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    return err.removeprefix("Pinch cannot be published: ")


@pytest.mark.parametrize("name", ["pinch-nowhere", "no such name"])
def test_a_missing_stack_is_told(session: object, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert fail(name, capsys) == f"eu-west-1 has no stack '{name}'. Deploy it there first: sam deploy\n"


@pytest.mark.parametrize("missing", publish.OUTPUTS)
def test_a_missing_output_is_told(session: object, missing: str, capsys: pytest.CaptureFixture[str]) -> None:
    stack = create_stack(**OUTPUTS | {missing: None})

    assert (
        fail(stack, capsys) == f"the stack '{stack}' has no output {missing}. Deploy this version first: sam deploy\n"
    )


def test_a_stack_without_outputs_is_told_what_it_lacks(session: object, capsys: pytest.CaptureFixture[str]) -> None:
    assert f"has no output {', '.join(publish.OUTPUTS)}. " in fail(create_stack(), capsys)


@pytest.mark.parametrize(
    ("output", "value", "told"),
    [
        ("RateLimit", "often", "RATE_LIMIT must read like '30 per minute', not 'often'."),
        ("RetentionMinutes", "0", "RETENTION_MINUTES must be a whole number from 1 to 1440, not '0'."),
    ],
)
def test_a_parameter_that_no_function_takes_is_told(
    session: object, output: str, value: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fail(create_stack(**OUTPUTS | {output: value}), capsys) == (
        f"the stack has a parameter that Pinch cannot use. {told}\n"
    )


def test_a_missing_bucket_is_told(session: object, capsys: pytest.CaptureFixture[str]) -> None:
    assert "(NoSuchBucket)" in fail(create_stack(**OUTPUTS | {"PageBucketName": "pinch-nowhere"}), capsys)


@pytest.mark.parametrize(
    "unset", [["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"], ["AWS_DEFAULT_REGION"]], ids=["credentials", "region"]
)
def test_missing_credentials_or_a_missing_region_are_told(
    s3_url: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    unset: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_url)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    for name in unset:
        monkeypatch.delenv(name)

    assert fail("pinch", capsys) == (
        "AWS needs credentials and a region. Run `aws configure`, or set AWS_PROFILE and AWS_DEFAULT_REGION.\n"
    )


def drop_the_icon(web: Path) -> None:
    (web / "icon.svg").unlink()


def add_an_image(web: Path) -> None:
    (web / "photo.tiff").touch()


def drop_the_charset(web: Path) -> None:
    index = web / "index.html"
    index.write_text(index.read_text().replace('<meta charset="utf-8">', ""))


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (drop_the_icon, "index.html names icon.svg, which is not built. Correct it, or add it to ENTRY_POINTS.\n"),
        (add_an_image, "photo.tiff has no media type. Add '.tiff' to MEDIA_TYPES in infra/bundle.py.\n"),
        (drop_the_charset, 'index.html has no <meta charset="utf-8">. Put it back: the policy goes behind it.\n'),
    ],
)
def test_a_page_that_cannot_be_published_is_told_before_anything_is_changed(
    page: Site, web: Path, spoil: Callable[[Path], None], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil(web)
    before = list(page.calls)
    capsys.readouterr()

    assert fail(page.stack, capsys) == told

    assert page.calls == before


def test_hidden_files_are_not_published(web: Path) -> None:
    outputs = {**OUTPUTS, "PageBucketName": "pinch-page"}
    before = publish.page_objects(outputs)
    for name in (".DS_Store", "js/.main.js.swp"):
        (web / name).touch()

    assert publish.page_objects(outputs) == before


@pytest.mark.parametrize(
    ("reference", "becomes"),
    [
        ('src="js/main.js"', 'src="{}/js/main.js"'),
        ('href="icon.svg#part"', 'href="{}/icon.svg#part"'),
        ('href="icon.svg?a=b"', 'href="{}/icon.svg?a=b"'),
        ('href="#settings"', 'href="#settings"'),
        ('href="/"', 'href="/"'),
        ('href="https://example.org/js/main.js"', 'href="https://example.org/js/main.js"'),
        ('src="data:,"', 'src="data:,"'),
        ('data-src="js/none.js"', 'data-src="js/none.js"'),
    ],
)
def test_only_relative_references_are_moved(web: Path, reference: str, becomes: str) -> None:
    index = web / "index.html"
    index.write_text(index.read_text().replace("<body>", f"<body><a {reference}></a>"))

    objects = publish.page_objects({**OUTPUTS, "PageBucketName": "pinch-page"})

    folder = next(iter(objects)).partition("/")[0]
    assert f"<body><a {becomes.format(folder)}></a>" in objects["index.html"].decode()


def test_all_objects_are_seen_though_s3_lists_a_part_at_a_time(
    published: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "3")
    published.s3.put_object(Bucket=published.bucket, Key="z", Body=b"old")

    assert published.publish() == 0

    assert published.calls == [("DeleteObject", "z")]
