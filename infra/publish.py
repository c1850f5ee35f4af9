"""Publishes the page to the bucket of a deployed stack. Run `python -m infra.publish STACK_NAME` after `sam deploy`."""

import argparse
import json
import re
import sys
from collections.abc import Sequence
from hashlib import md5, sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError

from infra.bundle import MEDIA_TYPES, REFERENCE, BundleError, built_page
from infra.page import read_files
from optimizer.config import Config
from optimizer.routes.api import settings_document

OUTPUTS = ("ApiUrl", "PageUrl", "PageBucketName", "TempBucketUrl", "RateLimit", "RetentionMinutes")
INDEX = "index.html"
FOLDER = re.compile(r'(?:href|src)="([0-9a-f]{12}/)')
CHARSET = '<meta charset="utf-8">'


class PublishError(Exception):
    """Says why the page cannot be published, and what to do about it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Publish the page and print what was done, or one sentence that says why it failed. Returns the exit status."""
    parser = argparse.ArgumentParser("python -m infra.publish", description="Publish the page of a deployed stack.")
    parser.add_argument("stack_name", help="the name that `sam deploy` gave the stack")
    try:
        outputs = read_outputs(parser.parse_args(arguments).stack_name)
        uploaded, removed = publish(outputs)
    except (PublishError, BundleError, BotoCoreError, ClientError) as error:
        print(f"Pinch cannot be published: {error}", file=sys.stderr)
        return 1
    print(f"Objects uploaded: {uploaded}, removed: {removed}.\nPinch is published at {outputs['PageUrl']}")
    return 0


def read_outputs(stack_name: str) -> dict[str, str]:
    """Return the outputs of the stack.

    Raises PublishError if there are no credentials, no such stack or not all OUTPUTS, and ClientError if AWS refuses.
    """
    try:
        client: Any = boto3.client("cloudformation")
        stack = client.describe_stacks(StackName=stack_name)["Stacks"][0]
    except (NoCredentialsError, NoRegionError) as error:
        hint = "Run `aws configure`, or set AWS_PROFILE and AWS_DEFAULT_REGION."
        raise PublishError(f"AWS needs credentials and a region. {hint}") from error
    except ClientError as error:
        if error.response["Error"]["Code"] != "ValidationError":
            raise
        region = client.meta.region_name
        raise PublishError(f"{region} has no stack {stack_name!r}. Deploy it there first: sam deploy") from error
    outputs = {each["OutputKey"]: each["OutputValue"] for each in stack.get("Outputs", [])}
    missing = ", ".join(name for name in OUTPUTS if not outputs.get(name))
    if missing:
        raise PublishError(f"the stack {stack_name!r} has no output {missing}. Deploy this version first: sam deploy")
    return outputs


def publish(outputs: dict[str, str]) -> tuple[int, int]:
    """Make the bucket hold this page and the previous one. Return how many objects were uploaded and removed.

    A page that is open in a browser loads some of its files later. So the previous page's files stay until the next
    publish.

    Raises PublishError or BundleError before anything changes, and ClientError or BotoCoreError if AWS fails. Even then
    the old page or the new one works, and the next run does the rest.
    """
    objects = page_objects(outputs)
    bucket = outputs["PageBucketName"]
    client = boto3.client("s3")
    listing = client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    etags = {each["Key"]: each["ETag"].strip('"') for page in listing for each in page.get("Contents", [])}
    before = client.get_object(Bucket=bucket, Key=INDEX)["Body"].read().decode() if INDEX in etags else ""
    # With SSE-S3 and a single part, an ETag is the MD5. Otherwise everything would be uploaded every time.
    changed = [key for key, body in objects.items() if etags.get(key) != md5(body, usedforsecurity=False).hexdigest()]
    for key in changed:
        caching = "public, max-age=31536000, immutable" if "/" in key else "no-cache"
        client.put_object(Bucket=bucket, Key=key, Body=objects[key], ContentType=_type(key), CacheControl=caching)
    kept = tuple(set(FOLDER.findall(before)))
    stale = sorted(key for key in etags.keys() - objects.keys() if not key.startswith(kept))
    for key in stale:
        client.delete_object(Bucket=bucket, Key=key)
    return len(changed), len(stale)


def page_objects(outputs: dict[str, str]) -> dict[str, bytes]:
    """Return the objects by key, in upload order: each comes after everything that it refers to.

    All but config.json and the pages are in a folder whose name is a hash of its contents, so browsers may cache them
    for ever. Raises BundleError if web/ cannot be built, and PublishError if a page or an output cannot be published.
    """
    with built_page() as built:
        files = read_files(built)
    pages = {name: files.pop(name).decode() for name in list(files) if name.endswith(".html")}
    # The media types are included, so a file whose type is corrected gets a new address, too.
    contents = repr([(name, _type(name), body) for name, body in files.items()])
    folder = sha256(contents.encode()).hexdigest()[:12]
    # The CDN's header can allow the API only by a wildcard. The page may call what both policies allow.
    urls = (urlsplit(outputs[name]) for name in ("ApiUrl", "TempBucketUrl"))
    policy = " ".join(["connect-src 'self'", *(f"{url.scheme}://{url.netloc}" for url in urls)])
    meta = f'<meta http-equiv="Content-Security-Policy" content="{policy}">'

    def moved(reference: re.Match[str]) -> str:
        attribute, name = reference.groups()
        return reference[0] if name in pages else f'{attribute}="{folder}/{name}'

    for name, page in pages.items():
        if CHARSET not in page:
            raise PublishError(f"{name} has no {CHARSET}. Put it back: the policy goes behind it.")
        pages[name] = REFERENCE.sub(moved, page).replace(CHARSET, f"{CHARSET}\n{meta}", 1)
    config = json.dumps(page_config(outputs))
    return {f"{folder}/{name}": body for name, body in files.items()} | {
        "config.json": config.encode(),
        # index.html comes last, since it refers to everything else.
        **{name: pages[name].encode() for name in sorted(pages, key="index.html".__eq__)},
    }


def page_config(outputs: dict[str, str]) -> dict[str, Any]:
    """Return the page's config.json, with the answer of GET /api/settings; raises PublishError for a bad output."""
    try:  # read it as the functions do
        config = Config.from_env({"RATE_LIMIT": outputs["RateLimit"], "RETENTION_MINUTES": outputs["RetentionMinutes"]})
    except ValueError as error:
        raise PublishError(f"the stack has a parameter that Pinch cannot use. {error}") from error
    return {"api_url": outputs["ApiUrl"].rstrip("/"), "settings": settings_document(config)}


def _type(name: str) -> str:
    return MEDIA_TYPES[Path(name).suffix]


if __name__ == "__main__":
    sys.exit(main())
