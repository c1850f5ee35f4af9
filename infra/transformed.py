"""Prints template.yaml as CloudFormation gets it, for linters that do not know SAM. The SAM CLI's Python runs it."""

import json
import sys

from samcli.yamlhelper import yaml_parse
from samtranslator.translator.transform import transform

from infra.resources import TEMPLATE


class NoManagedPolicies:
    """Replaces the list of AWS's managed policies, since the functions use none of them."""

    def load(self) -> dict[str, str]:
        return {}


def transformed() -> dict[str, object]:
    """Return the transformed template. Its code has a made-up address on S3."""
    template = yaml_parse(TEMPLATE.read_text())
    template["Globals"]["Function"]["CodeUri"] = "s3://bucket/key"
    result: dict[str, object] = transform(template, {}, NoManagedPolicies())
    return result


if __name__ == "__main__":
    json.dump(transformed(), sys.stdout, indent=1)
