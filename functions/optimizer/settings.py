"""Every option that a user can choose, declared once. Validation, JSON Schema, API document and form read it here."""

import hashlib
import json
import re
from dataclasses import asdict, dataclass, field, fields
from typing import Any, cast

from optimizer.imaging.encoders import ENCODERS, ORIGINAL, SMALLEST
from optimizer.limits import MAX_UPLOAD_BYTES
from optimizer.problems import FieldError, InvalidSettings

JsonSchema = dict[str, Any]

MAX_ERRORS = 20  # in one answer


def _integer(title: str, low: int, high: int, default: int, group: str, description: str, unit: str = "") -> int:
    schema: JsonSchema = {"type": "integer", "minimum": low, "maximum": high}
    return cast(int, _declare(title, default, group, description, schema, unit))


def _optional_integer(title: str, low: int, high: int, group: str, description: str, unit: str = "") -> int | None:
    schema: JsonSchema = {"type": ["integer", "null"], "minimum": low, "maximum": high}
    return cast(None, _declare(title, None, group, description, schema, unit))


def _boolean(title: str, default: bool, group: str, description: str) -> bool:
    return cast(bool, _declare(title, default, group, description, {"type": "boolean"}))


def _choice(title: str, labels: dict[str, str], group: str, description: str) -> str:
    schema = {"type": "string", "enum": list(labels), "x-labels": list(labels.values())}
    return cast(str, _declare(title, next(iter(labels)), group, description, schema))


def _color(title: str, default: str, group: str, description: str) -> str:
    schema = {"type": "string", "pattern": "^#[0-9a-fA-F]{6}$", "x-control": "color"}
    return cast(str, _declare(title, default, group, description, schema))


def _declare(
    title: str,
    default: object,
    group: str,
    description: str,
    schema: JsonSchema,
    unit: str = "",
) -> object:
    about = {"title": title, "description": description}
    form = {"x-group": group} | ({"x-unit": unit} if unit else {})
    return field(default=default, metadata=about | schema | {"default": default} | form)


FORMATS = {ORIGINAL: "Original"} | {name: encoder.TITLE for name, encoder in ENCODERS.items()} | {SMALLEST: "Smallest"}

AUTO_QUALITIES = {"off": "Off", "high": "High", "balanced": "Balanced", "small": "Small"}
SIMILARITIES = {"high": 90, "balanced": 80, "small": 65}  # goals in SSIMULACRA2; at 90 people see no difference
AIMS = ", ".join(f"{name} {score}" for name, score in SIMILARITIES.items())


# One line each, however long. To add a setting, add its line here and its step in imaging/steps.py.
# fmt: off
@dataclass(frozen=True, slots=True)
class Settings:
    """The user's choice for one result. Build it with `Settings.parse`, which checks every bound."""

    format: str = _choice("Format", FORMATS, "format", "Original keeps the source's format; smallest picks the one that needs the fewest bytes at equal similarity.")
    quality: float = _integer("Quality", 1, 100, 85, "size", "Lower is smaller. JPEG is capped at 95; PNG below 100 uses a palette where it holds this quality.")
    auto_quality: str = _choice("Auto quality", AUTO_QUALITIES, "size", f"Finds the quality at which the result looks like the source: {AIMS} of SSIMULACRA2.")
    target_bytes: int | None = _optional_integer("Target size", 1_000, MAX_UPLOAD_BYTES, "size", "Finds the best quality whose file is no larger.", "bytes")
    lossless: bool = _boolean("Lossless", False, "options", "Keeps every pixel exactly (WebP and PNG).")
    resize_percent: int = _integer("Resize", 10, 200, 100, "size", "Scales both sides and keeps the aspect.", "%")
    width: int | None = _optional_integer("Max. width", 1, 16_383, "size", "Fits the image into this width; never enlarges.", "px")
    height: int | None = _optional_integer("Max. height", 1, 16_383, "size", "Fits the image into this height; never enlarges.", "px")
    sharpen: int = _integer("Sharpen", -100, 100, 0, "adjust", "Above 0 sharpens, below 0 blurs.")
    brightness: int = _integer("Brightness", -100, 100, 0, "adjust", "Above 0 is lighter, below 0 darker.")
    contrast: int = _integer("Contrast", -100, 100, 0, "adjust", "Above 0 is stronger, below 0 flatter.")
    auto_orient: bool = _boolean("Auto-orient", True, "options", "Turns the pixels upright; when off, the orientation tag is kept.")
    strip_metadata: bool = _boolean("Strip metadata", True, "options", "Removes camera, location, date and comments; colours stay right.")
    background: str = _color("Background", "#ffffff", "options", "Fills transparent areas when the format has no transparency.")
    # fmt: on

    @classmethod
    def parse(cls, payload: object) -> "Settings":
        """Check a decoded JSON body and return the settings it asks for.

        Raises InvalidSettings, which names the fields that are unknown or out of bounds, at most MAX_ERRORS of them.
        """
        if not isinstance(payload, dict):
            raise InvalidSettings("Send the settings as one JSON object, for example {\"quality\": 80}.")
        errors: list[FieldError] = []
        values: dict[str, Any] = {}
        for name, value in payload.items():
            try:
                values[name] = _check(name, value)
            except ValueError as error:
                errors.append({"field": name[:40], "detail": str(error)})
        if errors:
            del errors[MAX_ERRORS:]
            names = ", ".join(error["field"] for error in errors[:5])
            raise InvalidSettings(f"Correct these settings and send them again: {names}.", errors)
        return cls(**values)

    def digest(self, etag: str = "") -> str:
        """Return 32 hex digits that identify these settings for the source with this etag, in whatever order they came."""
        canonical = json.dumps([etag, asdict(self)], sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()[:32]


PROPERTIES: dict[str, JsonSchema] = {each.name: dict(each.metadata) for each in fields(Settings)}

PRESETS: list[dict[str, Any]] = [
    {"name": "balanced", "title": "Balanced", "settings": {}},
    {"name": "smallest", "title": "Smallest file", "settings": {"format": "smallest", "auto_quality": "balanced"}},
    {"name": "web-small", "title": "Web, small",
     "settings": {"format": "webp", "quality": 70, "width": 1600, "height": 1600}},
    {"name": "mail", "title": "E-mail, 500 KB",
     "settings": {"format": "jpeg", "target_bytes": 500_000, "width": 2048, "height": 2048}},
    {"name": "thumbnail", "title": "Thumbnail",
     "settings": {"format": "webp", "quality": 75, "width": 400, "height": 400, "sharpen": 10}},
    {"name": "crisp", "title": "Crisp", "settings": {"quality": 92, "sharpen": 20}},
    {"name": "lossless", "title": "Lossless", "settings": {"lossless": True, "quality": 100}},
]  # fmt: skip


def json_schema() -> JsonSchema:
    """Return the JSON Schema (2020-12) of a settings object; `x-` keywords are hints for a form."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Settings",
        "type": "object",
        "additionalProperties": False,
        "properties": PROPERTIES,
    }


def _check(name: str, value: object) -> object:
    """Return the value in the setting's own type; raises ValueError with a sentence that says what is allowed."""
    schema = PROPERTIES.get(name)
    if schema is None:
        raise ValueError(f"There is no such setting. The settings are: {', '.join(PROPERTIES)}.")
    if "enum" in schema:
        if not isinstance(value, str) or value.lower() not in schema["enum"]:
            raise ValueError(f"Choose one of: {', '.join(schema['enum'])}.")
        return value.lower()
    if "pattern" in schema:
        if not isinstance(value, str) or not re.fullmatch(schema["pattern"].strip("^$"), value):
            raise ValueError(f"Give a colour like {schema['default']}.")
        return value.lower()
    if schema["type"] == "boolean":
        if not isinstance(value, bool):
            raise ValueError("Give true or false.")
        return value
    if value is None and "null" in schema["type"]:
        return None
    low, high = schema["minimum"], schema["maximum"]
    # JSON has one kind of number, so 80.0 is the whole number 80. But true is not the number 1.
    whole = isinstance(value, int | float) and not isinstance(value, bool) and value == value // 1
    if not whole or not low <= cast(float, value) <= high:
        raise ValueError(f"Give a whole number from {low} to {high}.")
    return int(cast(float, value))
