"""Writes the tables of settings and costs into README.md from where they are declared; `make format` runs it."""

import json
import re
from pathlib import Path
from typing import Any

from infra import cost
from optimizer.settings import PROPERTIES

README = Path(__file__).parent.parent / "README.md"


def with_tables(text: str) -> str:
    """Return the README's text with the tables of now."""
    for name, made in (("settings", settings_table()), ("costs", cost.table(cost.kept_results()))):
        section = rf"(?<=<!-- {name}: made by `make format` -->\n).*?(?=\n<!-- end -->)"
        text = re.sub(section, made.replace("\\", r"\\"), text, flags=re.DOTALL)
    return text


def settings_table() -> str:
    """Return a row for each setting, from its declaration."""
    rows = ["| name | values | default | what |", "|---|---|---|---|"]
    for name, schema in PROPERTIES.items():
        rows.append(f"| `{name}` | {_values(schema)} | `{json.dumps(schema['default'])}` | {schema['description']} |")
    return "\n".join(rows)


def _values(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return " ".join(f"`{each}`" for each in schema["enum"])
    if "minimum" in schema:
        optional = " or null" if "null" in schema["type"] else ""
        return f"{schema['minimum']} to {schema['maximum']}{optional}"
    return "`#rrggbb`" if "pattern" in schema else "true, false"


if __name__ == "__main__":
    README.write_text(with_tables(README.read_text()))
