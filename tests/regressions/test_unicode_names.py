"""The models' ``\\w`` and ``\\d`` are Java's and mean ASCII; taken as Python's they let in every alphabet, and with it names
that look like others, change length when they are folded, or are no part of an ARN."""

from __future__ import annotations

import pytest

from tests.cloud.harness import TestCloud, refused

SENTENCE = (
    "The specified value for userName is invalid. It must contain only alphanumeric characters and/or the following: +=,.@_-"
)


@pytest.mark.parametrize("name", ["аlice", "ﬁle", "İstanbul", "ALICE\u0301", "user\u200b", "１２３", "\u212aelvin"])
def test_names_are_ascii(cloud: TestCloud, name: str) -> None:
    with refused("ValidationError", 400) as told:
        cloud.client("iam").get_user(UserName=name)
    assert told() == SENTENCE
