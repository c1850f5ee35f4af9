"""Empties the buckets of a deployed stack, which CloudFormation deletes only when they are empty.

python -m infra.destroy STACK
"""

import argparse
import sys

import boto3
from botocore.exceptions import BotoCoreError, ClientError


def empty_buckets(stack: str) -> int:
    """Delete every object of every bucket that the stack made, and return how many there were.

    Raises an error of boto3 when the stack is missing or AWS does not let us.
    """
    described = boto3.client("cloudformation").describe_stack_resources(StackName=stack)["StackResources"]
    buckets = [each["PhysicalResourceId"] for each in described if each["ResourceType"] == "AWS::S3::Bucket"]
    s3 = boto3.resource("s3")
    return sum(len(answer.get("Deleted", [])) for name in buckets for answer in s3.Bucket(name).objects.all().delete())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stack")
    try:
        count = empty_buckets(parser.parse_args().stack)
    except (BotoCoreError, ClientError) as error:
        print(f"Pinch cannot empty the buckets: {error}", file=sys.stderr)
        return 1
    print(f"Deleted {count} objects.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
