"""Lines of access logs: whatever a request holds, a line is one line of so many fields."""

from __future__ import annotations

import datetime
import re

from hypothesis import given
from hypothesis import strategies as st

from mallee.objects.rules import access_log
from mallee.objects.rules.access_log import Entry

AT = datetime.datetime(2024, 2, 6, 0, 0, 38, tzinfo=datetime.UTC)
# what a request's bytes become, read as latin-1
text = st.text(st.characters(max_codepoint=255), max_size=30)


@given(text, text, text, text, text, text, text, st.binary(max_size=30))
def test_a_line_has_its_fields(
    requester: str, target: str, code: str, referer: str, agent: str, version: str, host: str, key: bytes
) -> None:
    entry = Entry(
        AT, "192.0.2.1", requester, "", "id", "GetObject", "GET", False, key, target, 200, code, 0, None, 1, 0, referer, agent, version,
        "SigV4", "AuthHeader", host,
    )  # fmt: skip
    line = access_log.line(entry, "owner", "bucket", requester)
    assert not re.search(r"[\x00-\x1f\x7f]", line)
    assert line.count('"') == 6
    outside = re.sub(r'"[^"]*"', "q", line.replace("[06/Feb/2024:00:00:38 +0000]", "t"))
    assert len(outside.split(" ")) == 26


def test_operations_have_awss_names() -> None:
    def named(operation: str, method: str = "GET", key: bytes = b"", **more: bool) -> str:
        return access_log.operation_of(operation, method, more.get("website", False), key, more.get("copied", False))

    assert named("GetBucketVersioning") == "REST.GET.VERSIONING"
    assert named("GetBucketLogging") == "REST.GET.LOGGING_STATUS"
    assert named("GetBucketPolicy") == "REST.GET.BUCKETPOLICY"
    assert named("PutObject", "PUT", b"k") == "REST.PUT.OBJECT"
    assert named("CopyObject", "PUT", b"k") == "REST.COPY.OBJECT"
    assert named("CopyObject", "PUT", b"k", copied=True) == "REST.COPY.OBJECT_GET"
    assert named("UploadPartCopy", "PUT", b"k", copied=True) == "REST.COPY.PART_GET"
    assert named("", "GET", b"k", website=True) == "WEBSITE.GET.OBJECT"
    assert named("DeleteObjects", "POST") == "REST.POST.MULTI_OBJECT_DELETE"


def test_keys_of_log_objects() -> None:
    event = {"PartitionedPrefix": {"PartitionDateSource": "EventTime"}}
    delivery = {"PartitionedPrefix": {"PartitionDateSource": "DeliveryTime"}}
    given = (AT, "UNIQUE", "123456789012", "here", "bucket")
    assert access_log.object_key("p/", None, *given) == "p/2024-02-06-00-00-38-UNIQUE"
    assert access_log.object_key("p/", {"SimplePrefix": {}}, *given) == "p/2024-02-06-00-00-38-UNIQUE"
    folder = "p/123456789012/here/bucket/2024/02/06/2024-02-06"
    assert access_log.object_key("p/", event, *given) == f"{folder}-00-00-00-UNIQUE"
    assert access_log.object_key("p/", delivery, *given) == f"{folder}-00-00-38-UNIQUE"
