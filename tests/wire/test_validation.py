"""What is refused, and in whose words."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mallee import wire
from mallee.wire.errors import AwsError
from tests.wire.test_routing import form, request, signed


def refusal(request: wire.Request) -> AwsError:
    with pytest.raises(AwsError) as caught:
        wire.route(request).parse(request)
    return caught.value


def ec2(parameters: str) -> AwsError:
    return refusal(form(f"Version=2016-11-15&{parameters}", signed("ec2")))


def iam(parameters: str) -> AwsError:
    return refusal(form(f"Version=2010-05-08&{parameters}", signed("iam")))


def aws_json(target: str, body: Any) -> AwsError:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return refusal(request("POST", "/", [(b"x-amz-target", target.encode())], raw))


def s3(method: str, url: str, body: bytes = b"", headers: list[tuple[bytes, bytes]] | None = None) -> AwsError:
    return refusal(request(method, url, [*signed("s3"), *(headers or [])], body))


@pytest.mark.parametrize(
    ("parameters", "code", "message"),
    [
        ("Action=RunInstances&MinCount=1", "MissingParameter", "The request must contain the parameter MaxCount"),
        (
            "Action=CreateTags&ResourceId.1=i-1",
            "MissingParameter",
            "The request must contain the parameter Tag",
        ),
        ("Action=DescribeInstances&Foo=1", "UnknownParameter", "The parameter Foo is not recognized"),
        ("Action=DescribeInstances&Filter.1.Foo=1", "UnknownParameter", "The parameter Filter.1.Foo is not recognized"),
        ("Action=DescribeInstances&Filter.x.Name=1", "UnknownParameter", "The parameter Filter.x is not recognized"),
        ("Action=DescribeInstances&Filter.1.Name.2=1", "UnknownParameter", "The parameter Filter.1.Name is not recognized"),
        (
            "Action=RunInstances&MaxCount=1&MinCount=many",
            "InvalidParameterValue",
            "Invalid value 'many' for MinCount. Expecting an integer.",
        ),
        (
            "Action=RunInstances&MaxCount=1&MinCount=99999999999",
            "InvalidParameterValue",
            "Invalid value '99999999999' for MinCount. Expecting an integer.",
        ),
        (
            "Action=DescribeInstances&DryRun=maybe",
            "InvalidParameterValue",
            "Invalid value 'maybe' for DryRun. Expecting true or false.",
        ),
        (
            "Action=DescribeVpcs&MaxResults=2",
            "InvalidParameterValue",
            "Value ( 2 ) for parameter maxResults is invalid. Expecting a value greater than 5.",
        ),
        ("Action=ImportKeyPair&KeyName=a&PublicKeyMaterial=%21", "InvalidParameterValue", None),
    ],
)
def test_ec2(parameters: str, code: str, message: str | None) -> None:
    error = ec2(parameters)
    assert error.code == code
    assert message is None or error.message == message


def test_ec2_accepts_values_newer_than_its_model() -> None:
    got = form("Action=RunInstances&Version=2016-11-15&MinCount=1&MaxCount=1&InstanceType=zz9.plural", signed("ec2"))
    assert wire.route(got).parse(got)["InstanceType"] == "zz9.plural"


def test_lists_are_as_long_as_the_fields_that_were_sent() -> None:
    got = form(
        "Action=DescribeInstances&Version=2016-11-15&Filter.999999999.Name=b&Filter.2.Name=a&InstanceId.10=y&InstanceId.9=x",
        signed("ec2"),
    )
    assert wire.route(got).parse(got) == {"Filters": [{"Name": "a"}, {"Name": "b"}], "InstanceIds": ["x", "y"]}


def test_the_framework_tells_all_violations_at_once() -> None:
    error = iam("Action=CreateUser&UserName=a%20b&Path=nowhere&Tags.member.1.Key=")
    assert error.code == "ValidationError"
    assert error.message.startswith("5 validation errors detected: ")
    for part in (
        "Value 'a b' at 'userName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\w+=,.@-]+",
        "Value 'nowhere' at 'path' failed to satisfy constraint: Member must satisfy regular expression pattern",
        "Value '' at 'tags.1.member.key' failed to satisfy constraint: Member must have length greater than or equal to 1",
    ):
        assert part in error.message


def test_query_services() -> None:
    error = iam("Action=CreateUser")
    assert (error.code, error.message) == (
        "ValidationError",
        "1 validation error detected: Value null at 'userName' failed to satisfy constraint: Member must not be null",
    )
    error = iam("Action=ListUsers&MaxItems=5000")
    assert "Value '5000' at 'maxItems' failed to satisfy constraint: Member must have value less than or equal to 1000" in (
        error.message
    )
    error = iam("Action=ListUsers&MaxItems=x")
    assert (error.code, error.message) == ("MalformedInput", "x can not be converted to an Integer")
    assert "Member must satisfy enum value set: [User, Role" in iam("Action=GetAccountAuthorizationDetails&Filter.member.1=X").message


def test_query_services_pass_over_what_they_do_not_know() -> None:
    got = form("Action=GetUser&Version=2010-05-08&UserName=a&Foo.Bar=1", signed("iam"))
    assert wire.route(got).parse(got) == {"UserName": "a"}


def test_cloudwatch_and_sqs_name_what_is_missing() -> None:
    error = refusal(form("Action=PutMetricData&Version=2010-08-01", signed("monitoring")))
    assert (error.code, error.message) == ("MissingParameter", "The parameter Namespace is required.")
    error = refusal(form("Action=SendMessage&Version=2012-11-05&QueueUrl=x", signed("sqs")))
    assert (error.code, error.message) == ("MissingParameter", "The request must contain the parameter MessageBody.")


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        (b"{", "SerializationException", "The request body is not valid JSON."),
        (b'{"KeyId": NaN}', "SerializationException", "The request body is not valid JSON."),
        (b"[]", "SerializationException", "Start of list found where not expected"),
        ({"KeyId": 5}, "SerializationException", "NUMBER_VALUE can not be converted to a String"),
        ({"KeyId": {}}, "SerializationException", "Start of structure or map found where not expected."),
        (
            {"KeyId": "k", "GrantTokens": "x"},
            "SerializationException",
            "Unexpected field type",
        ),
        (
            {},
            "ValidationException",
            "1 validation error detected: Value null at 'keyId' failed to satisfy constraint: Member must not be null",
        ),
        ({"KeyId": None}, "ValidationException", None),
    ],
)
def test_json(body: Any, code: str, message: str | None) -> None:
    error = aws_json("TrentService.DescribeKey", body)
    assert error.code == code
    assert message is None or error.message == message


def test_logs_have_a_code_of_their_own() -> None:
    assert aws_json("Logs_20140328.CreateLogGroup", {}).code == "InvalidParameterException"


def test_regions_of_aws_are_not_the_only_ones() -> None:
    body = b"<CreateBucketConfiguration><LocationConstraint>local-1</LocationConstraint></CreateBucketConfiguration>"
    got = request("PUT", "/b", signed("s3"), body)
    assert wire.route(got).parse(got)["CreateBucketConfiguration"] == {"LocationConstraint": "local-1"}
    raw = json.dumps({"KeyId": "k", "ReplicaRegion": "local-1"}).encode()
    got = request("POST", "/", [(b"x-amz-target", b"TrentService.ReplicateKey")], raw)
    assert wire.route(got).parse(got)["ReplicaRegion"] == "local-1"


TAGS = b"<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>"


@pytest.mark.parametrize(
    "body",
    [
        b"<Tagging",
        b"not xml",
        TAGS.replace(b"Value>", b"Valve>"),
        TAGS.replace(b"<Key>a</Key>", b"<Key><b/></Key>"),
        TAGS.replace(b"<Key>a</Key>", b""),
        b"<Tagging>text</Tagging>",
        b'<!DOCTYPE a [<!ENTITY x "y">]>' + TAGS,
        b'<!DOCTYPE a SYSTEM "file:///etc/passwd">' + TAGS,
        b"\xff\xfe" + TAGS,
        TAGS.replace(b"<Key>a", b"<Key>\x00"),
        b"<a>" * 1000 + b"</a>" * 1000,
    ],
)
def test_s3_bodies_are_held_against_the_schema(body: bytes) -> None:
    assert s3("PUT", "/b?tagging", body).code == "MalformedXML"


def test_s3_bodies_may_bear_any_namespace() -> None:
    for opening in (b'<Tagging xmlns="http://s3.amazonaws.com/doc/2006-03-01/">', b'<s:Tagging xmlns:s="x">'):
        closing = b"</s:Tagging>" if opening.startswith(b"<s:") else b"</Tagging>"
        body = TAGS.replace(b"<Tagging>", opening).replace(b"</Tagging>", closing)
        got = request("PUT", "/b?tagging", signed("s3"), body)
        assert wire.route(got).parse(got)["Tagging"] == {"TagSet": [{"Key": "a", "Value": "b"}]}


def test_s3_arguments() -> None:
    error = s3("GET", "/b?max-keys=many")
    assert (error.code, error.message) == ("InvalidArgument", "Provided max-keys not an integer or within integer range")
    assert error.fields == {"ArgumentName": "max-keys", "ArgumentValue": "many"}
    assert s3("GET", "/b?encoding-type=rot13").message == "Invalid Encoding Method specified in Request"
    assert s3("PUT", "/b/k", headers=[(b"x-amz-acl", b"everybody")]).code == "InvalidArgument"
    assert s3("PUT", "/b/k", headers=[(b"x-amz-storage-class", b"TAPE")]).code == "InvalidStorageClass"
    assert s3("PUT", "/b?tagging").code == "MissingRequestBodyError"
    assert s3("GET", "/b/k?attributes").code == "InvalidRequest"


def test_route53() -> None:
    scope = signed("route53")
    error = refusal(request("POST", "/2013-04-01/hostedzone", scope, b"<CreateHostedZoneRequest/>"))
    assert error.code == "InvalidInput"
    assert refusal(request("POST", "/2013-04-01/hostedzone", scope, b"<")).code == "InvalidInput"
    assert refusal(request("GET", "/2013-04-01/hostedzone?maxitems=1&delegationsetid=" + "x" * 99, scope)).code == "InvalidInput"


def test_output_that_does_not_fit_names_the_place() -> None:
    route = wire.route(form("Action=DescribeInstances&Version=2016-11-15"))
    for output, place in (
        ({"Reservations": [{"Instances": [{"InstanceID": "i"}]}]}, "output.Reservations[0].Instances[0]"),
        ({"Reservations": [{"Instances": [{"InstanceId": 5}]}]}, "output.Reservations[0].Instances[0].InstanceId"),
        ({"Reservations": [{"OwnerId": b"x"}]}, "output.Reservations[0].OwnerId"),
        ({"Nope": 1}, "output"),
    ):
        with pytest.raises(wire.OutputError, match=r".*") as caught:
            route.respond(output, "r")
        assert place in str(caught.value)
    assert b"<reservationSet>" not in route.respond({"Reservations": None}, "r")[2]
