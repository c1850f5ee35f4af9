"""Writes the table of settings into README.md from their declaration; `make format` runs it."""

import json
import re
from pathlib import Path
from typing import Any

from optimizer.settings import PROPERTIES

README = Path(__file__).parent.parent / "README.md"
_TABLE = re.compile(r"(?<=<!-- settings: made by `make format` -->\n).*?(?=\n<!-- end -->)", re.DOTALL)


def with_settings_table(text: str) -> str:
    """Return the README's text with the table of now."""
    rows = ["| name | values | default | what |", "|---|---|---|---|"]
    for name, schema in PROPERTIES.items():
        rows.append(f"| `{name}` | {_values(schema)} | `{json.dumps(schema['default'])}` | {schema['description']} |")
    return _TABLE.sub("\n".join(rows), text)


def _values(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return " ".join(f"`{each}`" for each in schema["enum"])
    if "minimum" in schema:
        optional = " or null" if "null" in schema["type"] else ""
        return f"{schema['minimum']} to {schema['maximum']}{optional}"
    return "`#rrggbb`" if "pattern" in schema else "true, false"


if __name__ == "__main__":
    README.write_text(with_settings_table(README.read_text()))
