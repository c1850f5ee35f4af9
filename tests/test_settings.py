import json
from dataclasses import asdict, fields
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from optimizer.problems import InvalidSettings
from optimizer.settings import PRESETS, PROPERTIES, Settings, json_schema

VALIDATOR = Draft202012Validator(json_schema())
NUMBERS = [name for name, schema in PROPERTIES.items() if "minimum" in schema]
JUNK: list[object] = [
    None,
    True,
    False,
    "",
    "yes",
    0.5,
    float("nan"),
    float("inf"),
    -(10**400),
    10**400,
    [],
    {},
    "#fff",
]


def errors_of(payload: object) -> list[str]:
    with pytest.raises(InvalidSettings) as refusal:
        Settings.parse(payload)
    return [error["field"] for error in refusal.value.errors]


def test_no_settings_are_the_defaults() -> None:
    assert Settings.parse({}) == Settings()


@pytest.mark.parametrize("field", fields(Settings), ids=lambda field: field.name)
def test_every_setting_has_its_default_in_the_schema(field: Any) -> None:
    schema = PROPERTIES[field.name]

    assert schema["default"] == field.default
    assert {"title", "description", "type", "x-group"} <= schema.keys()
    assert Settings.parse({field.name: field.default}) == Settings()


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_are_accepted_up_to_their_bounds_and_refused_beyond(name: str) -> None:
    low, high = PROPERTIES[name]["minimum"], PROPERTIES[name]["maximum"]

    for value in (low, high, float(low)):
        assert getattr(Settings.parse({name: value}), name) == value
        assert type(getattr(Settings.parse({name: value}), name)) is int
    for value in (low - 1, high + 1):
        assert errors_of({name: value}) == [name]


@pytest.mark.parametrize("value", JUNK, ids=repr)
@pytest.mark.parametrize("name", PROPERTIES)
def test_what_is_refused_is_what_the_schema_refuses(name: str, value: object) -> None:
    if VALIDATOR.is_valid({name: value}):
        Settings.parse({name: value})
    else:
        assert errors_of({name: value}) == [name]


@pytest.mark.parametrize("format", PROPERTIES["format"]["enum"])
def test_formats_are_taken_in_any_letter_case(format: str) -> None:
    assert Settings.parse({"format": format.upper()}).format == format


def test_colours_are_taken_in_any_letter_case_and_only_whole() -> None:
    assert Settings.parse({"background": "#FFaa00"}).background == "#ffaa00"
    assert errors_of({"background": "#ffaa00\n"}) == ["background"]


def test_unknown_settings_are_refused_so_that_a_typo_is_never_silent() -> None:
    assert errors_of({"qualty": 80, "quality": 0, "format": "webp"}) == ["qualty", "quality"]


def test_a_refusal_does_not_grow_with_what_is_refused() -> None:
    payload = {f"{n}" + "x" * 1_000: 1 for n in range(60)}

    with pytest.raises(InvalidSettings) as refusal:
        Settings.parse(payload)

    assert len(json.dumps(refusal.value.body())) < 10_000


@pytest.mark.parametrize("payload", [None, [], "quality", 3, True])
def test_anything_but_an_object_is_refused(payload: object) -> None:
    assert errors_of(payload) == []


def test_the_digest_depends_on_the_values_and_not_on_their_order_or_spelling() -> None:
    first = Settings.parse({"quality": 80, "format": "webp"})
    same = Settings.parse({"format": "WebP", "quality": 80.0, "contrast": 0})
    other = Settings.parse({"quality": 81, "format": "webp"})

    assert first.digest() == same.digest() != other.digest()
    assert len(first.digest()) == 32


@pytest.mark.parametrize("field", fields(Settings), ids=lambda field: field.name)
def test_every_setting_changes_the_digest(field: Any) -> None:
    schema = PROPERTIES[field.name]
    by_type = {bool: not field.default, int: schema.get("minimum"), type(None): schema.get("minimum")}
    by_type[str] = next((each for each in schema.get("enum", ["#000000"]) if each != field.default), None)
    changed = by_type[type(field.default)]

    assert Settings.parse({field.name: changed}).digest() != Settings().digest()


def test_the_schema_is_valid_and_plain_json() -> None:
    Draft202012Validator.check_schema(json_schema())
    assert json.loads(json.dumps(json_schema())) == json_schema()
    assert VALIDATOR.is_valid(asdict(Settings()))


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: str(preset["name"]))
def test_every_preset_is_valid(preset: dict[str, Any]) -> None:
    Settings.parse(preset["settings"])
    assert preset["name"]
    assert preset["title"]
