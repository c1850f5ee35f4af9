"""Prints template.yaml as CloudFormation gets it, for linters that know no SAM; the SAM CLI's environment runs it."""

import json
import sys

from samcli.yamlhelper import yaml_parse
from samtranslator.translator.transform import transform

from infra.resources import TEMPLATE


class NoManagedPolicies:
    """Stands for the list of AWS's policies, which the functions use none of."""

    def load(self) -> dict[str, str]:
        return {}


def transformed() -> dict[str, object]:
    """Return the transformed template; its code is anywhere on S3."""
    template = yaml_parse(TEMPLATE.read_text())
    template["Globals"]["Function"]["CodeUri"] = "s3://bucket/key"
    result: dict[str, object] = transform(template, {}, NoManagedPolicies())
    return result


if __name__ == "__main__":
    json.dump(transformed(), sys.stdout, indent=1)
