import re

import pytest

from optimizer.filenames import content_disposition, display_name, safe_stem

HOSTILE = {
    "../../etc/passwd.png": "passwd",
    "..\\..\\windows\\system.ini.jpg": "system.ini",
    "a\r\nSet-Cookie: x=1.jpg": "aSet-Cookie_ x=1",
    'quote".jpg': "quote_",
    "back\\slash.jpg": "slash",
    "\u202egpj.exe": "gpj",
    "nul\0l.png": "null",
    "CON.png": "_CON",
    "com1.tar.png": "_com1.tar",
    ".htaccess": "image",
    "\U0001f600" * 200 + ".png": "\U0001f600" * 20,
    "...": "image",
    "": "image",
    " . ": "image",
    "///": "image",
    "\ud800.png": "image",
    "semi;colon%00.jpg": "semi_colon_00",
    "Ünï cödé 写真.jpeg": "Ünï cödé 写真",
    "e\u0301.png": "é",
    "no-extension": "no-extension",
    "tab\there\u2028.webp": "tabhere",
    "a" * 10_000 + ".png": "a" * 80,
    "<img src=x onerror=alert(1)>.png": "_img src=x onerror=alert(1)_",
}


@pytest.mark.parametrize(("name", "stem"), HOSTILE.items(), ids=lambda text: ascii(text)[:30])
def test_a_name_becomes_a_stem_that_any_disk_takes(name: str, stem: str) -> None:
    assert safe_stem(name) == stem


@pytest.mark.parametrize("name", HOSTILE, ids=lambda text: ascii(text)[:30])
def test_a_name_never_leaves_its_header(name: str) -> None:
    header = content_disposition(f"{safe_stem(name)}.webp")

    assert re.fullmatch(r"""attachment; filename="[ !#-\[\]-~]+"; filename\*=UTF-8''[A-Za-z0-9._~%-]+""", header)


@pytest.mark.parametrize("name", HOSTILE, ids=lambda text: ascii(text)[:30])
def test_a_stem_stays_as_it_is_when_cleaned_again(name: str) -> None:
    assert safe_stem(safe_stem(name) + ".png") == safe_stem(name)


def test_a_name_is_shown_with_its_extension_but_without_folders_and_controls() -> None:
    assert display_name("C:\\fakepath\\cl\u202eip.gif") == "clip.gif"
    assert display_name("\n") == "image"
