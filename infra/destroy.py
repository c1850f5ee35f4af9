"""Empties the buckets of a deployed stack, since CloudFormation deletes only empty buckets.

python -m infra.destroy STACK
"""

import argparse
import sys

import boto3
from botocore.exceptions import BotoCoreError, ClientError

BUCKETS = ("PageBucket", "TempBucket")


class DestroyError(Exception):
    """Says in one sentence why not everything was deleted."""


def empty_buckets(stack: str) -> int:
    """Delete all objects in the stack's two buckets (see template.yaml), and return how many there were.

    Raises DestroyError if the stack is not of that template or if S3 did not delete every object, or an error of boto3.
    """
    resources = boto3.client("cloudformation").describe_stack_resources(StackName=stack)["StackResources"]
    made = {each["LogicalResourceId"]: each for each in resources if each["ResourceType"] == "AWS::S3::Bucket"}
    if set(made) != set(BUCKETS):
        raise DestroyError(f"{stack} is not a stack of Pinch, which has just these buckets: {', '.join(BUCKETS)}.")
    left = [each for each in made.values() if each["ResourceStatus"] != "DELETE_COMPLETE"]
    answers = [
        answer
        for bucket in left
        for answer in boto3.resource("s3").Bucket(bucket["PhysicalResourceId"]).objects.all().delete()
    ]
    if any(answer.get("Errors") for answer in answers):
        raise DestroyError("S3 did not delete all objects. Run it again.")
    return sum(len(answer.get("Deleted", [])) for answer in answers)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stack")
    try:
        count = empty_buckets(parser.parse_args().stack)
    except (BotoCoreError, ClientError, DestroyError) as error:
        print(f"Pinch cannot empty the buckets: {error}", file=sys.stderr)
        return 1
    print(f"Deleted {count} objects.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
