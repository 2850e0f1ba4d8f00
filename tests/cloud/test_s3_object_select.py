"""SelectObjectContent: the stream of events, its errors before and within, encrypted and archived objects."""

from __future__ import annotations

import gzip
from typing import Any

import pytest

from tests.cloud import s3 as tools
from tests.cloud.harness import TestCloud, refused
from tests.cloud.people import user
from tests.cloud.s3 import NAME

CSV = {"CSV": {"FileHeaderInfo": "USE"}}
ROWS = b"name,age\nann,31\nbob,27\ncid,45\n"


def select(s3: Any, expression: str, input: dict[str, Any] | None = None, **more: Any) -> tuple[bytes, list[dict[str, Any]]]:
    """What the records hold, and all other events."""
    given = {"ExpressionType": "SQL", "OutputSerialization": {"CSV": {}}, **more}
    answer = s3.select_object_content(Bucket=NAME, Key="key", Expression=expression, InputSerialization=input or CSV, **given)
    records, others = b"", []
    for event in answer["Payload"]:
        if "Records" in event:
            records += event["Records"]["Payload"]
        else:
            others.append(event)
    return records, others


def test_rows_come_as_events(cloud: TestCloud) -> None:
    s3 = tools.bucket(cloud)
    s3.put_object(Bucket=NAME, Key="key", Body=ROWS)
    records, others = select(s3, "SELECT s.name FROM s3object s WHERE CAST(s.age AS INT) > 30")
    assert records == b"ann\ncid\n"
    size = len(ROWS)
    assert others == [{"Stats": {"Details": {"BytesScanned": size, "BytesProcessed": size, "BytesReturned": len(records)}}}, {"End": {}}]
    records, others = select(s3, "SELECT COUNT(*) AS n FROM s3object", OutputSerialization={"JSON": {}}, RequestProgress={"Enabled": True})
    assert records == b'{"n":3}\n' and [next(iter(each)) for each in others] == ["Progress", "Stats", "End"]


def test_json_and_gzip(cloud: TestCloud) -> None:
    s3 = tools.bucket(cloud)
    s3.put_object(Bucket=NAME, Key="key", Body=gzip.compress(b'{"a":1}\n{"a":2,"b":"x"}\n'))
    records, _ = select(s3, "SELECT s.b FROM s3object s WHERE s.a = 2", {"JSON": {"Type": "LINES"}, "CompressionType": "GZIP"})
    assert records == b"x\n"


@pytest.mark.parametrize("sealed", [{}, {"ServerSideEncryption": "AES256"}, {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "k" * 32}])
def test_large_objects_in_each_form(sqlite_cloud: TestCloud, sealed: dict[str, str]) -> None:
    sqlite_cloud.scheme = "https"
    s3 = tools.bucket(sqlite_cloud)
    rows = b"".join(b"%d,%s\n" % (number, b"x" * 90) for number in range(30_000))
    s3.put_object(Bucket=NAME, Key="key", Body=rows, **sealed)
    keys = {name: value for name, value in sealed.items() if name.startswith("SSE")}
    plain = {"CSV": {"FileHeaderInfo": "NONE"}}
    records, others = select(s3, "SELECT _1 FROM s3object WHERE CAST(_1 AS INT) >= 29998", plain, **keys)
    assert records == b"29998\n29999\n" and others[-2]["Stats"]["Details"]["BytesScanned"] == len(rows)
    everything, _ = select(s3, "SELECT * FROM s3object", plain, **keys)
    assert everything == rows
    records, others = select(s3, "SELECT _1 FROM s3object LIMIT 3", plain, **keys)
    assert records == b"0\n1\n2\n" and others[-1] == {"End": {}}
    start = rows.index(b"\n15000,") + 1
    records, _ = select(s3, "SELECT _1 FROM s3object", plain, ScanRange={"Start": start, "End": start + 150}, **keys)
    assert records == b"15000\n15001\n"
    last, _ = select(s3, "SELECT _1 FROM s3object", plain, ScanRange={"End": 150}, **keys)
    assert last == b"29999\n"
    pins = sqlite_cloud.cloud.objects.pins
    assert not pins._counts
    if keys:
        with refused("InvalidRequest", 400):
            select(s3, "SELECT _1 FROM s3object", plain)
        with refused("AccessDenied", 403):
            select(s3, "SELECT _1 FROM s3object", plain, SSECustomerAlgorithm="AES256", SSECustomerKey="x" * 32)


def test_empty_objects(sqlite_cloud: TestCloud) -> None:
    s3 = tools.bucket(sqlite_cloud)
    s3.put_object(Bucket=NAME, Key="key", Body=b"")
    assert select(s3, "SELECT * FROM s3object", {"CSV": {}})[0] == b""
    assert select(s3, "SELECT COUNT(*) FROM s3object", {"CSV": {}})[0] == b"0\n"


def test_errors_before_and_within(cloud: TestCloud) -> None:
    s3 = tools.bucket(cloud)
    s3.put_object(Bucket=NAME, Key="key", Body=ROWS)
    with refused("ParseSelectMissingFrom", 400):
        select(s3, "SELECT 1")
    with refused("EvaluatorBindingDoesNotExist", 400):
        select(s3, "SELECT * FROM somewhere")
    with refused("CastFailed", 400):  # before anything went out: an ordinary refusal
        select(s3, "SELECT CAST(s.name AS INT) FROM s3object s")
    with refused("ObjectSerializationConflict", 400):
        select(s3, "SELECT * FROM s3object", {"CSV": {}, "JSON": {"Type": "LINES"}})
    with refused("InvalidExpressionType", 400):
        select(cloud.client("s3", validate=False), "SELECT * FROM s3object", ExpressionType="GRAPHQL")
    loose = cloud.client("s3", validate=False)
    for input, code in (
        ({"CSV": {"FileHeaderInfo": "MAYBE"}}, "InvalidFileHeaderInfo"),
        ({"JSON": {"Type": "LIST"}}, "InvalidJsonType"),
        ({"CSV": {}, "CompressionType": "RAR"}, "InvalidCompressionFormat"),
    ):
        with refused(code, 400):
            select(loose, "SELECT * FROM s3object", input)
    with refused("InvalidQuoteFields", 400):
        select(loose, "SELECT * FROM s3object", OutputSerialization={"CSV": {"QuoteFields": "NEVER"}})
    rows = b"n\n" + b"1234567\n" * 50_000 + b"x\n"
    s3.put_object(Bucket=NAME, Key="key", Body=rows)
    from botocore.exceptions import EventStreamError

    with pytest.raises(EventStreamError) as problem:
        select(s3, "SELECT CAST(s.n AS INT) FROM s3object s")
    assert problem.value.response["Error"]["Code"] == "CastFailed"
    assert not cloud.cloud.objects.pins._counts


def test_what_is_not_there_or_archived(cloud: TestCloud) -> None:
    s3 = tools.bucket(cloud, versioning="Enabled")
    with refused("NoSuchKey", 404):
        select(s3, "SELECT * FROM s3object")
    s3.put_object(Bucket=NAME, Key="key", Body=ROWS, StorageClass="GLACIER")
    with refused("InvalidObjectState", 403):
        select(s3, "SELECT * FROM s3object")
    s3.restore_object(Bucket=NAME, Key="key", RestoreRequest={"Days": 1})
    assert select(s3, "SELECT COUNT(*) FROM s3object")[0] == b"3\n"
    s3.delete_object(Bucket=NAME, Key="key")
    with refused("NoSuchKey", 404):
        select(s3, "SELECT * FROM s3object")
    with refused("NoSuchBucket", 404):
        s3.select_object_content(
            Bucket="no-bucket", Key="key", Expression="SELECT * FROM s3object", ExpressionType="SQL", InputSerialization=CSV,
            OutputSerialization={"CSV": {}},
        )  # fmt: skip


def test_who_may(cloud: TestCloud) -> None:
    s3 = tools.bucket(cloud, public=True)
    s3.put_object(Bucket=NAME, Key="key", Body=ROWS)
    count = "SELECT COUNT(*) FROM s3object"
    for who in (user(cloud, "lister", "s3:ListBucket").client("s3"), cloud.account().client("s3"), tools.unsigned(cloud)):
        with refused("AccessDenied", 403):
            select(who, count)
    reader = user(cloud, "reader", "s3:GetObject").client("s3")
    assert select(reader, count)[0] == b"3\n"
    tools.allow(s3, "s3:GetObject")
    stranger = cloud.account().client("s3")
    assert select(stranger, count)[0] == b"3\n"
    with refused("AccessDenied", 403):  # S3 Select does not support anonymous access
        select(tools.unsigned(cloud), count)
