"""Server access logs: which requests are in them, what a line says, where they are put."""

from __future__ import annotations

import re
import shlex
from typing import Any

import pytest

from mallee.objects import access_log
from tests.cloud.harness import TestCloud, refused
from tests.cloud.s3 import allow, bucket, unsigned

SOURCE, TARGET = "the-source", "the-target"
FIELDS = 26


def logged(cloud: TestCloud, name: str = TARGET) -> dict[str, list[list[str]]]:
    """The fields of each line of each log object."""
    s3 = cloud.client("s3")
    found = {}
    for each in s3.list_objects_v2(Bucket=name).get("Contents", ()):
        text = s3.get_object(Bucket=name, Key=each["Key"])["Body"].read().decode()
        assert text.endswith("\n")
        found[each["Key"]] = [fields(line) for line in text.splitlines()]
    return found


def fields(line: str) -> list[str]:
    made = shlex.split(line.replace("[", '"[', 1).replace("]", ']"', 1))
    assert len(made) == FIELDS, line
    return made


def lines(cloud: TestCloud) -> list[list[str]]:
    return [each for some in logged(cloud).values() for each in some]


def turn_on(cloud: TestCloud, prefix: str = "logs/", **more: Any) -> Any:
    s3 = bucket(cloud, SOURCE)
    bucket(cloud, TARGET)
    allow(s3, "s3:PutObject", name=TARGET, to={"Service": "logging.s3.amazonaws.com"}, ArnLike={"aws:SourceArn": f"arn:aws:s3:::{SOURCE}"})
    s3.put_bucket_logging(
        Bucket=SOURCE, BucketLoggingStatus={"LoggingEnabled": {"TargetBucket": TARGET, "TargetPrefix": prefix, **more}}
    )
    cloud.run()
    for each in s3.list_objects_v2(Bucket=TARGET).get("Contents", ()):
        s3.delete_object(Bucket=TARGET, Key=each["Key"])
    return s3


def test_a_line_says_what_was_asked_and_answered(cloud: TestCloud) -> None:
    s3 = turn_on(cloud)
    s3.put_object(Bucket=SOURCE, Key="a key", Body=b"content")
    cloud.run()
    ((name, (line,)),) = logged(cloud).items()
    assert re.fullmatch(r"logs/2024-01-0\d-\d\d-\d\d-\d\d-[0-9A-F]{16}", name)
    canonical = s3.list_buckets()["Owner"]["ID"]
    assert line[:2] == [canonical, SOURCE] and line[2].startswith("[0") and line[2].endswith(" +0000]")
    assert line[3:5] == ["192.0.2.1", canonical]
    assert line[6:8] == ["REST.PUT.OBJECT", "a%20key"]
    assert line[8] == f"PUT /{SOURCE}/a%20key HTTP/1.1" and line[9:13] == ["200", "-", "-", "7"]
    assert line[13].isdigit() and line[14].isdigit() and line[15] == "-" and "Boto3" in line[16]
    assert line[17] == "-" and line[19:22] == ["SigV4", "-", "AuthHeader"] and line[22] == "mallee.test:8773"


def test_reads_refusals_and_whoever_asks(cloud: TestCloud) -> None:
    s3 = turn_on(cloud)
    user = cloud.user("reader")
    s3.put_object(Bucket=SOURCE, Key="key", Body=b"content")
    s3.get_object(Bucket=SOURCE, Key="key", Range="bytes=0-2")
    with refused("NoSuchKey"):
        s3.get_object(Bucket=SOURCE, Key="none")
    with refused("AccessDenied"):
        cloud.client("s3", account=user).get_object(Bucket=SOURCE, Key="key")
    with refused("AccessDenied"):
        unsigned(cloud).get_object(Bucket=SOURCE, Key="key")
    s3.list_objects_v2(Bucket=SOURCE)
    s3.get_bucket_acl(Bucket=SOURCE)
    s3.copy_object(Bucket=SOURCE, Key="copied", CopySource=f"{SOURCE}/key")
    s3.delete_object(Bucket=SOURCE, Key="key")
    s3.list_objects_v2(Bucket=TARGET)  # which has no log
    cloud.run()
    found = lines(cloud)
    told = [(each[6], each[7], each[9], each[10]) for each in found]
    assert told == [
        ("REST.PUT.OBJECT", "key", "200", "-"),
        ("REST.GET.OBJECT", "key", "206", "-"),
        ("REST.GET.OBJECT", "none", "404", "NoSuchKey"),
        ("REST.GET.OBJECT", "key", "403", "AccessDenied"),
        ("REST.GET.OBJECT", "key", "403", "AccessDenied"),
        ("REST.GET.BUCKET", "-", "200", "-"),
        ("REST.GET.ACL", "-", "200", "-"),
        ("REST.COPY.OBJECT", "copied", "200", "-"),
        ("REST.COPY.OBJECT_GET", "key", "200", "-"),
        ("REST.DELETE.OBJECT", "key", "204", "-"),
    ]
    assert found[1][11:13] == ["3", "7"]
    assert found[3][4].endswith(":user/reader") and found[4][4] == "-" and found[4][19] == "-"


def test_what_a_request_holds_cannot_make_lines_or_fields(cloud: TestCloud) -> None:
    s3 = turn_on(cloud)
    headers = [(b"host", b"mallee.test:8773"), (b"user-agent", b'a" 200 "b\r\nx'), (b"referer", b'"\x7f\xff'), (b"content-length", b"0")]
    cloud.request("GET", f"/{SOURCE}/a%0Ab%22", 'versionId=a"b%0Ac', headers)
    s3.put_object(Bucket=SOURCE, Key="a\nb\"c", Body=b"")
    cloud.run()
    first, second = lines(cloud)
    assert first[16] == "a%22 200 %22b%0D%0Ax" and first[7] == "a%0Ab%22" and second[7] == "a%0Ab%22c"


@pytest.mark.parametrize("source", ["DeliveryTime", "EventTime"])
def test_partitioned_prefixes(cloud: TestCloud, source: str) -> None:
    s3 = turn_on(cloud, TargetObjectKeyFormat={"PartitionedPrefix": {"PartitionDateSource": source}})
    s3.put_object(Bucket=SOURCE, Key="key", Body=b"")
    day = f"{cloud.clock.now():%Y/%m/%d}"
    cloud.clock.advance(86400)
    after = f"{cloud.clock.now():%Y/%m/%d}"
    s3.put_object(Bucket=SOURCE, Key="key", Body=b"")
    cloud.run()
    begin = f"logs/{cloud.admin.id}/{cloud.settings.region}/{SOURCE}/"
    wanted = [begin + day, begin + after] if source == "EventTime" else [begin + after]
    found = sorted(logged(cloud))
    assert [name[: len(begin) + 10] for name in found] == wanted
    assert all(("-00-00-00-" in name) is (source == "EventTime") for name in found) or source == "DeliveryTime"


def test_nothing_is_put_where_it_is_not_let_in_and_nothing_kept_of_other_buckets(cloud: TestCloud) -> None:
    s3 = turn_on(cloud)
    s3.delete_bucket_policy(Bucket=TARGET)
    s3.put_object(Bucket=SOURCE, Key="key", Body=b"")
    s3.put_object(Bucket=TARGET, Key="key", Body=b"")
    cloud.run()
    assert list(s3.list_objects_v2(Bucket=TARGET)["Contents"][0]["Key"]) == list("key")
    assert not access_log.of(cloud.database).take()


def test_by_acl_with_grants_and_into_the_bucket_itself(cloud: TestCloud) -> None:
    s3 = bucket(cloud, SOURCE, ownership="ObjectWriter", versioning="Enabled")
    s3.put_bucket_acl(Bucket=SOURCE, ACL="log-delivery-write")
    other = cloud.account()
    theirs = cloud.client("s3", account=other).list_buckets()["Owner"]["ID"]
    grant = {"Grantee": {"Type": "CanonicalUser", "ID": theirs}, "Permission": "READ"}
    wanted = {"TargetBucket": SOURCE, "TargetPrefix": "own-", "TargetGrants": [grant]}
    s3.put_bucket_logging(Bucket=SOURCE, BucketLoggingStatus={"LoggingEnabled": wanted})
    s3.put_object(Bucket=SOURCE, Key="key", Body=b"")
    cloud.run()
    (name,) = [each["Key"] for each in s3.list_objects_v2(Bucket=SOURCE, Prefix="own-")["Contents"]]
    assert b"REST.PUT.OBJECT key" in cloud.client("s3", account=other).get_object(Bucket=SOURCE, Key=name)["Body"].read()


def test_a_disk_that_is_away_keeps_them_waiting(sqlite_cloud: TestCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    from mallee.objects import delivering
    from mallee.objects.engine.base import EngineError

    cloud = sqlite_cloud
    s3 = turn_on(cloud)
    with monkeypatch.context() as broken:
        def fail(*_: Any, **__: Any) -> None:
            raise EngineError("away")

        broken.setattr(delivering, "put", fail)
        s3.put_object(Bucket=SOURCE, Key="key", Body=b"")
        cloud.run()
    assert logged(cloud) == {}
    cloud.run()
    assert [each[6] for each in lines(cloud)] == ["REST.PUT.OBJECT"]


def test_the_memory_has_bounds(sqlite_cloud: TestCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    cloud = sqlite_cloud
    monkeypatch.setattr(access_log, "MOST", 2500)
    s3 = turn_on(cloud)
    for _ in range(5):
        s3.put_object(Bucket=SOURCE, Key="key", Body=b"")
    assert access_log.of(cloud.database).lost == 2
    cloud.run()
    assert len(lines(cloud)) == 3
