"""Errors through botocore's parser: the code, the message, the modelled exception and its members, the status, the request id."""

from __future__ import annotations

from typing import Any

import pytest

from mallee import wire
from mallee.wire.errors import AwsError
from tests.wire import peer
from tests.wire.generate import Generator, without_empties

MESSAGE = "What went wrong: <a> & 'b' — 漢"


def route_of(service: str, protocol: str) -> wire.Route:
    model = wire.services.get(service).model_for(protocol)
    operation = next(iter(model.operations.values()))
    return wire.Route(wire.services.get(service), operation, wire.PROTOCOLS[protocol], wire.services.get(service).version)


@pytest.mark.parametrize(("service", "protocol"), peer.SPOKEN)
def test_modelled_exceptions(service: str, protocol: str) -> None:
    model = peer.model_of(service, protocol)
    route = route_of(service, protocol)
    op = model.operation_model(route.operation.name)
    for shape in model.error_shapes:
        modelled = shape.metadata.get("error", {})
        fields = Generator((service, shape.name), protocol).structure(shape)
        message_name = next((name for name in fields if name.lower() == "message"), None)
        members = {name: value for name, value in fields.items() if name != message_name}
        told_by = {shape.name, modelled.get("code", shape.name)} if unambiguous(model, shape) else {shape.name}
        for code in sorted(told_by):
            response = route.error(AwsError(code, MESSAGE, **members), "request-1")
            assert response[0] == modelled.get("httpStatusCode", 500 if shape.metadata.get("fault") else response[0])
            found = peer.parsed(op, protocol, response)
            assert found["Error"]["Message"] == MESSAGE
            assert found["ResponseMetadata"]["RequestId"] == "request-1"
            # What boto3 looks its exception up by; SQS's model lacks the codes of its forms.
            seen = found["Error"]["QueryErrorCode"] if (service, protocol) == ("sqs", "json") else found["Error"]["Code"]
            if (service, protocol) != ("sqs", "query"):
                assert model.shape_for_error_code(seen) is not None, (shape.name, seen)
            again = peer.parsed(op, protocol, response, shape)
            expected = dict(members)
            message_name = next((name for name in shape.members if name.lower() == "message"), None)
            if message_name == "Message" or (message_name and protocol not in ("query", "rest-xml")):
                expected[message_name] = MESSAGE  # In XML it is Message, whatever the model says.
            assert without_empties(again) == without_empties(expected), shape.name


def unambiguous(model: Any, shape: Any) -> bool:
    codes = [other.metadata.get("error", {}).get("code", other.name) for other in model.error_shapes]
    names = {other.name for other in model.error_shapes}
    code = shape.metadata.get("error", {}).get("code", shape.name)
    return codes.count(code) == 1 and (code == shape.name or code not in names)


@pytest.mark.parametrize(("service", "protocol"), peer.SPOKEN)
def test_errors_that_no_model_knows(service: str, protocol: str) -> None:
    route = route_of(service, protocol)
    op = peer.model_of(service, protocol).operation_model(route.operation.name)
    response = route.error(AwsError("SomethingElse", MESSAGE, Hint="one"), "request-2")
    assert response[0] == 400
    error = peer.parsed(op, protocol, response)["Error"]
    assert (error["Code"], error["Message"]) == ("SomethingElse", MESSAGE)
    assert route.error(AwsError("SomethingElse", "x", status=503), "r")[0] == 503


@pytest.mark.parametrize(
    ("service", "protocol", "code", "status"),
    [
        ("ec2", "ec2", "UnsupportedOperation", 400),
        ("iam", "query", "InvalidAction", 400),
        ("s3", "rest-xml", "NotImplemented", 501),
        ("route53", "rest-xml", "InvalidAction", 400),
        ("kms", "json", "UnknownOperationException", 400),
        ("ebs", "rest-json", "UnknownOperationException", 404),
        ("cloudwatch", "smithy-rpc-v2-cbor", "InvalidAction", 400),
        ("sqs", "json", "AWS.SimpleQueueService.UnsupportedOperation", 400),
        ("sqs", "query", "AWS.SimpleQueueService.UnsupportedOperation", 400),
    ],
)
def test_operations_that_mallee_does_not_have(service: str, protocol: str, code: str, status: int) -> None:
    route = route_of(service, protocol)
    op = peer.model_of(service, protocol).operation_model(route.operation.name)
    response = route.error(route.unsupported(), "request-3")
    assert response[0] == status
    error = peer.parsed(op, protocol, response)["Error"]
    assert error["Code"] == code
    assert "Mallee" in error["Message"] and route.operation.name in error["Message"]


def test_ec2_errors_have_their_own_form() -> None:
    status, headers, body = route_of("ec2", "ec2").error(AwsError("InvalidInstanceID.NotFound", "No <i>"), "abc")
    assert status == 400
    assert dict(headers)[b"content-type"].startswith(b"text/xml")
    assert body.decode().endswith(
        "<Response><Errors><Error><Code>InvalidInstanceID.NotFound</Code><Message>No &lt;i&gt;</Message></Error></Errors>"
        "<RequestID>abc</RequestID></Response>\n"
    )


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("AuthFailure", 401),
        ("UnauthorizedOperation", 403),
        ("DryRunOperation", 412),
        ("InsufficientInstanceCapacity", 500),
        ("RequestLimitExceeded", 503),
        ("Unavailable", 503),
        ("InternalError", 500),
        ("VcpuLimitExceeded", 400),
    ],
)
def test_ec2_statuses(code: str, status: int) -> None:
    assert route_of("ec2", "ec2").error(AwsError(code, "x"), "r")[0] == status


@pytest.mark.parametrize(
    ("code", "status"), [("NoSuchKey", 404), ("AccessDenied", 403), ("BucketNotEmpty", 409), ("InvalidRange", 416), ("SlowDown", 503)]
)
def test_s3_statuses(code: str, status: int) -> None:
    assert route_of("s3", "rest-xml").error(AwsError(code, "x"), "r")[0] == status


def test_s3_errors_have_no_namespace_and_carry_their_fields() -> None:
    _, headers, body = route_of("s3", "rest-xml").error(AwsError("NoSuchKey", "gone", Key="a&b", BucketName=None), "id")
    assert b"xmlns" not in body
    assert b"<Key>a&amp;b</Key><RequestId>id</RequestId>" in body
    assert (b"x-amz-request-id", b"id") in headers


def test_s3_not_modified_has_no_body() -> None:
    assert route_of("s3", "rest-xml").error(AwsError("NotModified", "x"), "id")[2] == b""


def test_old_query_codes_go_with_json_and_cbor() -> None:
    headers = dict(route_of("sqs", "json").error(AwsError("QueueDoesNotExist", "x"), "r")[1])
    assert headers[b"x-amzn-query-error"] == b"AWS.SimpleQueueService.NonExistentQueue;Sender"
    body = route_of("sqs", "query").error(AwsError("QueueDoesNotExist", "x"), "r")[2]
    assert b"<Code>AWS.SimpleQueueService.NonExistentQueue</Code>" in body
    by_code = route_of("sqs", "json").error(AwsError("AWS.SimpleQueueService.NonExistentQueue", "x"), "r")[2]
    assert b'"__type":"QueueDoesNotExist"' in by_code
    headers = dict(route_of("cloudwatch", "smithy-rpc-v2-cbor").error(AwsError("InvalidParameterValueException", "x"), "r")[1])
    assert headers[b"x-amzn-query-error"] == b"InvalidParameterValue;Sender"


def test_controls_and_surrogates_in_messages_do_no_harm() -> None:
    for service, protocol in peer.SPOKEN:
        route = route_of(service, protocol)
        op = peer.model_of(service, protocol).operation_model(route.operation.name)
        response = route.error(AwsError("Odd\r\nSet-Cookie: a", "bad \x00 \ud800 \uffff ]]> text", Odd="\x01"), "r")
        peer.parsed(op, protocol, response)
        assert all(b"\n" not in value and b"\r" not in value for _, value in response[1])
