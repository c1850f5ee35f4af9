"""Creates the bucket of template.yaml on an emulated S3, so that both have the same CORS and lifecycle.

moto's own CloudFormation drops those silently; this reader raises on whatever it does not understand.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

TEMPLATE = Path(__file__).parent.parent / "template.yaml"


class TemplateError(Exception):
    """template.yaml has something that the local emulation does not understand."""


class _Loader(yaml.SafeLoader):
    """Reads CloudFormation's short forms: `!Ref X` becomes {"Ref": "X"}."""


def _intrinsic(_: _Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    return {suffix: node.value}


_Loader.add_multi_constructor("!", _intrinsic)


def load_template() -> dict[str, Any]:
    """Return template.yaml with short forms as dictionaries of one key."""
    template: dict[str, Any] = yaml.load(TEMPLATE.read_text(), _Loader)  # a SafeLoader  # noqa: S506
    return template


def create_bucket(client: "S3Client", name: str, parameters: dict[str, str], logical_id: str = "TempBucket") -> None:
    """Create the bucket that template.yaml declares, with these template parameters in place of their defaults.

    Raises TemplateError on a property, key or intrinsic function that it does not know.
    """
    template = load_template()
    values = {key: declared.get("Default") for key, declared in template["Parameters"].items()} | parameters
    properties = _resolve(template["Resources"][logical_id]["Properties"], values)
    cors = properties.pop("CorsConfiguration")
    lifecycle = properties.pop("LifecycleConfiguration")
    public_access = properties.pop("PublicAccessBlockConfiguration")
    if properties:
        raise TemplateError(f"The local S3 does not know these properties of {logical_id}: {', '.join(properties)}.")
    region = client.meta.region_name
    where: Any = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    client.create_bucket(Bucket=name, **where)
    client.put_public_access_block(Bucket=name, PublicAccessBlockConfiguration=public_access)
    client.put_bucket_cors(
        Bucket=name, CORSConfiguration={"CORSRules": [_renamed(rule, _CORS_KEYS) for rule in cors["CorsRules"]]}
    )
    client.put_bucket_lifecycle_configuration(
        Bucket=name, LifecycleConfiguration={"Rules": [_lifecycle_rule(rule) for rule in lifecycle["Rules"]]}
    )


# What CloudFormation calls it: what the S3 API calls it.
_CORS_KEYS = {
    "AllowedOrigins": "AllowedOrigins",
    "AllowedMethods": "AllowedMethods",
    "AllowedHeaders": "AllowedHeaders",
    "ExposedHeaders": "ExposeHeaders",
    "MaxAge": "MaxAgeSeconds",
}
_LIFECYCLE_KEYS = {
    "Id": "ID",
    "Status": "Status",
    "AbortIncompleteMultipartUpload": "AbortIncompleteMultipartUpload",
}


def _lifecycle_rule(rule: dict[str, Any]) -> Any:
    rest = dict(rule)
    prefix, days = rest.pop("Prefix"), rest.pop("ExpirationInDays")
    return _renamed(rest, _LIFECYCLE_KEYS) | {"Filter": {"Prefix": prefix}, "Expiration": {"Days": days}}


def _renamed(rule: dict[str, Any], names: dict[str, str]) -> Any:
    unknown = rule.keys() - names.keys()
    if unknown:
        raise TemplateError(f"The local S3 does not know these keys of a rule: {', '.join(sorted(unknown))}.")
    return {names[key]: value for key, value in rule.items()}


def _resolve(node: Any, values: dict[str, Any]) -> Any:
    match node:
        case {"Ref": name} if name in values:
            return values[name]
        case {"Ref": name} | {"Sub": name} | {"GetAtt": name}:
            raise TemplateError(f"The local emulation cannot resolve {name}.")
        case dict():
            return {key: _resolve(value, values) for key, value in node.items()}
        case list():
            return [_resolve(value, values) for value in node]
        case _:
            return node
