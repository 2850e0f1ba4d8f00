"""The events of SelectObjectContent, and their way over the wire to botocore."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import EventStreamError

from mallee.objects.select import compile
from mallee.objects.select.events import events, started
from mallee.wire.errors import AwsError
from tests.rules.select_oracle import CSV, JSON, LINES
from tests.wire.test_events import answered

BIG = b"0123456789abcdef,x\n" * 60_000


def test_a_small_answer() -> None:
    query = compile("SELECT _1 FROM S3Object WHERE _2 = 'b'", CSV, JSON)
    assert list(events(query, [b"1,a\n2,b", b"\n3,b\n"])) == [
        {"Records": {"Payload": b'{"_1":"2"}\n{"_1":"3"}\n'}},
        {"Stats": {"Details": {"BytesScanned": 12, "BytesProcessed": 12, "BytesReturned": 22}}},
        {"End": {}},
    ]


def test_an_empty_answer() -> None:
    found = list(events(compile("SELECT * FROM S3Object", CSV, CSV), [], progress=True))
    nothing = {"Details": {"BytesScanned": 0, "BytesProcessed": 0, "BytesReturned": 0}}
    assert found == [{"Progress": nothing}, {"Stats": nothing}, {"End": {}}]


class Clock:
    def __init__(self, step: float) -> None:
        self.now, self.step = 0.0, step

    def __call__(self) -> float:
        self.now += self.step
        return self.now


def kinds(progress: bool, step: float) -> list[str]:
    query = compile("SELECT * FROM S3Object WHERE _1 = 'none'", CSV, CSV)
    return [next(iter(event)) for event in events(query, [BIG] * 4, progress, clock=Clock(step))]


def test_progress_and_keeping_alive() -> None:
    assert kinds(False, 0.01) == ["Stats", "End"]
    assert kinds(False, 6.0) == ["Cont"] * 4 + ["Stats", "End"]
    assert kinds(True, 0.01) == ["Progress", "Stats", "End"]
    assert kinds(True, 6.0) == ["Progress"] * 5 + ["Stats", "End"]


def test_events_are_made_as_they_are_asked_for() -> None:
    taken = 0

    def chunks() -> Iterator[bytes]:
        nonlocal taken
        for _ in range(10):
            taken += 1
            yield BIG

    stream = events(compile("SELECT * FROM S3Object", CSV, CSV), chunks())
    assert taken == 0
    next(stream)
    assert taken == 1
    over_the_wire = answered("s3", "rest-xml", "SelectObjectContent", {"Payload": stream})["Payload"]
    next(iter(over_the_wire))
    assert taken == 1


def test_an_error_before_the_first_event_is_the_calls() -> None:
    query = compile("SELECT name FROM S3Object", {"CSV": {"FileHeaderInfo": "USE"}}, CSV)
    with pytest.raises(AwsError, match="MissingHeaders"):
        started(events(query, [b"age\n1\n"]))
    query = compile("SELECT age FROM S3Object", {"CSV": {"FileHeaderInfo": "USE"}}, CSV)
    assert [next(iter(event)) for event in started(events(query, [b"age\n1\n"]))] == ["Records", "Stats", "End"]


def test_the_whole_answer_over_the_wire() -> None:
    query = compile("SELECT * FROM S3Object", CSV, CSV)
    found: list[dict[str, Any]] = list(
        answered("s3", "rest-xml", "SelectObjectContent", {"Payload": started(events(query, [BIG], progress=True))})["Payload"]
    )
    assert b"".join(event["Records"]["Payload"] for event in found if "Records" in event) == BIG
    counted = {"BytesScanned": len(BIG), "BytesProcessed": len(BIG), "BytesReturned": len(BIG)}
    assert found[-3:] == [{"Progress": {"Details": counted}}, {"Stats": {"Details": counted}}, {"End": {}}]


def test_an_error_in_mid_stream_over_the_wire() -> None:
    query = compile("SELECT * FROM S3Object", LINES, JSON)
    good = b'{"a":"0123456789"}\n' * 20_000
    stream = iter(
        answered("s3", "rest-xml", "SelectObjectContent", {"Payload": started(events(query, [good, b'{"a":\n']))})["Payload"]
    )
    assert next(stream)["Records"]["Payload"].startswith(b'{"a":"0123456789"}\n')
    with pytest.raises(EventStreamError) as caught:
        for _ in stream:
            pass
    assert caught.value.response["Error"]["Code"] == "JSONParsingError"
