"""Answers that are not as the model says: another status, headers of an error."""

from __future__ import annotations

from mallee.wire import AwsError, Request, route
from mallee.wire.output import Answered


def test_an_output_may_have_another_status() -> None:
    found = route(Request("POST", b"/bucket/key", b"restore", [(b"host", b"s3.example")], b""))
    assert found.operation.name == "RestoreObject"
    assert found.respond(None, "id")[0] == found.respond({}, "id")[0] == 200
    assert found.respond(Answered(202), "id")[0] == 202


def test_an_error_has_headers() -> None:
    found = route(Request("HEAD", b"/bucket/key", b"", [(b"host", b"s3.example")], b""))
    refusal = AwsError("NoSuchKey", "The specified key does not exist.", status=404, headers=((b"x-amz-delete-marker", b"true"),))
    status, headers, body = found.error(refusal, "id")
    assert status == 404 and (b"x-amz-delete-marker", b"true") in headers and body == b""
    changed = AwsError("NotModified", "Not Modified", status=304, headers=((b"etag", b'"1"'),))
    assert found.error(changed, "id")[:2] == (304, [(b"x-amz-request-id", b"id"), (b"x-amz-id-2", b"id"), (b"etag", b'"1"')])
