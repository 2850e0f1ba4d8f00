"""Every operation of every service, through botocore's own serializer and parser, in each protocol that the service speaks."""

from __future__ import annotations

import io
from typing import Any

import pytest

from mallee import wire
from mallee.wire.errors import AwsError
from tests.wire import peer
from tests.wire.generate import Generator, without_empties

EXAMPLES = 8
# Operations that share their request with a successor, which answers for them.
SUCCESSORS = {
    "GetBucketLifecycle": "GetBucketLifecycleConfiguration",
    "GetBucketNotification": "GetBucketNotificationConfiguration",
    "PutBucketLifecycle": "PutBucketLifecycleConfiguration",
    "PutBucketNotification": "PutBucketNotificationConfiguration",
    "ListDirectoryBuckets": "ListBuckets",
}
# The one operation of S3 Control (of Outposts) that names no account, so that it is an object's PutObject.
INDISTINCT = {("s3control", "CreateBucket")}


@pytest.mark.parametrize(("service", "protocol"), peer.SPOKEN)
def test_inputs(service: str, protocol: str) -> None:
    model = peer.model_of(service, protocol)
    for name in model.operation_names:
        if name in SUCCESSORS or (service, name) in INDISTINCT:
            continue
        shape = model.operation_model(name).input_shape
        for example in range(EXAMPLES):
            params = Generator((service, name, example), protocol).structure(shape) if shape else {}
            request = peer.request_of(service, protocol, name, params)
            route = wire.route(request)
            assert (route.service.name, route.operation.name, route.protocol.name) == (service, name, protocol)
            found = route.protocol.read(route, request)
            if "ContentLength" not in params:  # botocore's HTTP layer adds the header.
                found.pop("ContentLength", None)
            assert comparable(found) == comparable(params), name
            only_patterns_refused(route, request)


def only_patterns_refused(route: wire.Route, request: wire.Request) -> None:
    """The generator keeps all of the model's constraints but its patterns."""
    found = route.protocol.violations(route, route.protocol.read(route, request))
    assert [violation for violation in found if violation.rule != "pattern"] == []
    if found:
        with pytest.raises(AwsError):
            route.parse(request)
    else:
        route.parse(request)


@pytest.mark.parametrize(("service", "protocol"), peer.SPOKEN)
def test_outputs(service: str, protocol: str) -> None:
    model = peer.model_of(service, protocol)
    catalogue = wire.services.get(service).model_for(protocol)
    for name in model.operation_names:
        op = model.operation_model(name)
        if op.has_event_stream_output or name in SUCCESSORS:
            continue
        operation = catalogue.operation(name)
        for example in range(EXAMPLES):
            output = Generator((service, name, example, "out"), protocol).structure(op.output_shape) if op.output_shape else {}
            route = wire.Route(wire.services.get(service), operation, wire.PROTOCOLS[protocol], "2001-01-01")
            response = route.respond(dict(output), "request-1")
            found = peer.parsed(op, protocol, response)
            metadata = found.pop("ResponseMetadata", {})
            if protocol != "smithy-rpc-v2-cbor" or op.output_shape:
                assert metadata.get("RequestId") == "request-1", name
            if name == "GetBucketLocation":  # boto3 reads the root element in a handler of its own.
                continue
            assert comparable(found) == comparable(output), name


def comparable(value: Any) -> Any:
    """Without what means absence; streams read."""
    read = {key: _read(item) for key, item in without_empties(value).items()}
    return {key: item for key, item in read.items() if item not in (b"", "")}


def _read(value: Any) -> Any:
    if isinstance(value, io.BytesIO):
        return value.read()
    return value
