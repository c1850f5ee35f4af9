import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import boto3
import pytest

from infra import destroy

STACK: dict[str, Any] = {"Resources": {name: {"Type": "AWS::S3::Bucket"} for name in ("PageBucket", "TempBucket")}}


@pytest.fixture(autouse=True)
def aws(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_url)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], int]:
    def run(stack: str) -> int:
        monkeypatch.setattr("sys.argv", ["destroy", stack])
        return destroy.main()

    return run


def made_by(stack: str, template: dict[str, Any]) -> list[str]:
    """Create the stack, put three objects into each of its buckets, and return their names."""
    cloudformation, s3 = boto3.client("cloudformation"), boto3.client("s3")
    cloudformation.create_stack(StackName=stack, TemplateBody=json.dumps(template))
    described = cloudformation.describe_stack_resources(StackName=stack)["StackResources"]
    names = [each["PhysicalResourceId"] for each in described]
    for name in names:
        for n in range(3):
            s3.put_object(Bucket=name, Key=str(n))
    return names


def counts(names: list[str]) -> list[int]:
    return [boto3.client("s3").list_objects_v2(Bucket=name)["KeyCount"] for name in names]


def test_the_buckets_of_the_stack_are_emptied(run: Callable[[str], int], capsys: pytest.CaptureFixture[str]) -> None:
    names = made_by("gone", STACK)

    assert run("gone") == 0
    assert (len(names), counts(names)) == (2, [0, 0])
    assert capsys.readouterr().out == "Deleted 6 objects.\n"


def test_a_stack_of_something_else_is_left_alone(run: Callable[[str], int], capsys: pytest.CaptureFixture[str]) -> None:
    other = {"Resources": STACK["Resources"] | {"DataLake": {"Type": "AWS::S3::Bucket"}}}
    names = made_by("other", other)

    assert run("other") == 1
    assert counts(names) == [3, 3, 3]
    assert "other is not a stack of Pinch" in capsys.readouterr().err


def test_a_bucket_that_an_earlier_try_deleted_is_passed_over(
    run: Callable[[str], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    names = made_by("half", STACK)
    described = boto3.client("cloudformation").describe_stack_resources(StackName="half")
    described["StackResources"][0]["ResourceStatus"] = "DELETE_COMPLETE"
    client = SimpleNamespace(describe_stack_resources=lambda **_: described)
    boto3.resource("s3").Bucket(names[0]).objects.all().delete()
    boto3.client("s3").delete_bucket(Bucket=names[0])
    monkeypatch.setattr(boto3, "client", lambda _: client)

    assert run("half") == 0


def test_objects_that_s3_keeps_are_told(run: Callable[[str], int], monkeypatch: pytest.MonkeyPatch,
                                        capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    made_by("kept", STACK)
    kept = SimpleNamespace(delete=lambda: [{"Errors": [{"Code": "InternalError"}]}])
    bucket = SimpleNamespace(objects=SimpleNamespace(all=lambda: kept))
    monkeypatch.setattr(boto3, "resource", lambda _: SimpleNamespace(Bucket=lambda _: bucket))

    assert run("kept") == 1
    assert "S3 did not delete all objects" in capsys.readouterr().err


def test_a_stack_that_is_not_there_is_told_in_one_sentence(
    run: Callable[[str], int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("no-such-stack") == 1
    assert "no-such-stack does not exist" in capsys.readouterr().err
