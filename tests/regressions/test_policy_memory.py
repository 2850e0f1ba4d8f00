"""Two thousand compiled policies were remembered whatever their size: whoever had large ones simulated filled the cloud's memory."""

from __future__ import annotations

import json
import threading

from mallee.identity.call import Principal
from mallee.identity.rules.context import Context
from mallee.identity.rules.evaluate import Grants, Question, Source, decide
from mallee.identity.rules.policy import Kind, Memory


def text(number: int, length: int = 0) -> str:
    statement = {"Sid": f"s{number}", "Effect": "Allow", "Action": "ec2:*", "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]}) + " " * length


def test_remembered_policies_are_bounded_by_their_size() -> None:
    memory = Memory(10_000)
    first = memory.policy(text(0), Kind.IDENTITY)
    for number in range(50):
        memory.policy(text(number, 1000), Kind.IDENTITY)
        assert memory.policy(text(0), Kind.IDENTITY) is first  # what is asked for stays
        assert len(memory) <= 9
    memory.policy(text(1, 20_000), Kind.IDENTITY)  # nothing has room beside it, nor has it
    assert len(memory) == 0


def test_several_at_once_get_one_policy() -> None:
    memory, found = Memory(10_000), []
    threads = [threading.Thread(target=lambda: found.append(memory.policy(text(1), Kind.IDENTITY))) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(set(map(id, found))) == 1
    assert len(memory) == 1


def test_answers_about_endless_names_are_not_remembered() -> None:
    """A request may name a resource by a megabyte of letters."""
    source = Source(Memory(10_000).policy(text(1).replace('"*"', '"arn:aws:ec2:*:*:instance/*"'), Kind.IDENTITY), "p", "user")
    grants, who = Grants((source,)), Principal("1" * 12, "arn:aws:iam::111111111111:user/a", "AIDA", "user", holder_id="AIDA")
    for length, remembered in ((100, 1), (1_000_000, 1)):
        question = Question("ec2:StopInstances", "arn:aws:ec2:r:1:instance/" + "i" * length, Context({}), who)
        assert decide(question, grants).allowed
        assert len(grants.plan("ec2:StopInstances").answers) == remembered
