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
    "/etc/passwd": "passwd",
    "C:\\Users\\me\\secret.png": "secret",
    "C:secret.png": "C_secret",
    "\\\\server\\share$\\a.png": "a",
    "..%2f..%2fetc%2fpasswd.png": "_2f.._2fetc_2fpasswd",
    "%2e%2e%5c%0d%0aX: y.png": "_2e_2e_5c_0d_0aX_ y",
    "\r\n\r\n<script>.png": "_script_",
    "zero\u200bwidth\u200d\ufeff.png": "zerowidth",
    "\ufeffmark.png": "mark",
    "\x1b[31mred\x07\x7f\x85.png": "[31mred",
    "x": "x",
    "     ": "image",
    "-rf.png": "-rf",
    "$(reboot) `id` | x & y > z.png": "$(reboot) `id` _ x & y _ z",
    "'single' quotes.png": "'single' quotes",
    "javascript:alert(1)//.png": "image",
    "%s%n{0}{name!r}${jndi:ldap:}.png": "_s_n{0}{name!r}${jndi_ldap_}",
    "photo.png.exe": "photo.png",
    "photo." + "x" * 10_000: "x" * 80,
    "\u212bngstr\u00f6m.png": "\u00c5ngstr\u00f6m",
    "A\u030angstro\u0308m.png": "\u00c5ngstr\u00f6m",
    "a" + "\u0301" * 500 + ".png": "\u00e1" + "\u0301" * 8,
    "o" + ("\u0323" * 8 + "\u200b") * 50 + ".png": "\u1ecd" + "\u0323" * 8,
    "\uff0e\uff0e\uff0fetc\uff0fpasswd.png": "\uff0e\uff0e\uff0fetc\uff0fpasswd",
    "\ue000private\U000e0041tag.png": "privatetag",
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
