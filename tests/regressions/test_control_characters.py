"""A NUL in a parameter answered 500 on PostgreSQL, which cannot keep it; other control characters came back as U+FFFD."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.cloud.harness import TestCloud

CALLS: list[tuple[str, dict[str, Any]]] = [
    ("describe_instances", {"Filters": [{"Name": "tag:Name", "Values": ["a\0b"]}]}),
    ("describe_security_groups", {"GroupNames": ["a\0b"]}),
    ("describe_addresses", {"PublicIps": ["198.51.100.1\0"]}),
    ("run_instances", {"ImageId": "ami-00000000000000000", "MinCount": 1, "MaxCount": 1, "ClientToken": "\0"}),
    ("create_security_group", {"GroupName": "a\x01b", "Description": "x"}),
    ("create_key_pair", {"KeyName": "a\ufffeb"}),
]


@pytest.mark.parametrize(("operation", "parameters"), CALLS)
def test_characters_that_no_answer_could_carry_are_refused(cloud: TestCloud, operation: str, parameters: dict[str, Any]) -> None:
    with pytest.raises(ClientError) as refused:
        getattr(cloud.client("ec2"), operation)(**parameters)
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert refused.value.response["Error"]["Code"] == "InvalidParameterValue"
