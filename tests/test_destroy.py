import json

import boto3
import pytest

from infra import destroy

STACK = {"Resources": {name: {"Type": "AWS::S3::Bucket"} for name in ("One", "Two")}}


@pytest.fixture(autouse=True)
def aws(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_url)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)


def test_every_bucket_of_the_stack_is_emptied_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    cloudformation, s3 = boto3.client("cloudformation"), boto3.client("s3")
    cloudformation.create_stack(StackName="gone", TemplateBody=json.dumps(STACK))
    made = [
        each["PhysicalResourceId"]
        for each in cloudformation.describe_stack_resources(StackName="gone")["StackResources"]
    ]
    s3.create_bucket(Bucket="somebody-elses")
    for bucket in (*made, "somebody-elses"):
        for n in range(3):
            s3.put_object(Bucket=bucket, Key=str(n))

    monkeypatch.setattr("sys.argv", ["destroy", "gone"])

    assert destroy.main() == 0
    left = [s3.list_objects_v2(Bucket=bucket)["KeyCount"] for bucket in (*made, "somebody-elses")]
    assert (len(made), left) == (2, [0, 0, 3])


def test_a_stack_that_is_not_there_is_told_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["destroy", "no-such-stack"])

    assert destroy.main() == 1
    assert "no-such-stack does not exist" in capsys.readouterr().err
