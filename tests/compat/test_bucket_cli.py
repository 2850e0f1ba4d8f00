"""`mallee bucket`, and the objects' part of `mallee doctor` and `mallee audit`, against a cloud of real processes."""

from __future__ import annotations

import datetime
import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from mallee.cli.bucket_usage import human, size
from mallee.cli.doctor import objects
from mallee.cli.doctor.examination import Report
from mallee.cli.home import Sorry
from mallee.settings import Settings
from tests.clouds import Cloud
from tests.compat.conftest import Aws, Refused


@pytest.mark.parametrize(
    ("text", "bytes"),
    [("0", 0), ("4096", 4096), ("1KiB", 1024), ("10GiB", 10 << 30), ("1.5G", 3 << 29), ("10GB", 10**10), ("2 tb", 2 * 10**12)],
)
def test_sizes(text: str, bytes: int) -> None:
    assert size(text) == bytes


@pytest.mark.parametrize("text", ["", "GiB", "-1", "10 EiB", "ten"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(Sorry, match="is no size"):
        size(text)


def test_sizes_for_people() -> None:
    assert [human(each) for each in (0, 1023, 1024, 3 << 29, 5 << 50)] == ["0 B", "1023 B", "1.0 KiB", "1.5 GiB", "5.0 PiB"]


NOW = datetime.datetime.now(datetime.UTC)
WELL: dict[str, Any] = {"Faults": [], "Garbage": 0, "Disks": [{"Path": "/srv/1", "TotalBytes": 9, "FreeBytes": 8}]}
FAULT = {"Code": "objects-disk-failed", "Cause": "The disk failed.", "Remedy": "Look at it."}


@pytest.mark.parametrize(
    ("found", "wrong"),
    [
        ({}, []),
        ({"Disks": [WELL["Disks"][0] | {"Fault": FAULT}], "Faults": [FAULT]}, ["The disk failed."]),
        ({"Faults": [FAULT | {"Code": "objects-copies-owed", "Cause": "Copies are owed."}]}, ["Copies are owed."]),
        ({"Garbage": 3, "GarbageSince": NOW - datetime.timedelta(minutes=1)}, []),
        ({"Garbage": 3, "GarbageSince": NOW - datetime.timedelta(hours=2)}, ["Contents that nobody needs any more wait"]),
        ({"LastScrub": {"EndedAt": NOW - datetime.timedelta(days=1), "Number": 1, "VerifiedBytes": 5}}, []),
        ({"LastScrub": {"EndedAt": NOW - datetime.timedelta(days=31), "Number": 1, "VerifiedBytes": 5}}, ["was not verified as a whole for 31 days"]),
        ({"Scrub": {"BeganAt": NOW - datetime.timedelta(days=40), "Number": 1, "VerifiedBytes": 5}}, ["was not verified as a whole for 40 days"]),
    ],
)
def test_what_the_doctor_says_of_a_store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, found: dict[str, Any], wrong: list[str]) -> None:
    class Answers:
        def describe_object_store(self) -> dict[str, Any]:
            counts = {"Objects": 1, "Bytes": 2, "Engine": "local", "IndexDatabase": "sqlite"}
            return {"ObjectStore": {**WELL, **counts, **found}}

        def probe_object_store(self) -> dict[str, Any]:
            return {"Bytes": 1, "Seconds": 0.1}

    monkeypatch.setattr(objects, "health", lambda chosen: {})
    monkeypatch.setattr("mallee.cli.calls.administrator", lambda chosen: Answers())
    report = Report()
    objects.examine(Settings(home=tmp_path), report)
    bad = [finding.wrong for finding in report.findings if finding.ok is False]
    assert len(bad) == len(wrong) and all(words in told for words, told in zip(wrong, bad, strict=True))
    assert all(finding.remedy for finding in report.findings if finding.ok is False)


def put(aws: Aws, key: str, size: int) -> Any:
    file = aws.home / "body"
    file.write_bytes(bytes(size))
    return aws("s3api", "put-object", "--bucket", "cli-usage", "--key", key, "--body", str(file))


def test_usage_and_quota(live: Cloud, aws: Aws) -> None:
    run = live.command
    aws("s3api", "create-bucket", "--bucket", "cli-usage")
    put(aws, "a", 2000)
    (found,) = json.loads(run("bucket", "usage", "cli-usage", "--json").stdout)["Buckets"]
    assert (found["Objects"], found["Bytes"]) == (1, 2000)
    everything = json.loads(run("bucket", "usage", "--json").stdout)
    assert everything["Sum"]["Bytes"] == sum(each["Bytes"] for each in everything["Buckets"])
    assert "2.0 KiB" in run("bucket", "usage", "--account", found["AccountId"]).stdout
    assert "3.0 KiB, 5 objects" in run("bucket", "quota", "cli-usage", "--bytes", "3KiB", "--objects", "5").stdout
    with pytest.raises(Refused, match=r"\(QuotaExceeded\).*the bucket may hold 3072 bytes and holds 2000"):
        put(aws, "b", 2000)
    with pytest.raises(Refused, match="QuotaExceeded"):  # clients do not try it again
        aws.text("s3", "cp", str(aws.home / "body"), "s3://cli-usage/b")
    assert "KiB," not in run("bucket", "quota", "cli-usage", "--none").stdout
    put(aws, "b", 2000)
    told = run("bucket", "quota", "cli-usage", "--bytes", "much", check=False)
    assert (told.returncode, told.stderr) == (1, "mallee: much is no size: write 10GiB, 500MB, or a number of bytes\n")
    told = run("bucket", "usage", "nobodys-bucket", check=False)
    assert told.stderr == "mallee: There is no bucket nobodys-bucket. (BucketNotFoundException)\n"


def test_an_account_shows_its_canonical_id(live: Cloud) -> None:
    found = json.loads(live.command("account", "show", "mallee", "--json").stdout)
    assert len(found["CanonicalId"]) == 64 and found["DisplayName"]


def test_records(live: Cloud) -> None:
    found = json.loads(live.command("bucket", "records", "--since", "2020-01-01", "--json").stdout)
    assert all({"Day", "BucketName", "ByteHours"} <= set(each) for each in found)
    told = live.command("bucket", "records", "--since", "2026-02-30", check=False)
    assert "is no day: write it as" in told.stderr


def test_the_store(live: Cloud) -> None:
    text = live.command("bucket", "usage", "--disks").stdout
    assert "works" in text and "last scrub" in text and "garbage" in text
    found = json.loads(live.command("bucket", "usage", "--disks", "--json").stdout)
    assert found["Engine"] == "local" and found["Disks"][0]["TotalBytes"] > 0


def test_doctor_and_audit(live: Cloud) -> None:
    told = live.command("doctor").stdout
    for hop in ("objects", "object disk", "garbage", "scrub", "round trip"):
        assert f" {hop} " in told
    assert "BAD" not in told
    assert live.command("audit").stdout.splitlines()[-1] == "audit of rows and objects: 0 differences"


def test_metrics(live: Cloud) -> None:
    port = int(live.endpoint.rpartition(":")[2].strip("/")) + 2
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    assert "mallee_objects_up 1" in text and "mallee_objects_disk_free_bytes{" in text
