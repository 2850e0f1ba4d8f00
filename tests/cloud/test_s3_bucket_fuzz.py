"""Every operation that configures a bucket, with inputs made up from the model: whatever they say, nothing is a fault of ours, and what was
taken is told again."""

from __future__ import annotations

import random
from typing import Any

import pytest
from botocore.exceptions import ClientError

from mallee.registry import Registry
from tests.cloud.harness import TestCloud
from tests.cloud.test_isolation import model
from tests.wire.generate import Generator

OPERATIONS = [
    each.operation
    for each in Registry().handlers()
    if each.service == "s3" and each.operation.startswith(("PutBucket", "PutPublic", "PutObjectLock", "CreateBucket"))
]
EXAMPLES = 40


@pytest.mark.parametrize("operation", OPERATIONS)
def test_made_up_inputs(sqlite_cloud: TestCloud, operation: str) -> None:
    s3 = sqlite_cloud.client("s3", validate=False)
    s3.create_bucket(Bucket="fuzzed", ObjectOwnership="ObjectWriter")
    s3.delete_public_access_block(Bucket="fuzzed")
    shape = model(sqlite_cloud, "s3", operation).input_shape
    names = {name: method for method, name in s3.meta.method_to_api_mapping.items()}
    for example in range(EXAMPLES):
        params = Generator((operation, example), "rest-xml").structure(shape)
        given = settled(params, random.Random(f"{operation}{example}"))
        try:
            getattr(s3, names[operation])(**given)
        except ClientError as refusal:
            status = refusal.response["ResponseMetadata"]["HTTPStatusCode"]
            assert status < 500 or refusal.response["Error"]["Code"] == "NotImplemented", (given, refusal)
            continue
        told = names.get(operation.replace("Put", "Get", 1))
        if told is not None:
            more = {"Id": given["Id"]} if "Id" in given else {}
            getattr(s3, told)(Bucket="fuzzed", **more)
    assert sqlite_cloud.cloud.dispatcher.faults == 0


def settled(params: dict[str, Any], draw: random.Random) -> dict[str, Any]:
    """The input on our bucket, mostly without what would end it at the door."""
    params = params | {"Bucket": "fuzzed"}
    for name in ("ExpectedBucketOwner", "ContentMD5", "ChecksumAlgorithm", "MFA", "Token"):
        params.pop(name, None)
    for member in [name for name in params if isinstance(params[name], dict) and "Id" in params[name]]:
        if draw.random() < 0.8:
            params["Id"] = params[member]["Id"] = "an-id"
    return params
