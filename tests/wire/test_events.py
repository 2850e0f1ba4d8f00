"""Event streams, through botocore's reader of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.eventstream import EventStreamBuffer
from botocore.exceptions import EventStreamError

from mallee import wire
from mallee.wire.errors import AwsError
from tests.wire import peer


class Raw:
    """What botocore's event streams read from: urllib3's response, as far as they use it."""

    def __init__(self, frames: Iterator[bytes]) -> None:
        self._frames = frames

    def stream(self) -> Iterator[bytes]:
        for frame in self._frames:
            yield frame[:7]
            yield frame[7:]

    def close(self) -> None:
        pass


def answered(service: str, protocol: str, name: str, output: dict[str, Any]) -> dict[str, Any]:
    model = peer.model_of(service, protocol)
    route = wire.Route(wire.services.get(service), wire.services.get(service).operation(name), wire.PROTOCOLS[protocol], "x")
    status, headers, frames = route.respond(output, "request-1")
    assert (b"content-type", b"application/vnd.amazon.eventstream") in headers
    return peer.parsed(model.operation_model(name), protocol, (status, headers, Raw(frames)))


def test_select_object_content() -> None:
    events = [
        {"Records": {"Payload": b"a,b\n"}},
        {"Progress": {"Details": {"BytesScanned": 10, "BytesProcessed": 9}}},
        {"Stats": {"Details": {"BytesScanned": 10, "BytesProcessed": 10, "BytesReturned": 4}}},
        {"End": {}},
    ]
    found = answered("s3", "rest-xml", "SelectObjectContent", {"Payload": iter(events)})
    assert list(found["Payload"]) == events


def test_live_tail() -> None:
    start = {"requestId": "r", "sessionId": "s", "logGroupIdentifiers": ["g"]}
    update = {"sessionMetadata": {"sampled": False}, "sessionResults": [{"message": "hello", "timestamp": 5}]}
    events = [{"sessionStart": start}, {"sessionUpdate": update}]
    found = answered("logs", "json", "StartLiveTail", {"responseStream": events})
    assert list(found["responseStream"]) == events


def test_an_error_ends_the_stream() -> None:
    def events() -> Iterator[dict[str, Any]]:
        yield {"Records": {"Payload": b"x"}}
        raise AwsError("InternalError", "no more")

    stream = iter(answered("s3", "rest-xml", "SelectObjectContent", {"Payload": events()})["Payload"])
    assert next(stream) == {"Records": {"Payload": b"x"}}
    with pytest.raises(EventStreamError, match="no more"):
        next(stream)


def test_frames_are_made_one_at_a_time() -> None:
    made = 0

    def events() -> Iterator[dict[str, Any]]:
        nonlocal made
        for number in range(3):
            made += 1
            yield {"Records": {"Payload": b"%d" % number}}
        raise AwsError("OverMaxRecordSize", "too long")

    route = wire.Route(
        wire.services.get("s3"), wire.services.get("s3").operation("SelectObjectContent"), wire.PROTOCOLS["rest-xml"], "x"
    )
    _, _, frames = route.respond({"Payload": events()}, "request-1")
    assert made == 0
    for count in (1, 2, 3):
        assert next(frames)
        assert made == count
    buffer = EventStreamBuffer()
    buffer.add_data(next(frames))
    assert next(buffer).headers == {
        ":message-type": "error", ":error-code": "OverMaxRecordSize", ":error-message": "too long",
    }  # fmt: skip
    assert next(frames, None) is None


def test_a_stream_that_is_dropped_drops_its_source() -> None:
    closed = False

    def events() -> Iterator[dict[str, Any]]:
        nonlocal closed
        try:
            while True:
                yield {"Records": {"Payload": b"x"}}
        finally:
            closed = True

    route = wire.Route(
        wire.services.get("s3"), wire.services.get("s3").operation("SelectObjectContent"), wire.PROTOCOLS["rest-xml"], "x"
    )
    _, _, frames = route.respond({"Payload": events()}, "request-1")
    next(frames)
    frames.close()
    del frames
    assert closed
