"""Creates the bucket and the table of template.yaml on emulators, with the same CORS, lifecycle and keys.

moto's own CloudFormation drops these silently. This module raises on anything that it does not understand.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import yaml
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client

    from optimizer.config import Config

TEMPLATE = Path(__file__).parent.parent / "template.yaml"


class TemplateError(Exception):
    """Says what the local emulation does not understand in template.yaml."""


class _Loader(yaml.SafeLoader):
    """Reads CloudFormation's short forms: `!Ref X` becomes {"Ref": "X"}."""


def _intrinsic(loader: _Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.SequenceNode):
        return {suffix: loader.construct_sequence(node, deep=True)}
    return {suffix: node.value}


_Loader.add_multi_constructor("!", _intrinsic)


def load_template() -> dict[str, Any]:
    """Return template.yaml as a dict. Short forms like `!Ref X` become dicts with one key."""
    template: dict[str, Any] = _Loader(TEMPLATE.read_text()).get_single_data()
    return template


def create_bucket(client: "S3Client", name: str, parameters: dict[str, str], logical_id: str = "TempBucket") -> None:
    """Create the bucket that template.yaml declares. The given template parameters replace their defaults.

    Raises TemplateError for a property, key or intrinsic function that it does not know.
    """
    properties = _properties(logical_id, parameters)
    cors = properties.pop("CorsConfiguration")
    lifecycle = properties.pop("LifecycleConfiguration")
    public_access = properties.pop("PublicAccessBlockConfiguration")
    encryption = properties.pop("BucketEncryption")["ServerSideEncryptionConfiguration"]
    rules = [
        _renamed(rule, {"ServerSideEncryptionByDefault": "ApplyServerSideEncryptionByDefault"}) for rule in encryption
    ]
    if properties:
        raise TemplateError(f"The local S3 does not know these properties of {logical_id}: {', '.join(properties)}.")
    region = client.meta.region_name
    where: Any = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    client.create_bucket(Bucket=name, **where)
    client.put_bucket_encryption(Bucket=name, ServerSideEncryptionConfiguration={"Rules": rules})
    client.put_public_access_block(Bucket=name, PublicAccessBlockConfiguration=public_access)
    client.put_bucket_cors(
        Bucket=name, CORSConfiguration={"CORSRules": [_renamed(rule, _CORS_KEYS) for rule in cors["CorsRules"]]}
    )
    client.put_bucket_lifecycle_configuration(
        Bucket=name, LifecycleConfiguration={"Rules": [_lifecycle_rule(rule) for rule in lifecycle["Rules"]]}
    )


def ensure_bucket(config: "Config") -> None:
    """Create the temp bucket on the config's S3 unless it exists; raises TemplateError and boto3's errors."""
    client = boto3.client("s3", endpoint_url=config.s3_endpoint_url, region_name=config.aws_region)
    try:
        client.head_bucket(Bucket=config.temp_bucket)
    except ClientError:
        create_bucket(client, config.temp_bucket, {"PageOrigin": str(config.page_origin)})


def create_table(client: "DynamoDBClient", name: str, logical_id: str = "CounterTable") -> None:
    """Create the table that template.yaml declares; raises TemplateError for a property that it does not know."""
    properties = _properties(logical_id, {})
    time_to_live = properties.pop("TimeToLiveSpecification")
    unknown = properties.keys() - {"BillingMode", "AttributeDefinitions", "KeySchema"}
    if unknown:
        raise TemplateError(f"The local DynamoDB does not know these properties of {logical_id}: {', '.join(unknown)}.")
    client.create_table(TableName=name, **properties)
    client.update_time_to_live(TableName=name, TimeToLiveSpecification=time_to_live)


# CloudFormation's names for these keys, and those of the S3 API.
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


def _properties(logical_id: str, parameters: dict[str, str]) -> dict[str, Any]:
    """Return the resolved properties of a resource. The given parameters replace their defaults."""
    template = load_template()
    values = {key: declared.get("Default") for key, declared in template["Parameters"].items()} | parameters
    properties: dict[str, Any] = _resolve(
        template["Resources"][logical_id]["Properties"], values, template["Conditions"]
    )
    return properties


def _resolve(node: Any, values: dict[str, Any], conditions: dict[str, Any]) -> Any:
    match node:
        case {"Ref": name} if name in values:
            return values[name]
        case {"If": [name, yes, no]}:
            return _resolve(yes if _holds(conditions[name], values) else no, values, conditions)
        case {"Ref": name} | {"Sub": name} | {"GetAtt": name}:
            raise TemplateError(f"The local emulation cannot resolve {name}.")
        case dict():
            return {key: _resolve(value, values, conditions) for key, value in node.items()}
        case list():
            return [_resolve(value, values, conditions) for value in node]
        case _:
            return node


def _holds(condition: Any, values: dict[str, Any]) -> bool:
    match condition:
        case {"Not": [inner]}:
            return not _holds(inner, values)
        case {"Equals": [{"Ref": name}, constant]}:
            return bool(values[name] == constant)
        case _:
            raise TemplateError(f"The local emulation cannot decide {condition}.")
