"""A bucket's policy at its limit was compiled anew for each call: ten milliseconds, where it takes thirty microseconds to ask it."""

from __future__ import annotations

import json

from mallee.identity.rules.policy import Kind, compile_policy
from mallee.objects import policies


def test_the_largest_policy_of_a_bucket_is_remembered() -> None:
    resource = "arn:aws:s3:::bucket/" + "x" * 100
    statement = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": resource}
    text, document = "", {"Version": "2012-10-17", "Statement": [statement]}
    while len(text) <= policies.LARGEST:
        text = json.dumps(document, separators=(",", ":"))
        document["Statement"].append(statement)  # type: ignore[attr-defined]
    assert compile_policy(text, Kind.RESOURCE) is compile_policy("".join(text), Kind.RESOURCE)
