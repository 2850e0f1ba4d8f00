"""From requests to operations: every way in which a client can say what it wants, and what must not be mistaken for what."""

from __future__ import annotations

import datetime
import json
from typing import Any

import pytest

from mallee import wire
from mallee.wire.errors import AwsError
from mallee.wire.routing import Router


def signed(scope: str) -> list[tuple[bytes, bytes]]:
    credential = f"Credential=AKID/20240101/us-east-1/{scope}/aws4_request"
    return [(b"authorization", f"AWS4-HMAC-SHA256 {credential}, SignedHeaders=host, Signature=00".encode())]


def request(method: str, url: str, headers: list[tuple[bytes, bytes]] | None = None, body: bytes = b"") -> wire.Request:
    path, _, query = url.partition("?")
    return wire.Request(method, path.encode(), query.encode(), headers or [], body)


def form(body: str, headers: list[tuple[bytes, bytes]] | None = None) -> wire.Request:
    kind = (b"content-type", b"application/x-www-form-urlencoded; charset=utf-8")
    return request("POST", "/", [*(headers or []), kind], body.encode())


def found(request: wire.Request) -> tuple[str, str, str]:
    route = wire.route(request)
    return route.service.name, route.operation.name, route.protocol.name


def refused(request: wire.Request) -> AwsError:
    with pytest.raises(AwsError) as caught:
        wire.route(request)
    status, _, _ = wire.fallback_error(request, caught.value, "r")
    assert 400 <= status < 600
    return caught.value


def test_forms_by_scope_version_host_and_action() -> None:
    assert found(form("Action=DescribeInstances&Version=2016-11-15", signed("ec2"))) == ("ec2", "DescribeInstances", "ec2")
    assert found(form("Action=DescribeInstances&Version=2009-04-04", signed("ec2")))[0] == "ec2"
    assert found(form("Action=DescribeInstances&Version=2016-11-15"))[0] == "ec2"
    assert found(form("Action=DescribeInstances", [(b"host", b"ec2.local-1.test:8773")]))[0] == "ec2"
    assert found(form("Action=GetCallerIdentity")) == ("sts", "GetCallerIdentity", "query")
    assert found(request("GET", "/?Action=GetCallerIdentity&Version=2011-06-15")) == ("sts", "GetCallerIdentity", "query")


def test_load_balancers_share_a_scope_and_differ_in_version() -> None:
    scope = signed("elasticloadbalancing")
    assert found(form("Action=DescribeLoadBalancers&Version=2015-12-01", scope))[0] == "elbv2"
    assert found(form("Action=DescribeLoadBalancers&Version=2012-06-01", scope))[0] == "elb"
    assert found(form("Action=DescribeLoadBalancers&Version=2011-11-15", scope))[0] == "elb"


def test_any_version_is_accepted_and_echoed() -> None:
    route = wire.route(form("Action=DescribeInstances&Version=2013-10-15", signed("ec2")))
    assert b'xmlns="http://ec2.amazonaws.com/doc/2013-10-15/"' in route.respond({"Reservations": []}, "r")[2]
    odd = wire.route(form('Action=DescribeInstances&Version="><x', signed("ec2")))
    assert b'xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"' in odd.respond({}, "r")[2]
    dated = wire.route(request("GET", "/2012-12-12/hostedzone", signed("route53")))
    assert dated.operation.name == "ListHostedZones"
    assert b"https://route53.amazonaws.com/doc/2012-12-12/" in dated.respond({"HostedZones": []}, "r")[2]


def test_json_by_target() -> None:
    headers = [(b"x-amz-target", b"TrentService.ListKeys"), (b"content-type", b"application/x-amz-json-1.1")]
    assert found(request("POST", "/", headers, b"{}")) == ("kms", "ListKeys", "json")
    error = refused(request("POST", "/", [(b"x-amz-target", b"TrentService.Nothing")]))
    assert error.code == "UnknownOperationException"
    assert refused(request("POST", "/", [(b"x-amz-target", b"DynamoDB_20120810.ListTables")])).code == "UnknownOperationException"


def test_the_protocol_is_the_requests() -> None:
    cbor = [(b"smithy-protocol", b"rpc-v2-cbor")]
    path = "/service/GraniteServiceVersion20100801/operation/ListMetrics"
    assert found(request("POST", path, cbor)) == ("cloudwatch", "ListMetrics", "smithy-rpc-v2-cbor")
    json = [(b"x-amz-target", b"GraniteServiceVersion20100801.ListMetrics")]
    assert found(request("POST", "/", json)) == ("cloudwatch", "ListMetrics", "json")
    assert found(form("Action=ListMetrics&Version=2010-08-01", signed("monitoring"))) == ("cloudwatch", "ListMetrics", "query")
    assert found(form("Action=ListQueues&Version=2012-11-05", signed("sqs"))) == ("sqs", "ListQueues", "query")


def test_answers_bear_the_json_version_of_the_request() -> None:
    headers = [(b"x-amz-target", b"AmazonSQS.ListQueues"), (b"content-type", b"application/x-amz-json-1.1")]
    route = wire.route(request("POST", "/", headers, b"{}"))
    assert (b"content-type", b"application/x-amz-json-1.1") in route.respond({}, "r")[1]
    assert (b"content-type", b"application/x-amz-json-1.1") in route.error(AwsError("A", "b"), "r")[1]


def test_a_query_client_may_ask_for_json() -> None:
    wanted = (b"accept", b"application/json")
    route = wire.route(form("Action=GetUser&Version=2010-05-08", [*signed("iam"), wanted]))
    at = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    user = {"UserName": "u", "Path": "/", "UserId": "id", "Arn": "arn", "CreateDate": at, "Tags": [{"Key": "k", "Value": "v"}]}
    status, headers, body = route.respond({"User": user}, "r")
    told = json.loads(body)["GetUserResponse"]
    assert (status, headers[0]) == (200, (b"content-type", b"application/json"))
    assert told["ResponseMetadata"] == {"RequestId": "r"}
    assert told["GetUserResult"]["User"] == user | {"CreateDate": at.timestamp()}
    error = json.loads(route.error(AwsError("NoSuchEntity", "x"), "r")[2])
    assert error == {"Error": {"Code": "NoSuchEntity", "Message": "x", "Type": "Sender"}, "RequestId": "r"}
    unknown = form("Action=Nothing", [*signed("iam"), wanted])
    assert json.loads(wire.fallback_error(unknown, refused(unknown), "r")[2])["Error"]["Code"] == "InvalidAction"
    nothing = wire.route(form("Action=DeleteUser&Version=2010-05-08", [*signed("iam"), wanted])).respond(None, "r")
    assert json.loads(nothing[2]) == {"DeleteUserResponse": {"ResponseMetadata": {"RequestId": "r"}}}
    for others in (b"*/*", b"application/json, text/plain, */*", b"text/xml"):
        route = wire.route(form("Action=GetUser&Version=2010-05-08", [*signed("iam"), (b"accept", others)]))
        assert route.respond({"User": user}, "r")[2].startswith(b"<?xml")


def test_presigned_scopes() -> None:
    query = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKID%2F20240101%2Fus-east-1%2Fsts%2Faws4_request&X-Amz-Date=x"
    assert found(request("GET", f"/?Action=GetCallerIdentity&Version=2011-06-15&{query}"))[0] == "sts"
    s3 = query.replace("sts", "s3")
    assert found(request("GET", f"/bucket/key?{s3}")) == ("s3", "GetObject", "rest-xml")


def test_unknown_actions_services_and_nothing_at_all() -> None:
    assert refused(form("Action=Frobnicate&Version=2016-11-15", signed("ec2"))).code == "InvalidAction"
    assert refused(form("Action=Frobnicate&Version=2010-05-08", signed("iam"))).code == "InvalidAction"
    assert refused(form("Action=Frobnicate")).code == "InvalidAction"
    assert refused(form("Version=2016-11-15", signed("ec2"))).code == "InvalidAction"
    assert "dynamodb" in refused(request("POST", "/", signed("dynamodb"))).message
    assert refused(request("POST", "/", signed("logs"))).code == "UnknownOperationException"
    assert refused(request("BREW", "/")).code == "MethodNotAllowed"


S3 = [
    ("GET", "/", "ListBuckets"),
    ("GET", "/b", "ListObjects"),
    ("GET", "/b/", "ListObjects"),
    ("GET", "/b?prefix=a&list-type=2", "ListObjectsV2"),
    ("GET", "/b?list-type=1", "ListObjects"),
    ("GET", "/b?acl", "GetBucketAcl"),
    ("GET", "/b?acl=", "GetBucketAcl"),
    ("GET", "/b?versions&prefix=x", "ListObjectVersions"),
    ("GET", "/b?uploads", "ListMultipartUploads"),
    ("GET", "/b?analytics", "ListBucketAnalyticsConfigurations"),
    ("GET", "/b?analytics&id=1", "GetBucketAnalyticsConfiguration"),
    ("GET", "/b?lifecycle", "GetBucketLifecycleConfiguration"),
    ("GET", "/b?notification", "GetBucketNotificationConfiguration"),
    ("GET", "/b?something-new", "ListObjects"),
    ("HEAD", "/b", "HeadBucket"),
    ("PUT", "/b", "CreateBucket"),
    ("DELETE", "/b", "DeleteBucket"),
    ("DELETE", "/b?policy", "DeleteBucketPolicy"),
    ("POST", "/b?delete", "DeleteObjects"),
    ("GET", "/b/k", "GetObject"),
    ("GET", "/b/k?x-id=GetObject", "GetObject"),
    ("GET", "/b/k?response-content-type=text%2Fplain", "GetObject"),
    ("GET", "/b/a/b//c/", "GetObject"),
    ("GET", "/b//", "GetObject"),
    ("GET", "/b/k?uploadId=1", "ListParts"),
    ("GET", "/b/k?tagging", "GetObjectTagging"),
    ("PUT", "/b/k", "PutObject"),
    ("PUT", "/b/k?partNumber=1&uploadId=2", "UploadPart"),
    ("POST", "/b/k?uploads", "CreateMultipartUpload"),
    ("POST", "/b/k?uploadId=1", "CompleteMultipartUpload"),
    ("DELETE", "/b/k?uploadId=1", "AbortMultipartUpload"),
    ("DELETE", "/b/k?versionId=1", "DeleteObject"),
    ("PUT", "/b/k?X-Amz-Security-Token=", "PutObject"),
    ("POST", "/b/k?select&select-type=2", "SelectObjectContent"),
]


@pytest.mark.parametrize(("method", "url", "operation"), S3)
def test_s3_paths(method: str, url: str, operation: str) -> None:
    assert found(request(method, url)) == ("s3", operation, "rest-xml")
    assert found(request(method, url, signed("s3"))) == ("s3", operation, "rest-xml")


def test_s3_copies_are_told_by_their_header() -> None:
    source = [(b"x-amz-copy-source", b"/b/k")]
    assert found(request("PUT", "/b/k", source))[1] == "CopyObject"
    assert found(request("PUT", "/b/k?partNumber=1&uploadId=2", source))[1] == "UploadPartCopy"


@pytest.mark.parametrize("url", ["/b?acl", "/b?versions", "/b?brand-new", "/b/k?acl", "/b/k?brand-new="])
def test_a_strange_subresource_never_deletes(url: str) -> None:
    assert refused(request("DELETE", url)).code in ("MethodNotAllowed", "NotImplemented")


def test_s3_virtual_hosts() -> None:
    router = Router(wire.services, ("localhost", "s3.cloud.test"))

    def at(host: bytes, url: str) -> tuple[str, Any]:
        route = router.route(request("GET", url, [(b"host", host)]))
        return route.operation.name, route.params

    assert at(b"bucket.localhost:8773", "/k%2Fey") == ("GetObject", {"Bucket": "bucket", "Key": "k%2Fey"})
    assert at(b"my.dotted.bucket.s3.cloud.test", "/") == ("ListObjects", {"Bucket": "my.dotted.bucket"})
    assert at(b"s3.cloud.test", "/b/k") == ("GetObject", {"Bucket": "b", "Key": "k"})
    assert at(b"s3.localhost", "/b/k") == ("GetObject", {"Bucket": "b", "Key": "k"})
    assert at(b"[::1]:8773", "/b/k") == ("GetObject", {"Bucket": "b", "Key": "k"})
    assert at(b"LOCALHOST", "/b/k") == ("GetObject", {"Bucket": "b", "Key": "k"})


def test_raw_paths_are_decoded_once() -> None:
    got = request("GET", "/b/a%2Fb%20c%252F+%C3%A4", signed("s3"))
    assert wire.route(got).parse(got)["Key"] == "a/b c%2F+ä"
    bad = request("GET", "/b/%FF%FE", signed("s3"))
    with pytest.raises(AwsError) as caught:
        wire.route(bad).parse(bad)
    assert caught.value.code == "InvalidURI"


def test_route53_trailing_slashes_and_nearby_paths() -> None:
    scope = signed("route53")
    base = "/2013-04-01"
    assert found(request("POST", f"{base}/hostedzone/Z1/rrset/", scope))[1] == "ChangeResourceRecordSets"
    assert found(request("POST", f"{base}/hostedzone/Z1/rrset", scope))[1] == "ChangeResourceRecordSets"
    assert (
        found(request("GET", f"{base}/trafficpolicyinstances/hostedzone", scope))[1] == "ListTrafficPolicyInstancesByHostedZone"
    )
    assert found(request("GET", f"{base}/hostedzonesbyname", scope))[1] == "ListHostedZonesByName"
    assert refused(request("GET", f"{base}/nothing", scope)).code == "InvalidAction"


def test_streaming_operations_are_known_before_the_body() -> None:
    assert wire.route(request("PUT", "/b/k", signed("s3"))).streams
    assert not wire.route(request("PUT", "/b?acl", signed("s3"))).streams
    assert not wire.route(form("Action=DescribeInstances&Version=2016-11-15")).streams


def test_a_streaming_body_is_handed_on_untouched() -> None:
    body = object()
    got = wire.Request("PUT", b"/b/k", b"", signed("s3"), body)
    assert wire.route(got).parse(got)["Body"] is body


def test_errors_of_head_have_no_body() -> None:
    route = wire.route(request("HEAD", "/b/k"))
    status, _, body = route.error(AwsError("NoSuchKey", "x"), "r")
    assert (status, body) == (404, b"")


def test_fallback_errors_take_the_form_that_the_client_reads() -> None:
    error = AwsError("Oops", "x")
    assert wire.fallback_error(form("Action=A&Version=2016-11-15"), error, "r")[2].startswith(b"<?xml")
    assert b"<Response><Errors>" in wire.fallback_error(form("Action=A&Version=2016-11-15"), error, "r")[2]
    assert b"<ErrorResponse" in wire.fallback_error(form("Action=A", signed("iam")), error, "r")[2]
    assert wire.fallback_error(request("POST", "/", [(b"x-amz-target", b"X.Y")]), error, "r")[2].startswith(b"{")
    assert b"<Error><Code>Oops" in wire.fallback_error(request("GET", "/b/k"), error, "r")[2]
    assert wire.fallback_error(request("GET", "/snapshots/x", signed("ebs")), error, "r")[2].startswith(b"{")


def test_the_sqs_queue_may_be_the_path() -> None:
    kind = (b"content-type", b"application/x-www-form-urlencoded")
    headers = [*signed("sqs"), kind, (b"host", b"cloud.test:8773")]
    got = request("POST", "/123456789012/jobs", headers, b"Action=SendMessage&Version=2012-11-05&MessageBody=hi")
    assert wire.route(got).parse(got) == {"QueueUrl": "http://cloud.test:8773/123456789012/jobs", "MessageBody": "hi"}


def test_the_table_agrees_with_the_models() -> None:
    for entry in wire.services.entries:
        metadata = wire.services.get(entry.name).model.metadata
        assert entry.version == metadata["apiVersion"]
        assert entry.protocols[0] == metadata["protocol"]
        assert set(metadata.get("protocols", ())) <= set(entry.protocols)
        assert entry.target == metadata.get("targetPrefix")
        assert entry.query_compatible == ("awsQueryCompatible" in metadata)
        assert metadata.get("signingName", metadata["endpointPrefix"]) in entry.scopes
