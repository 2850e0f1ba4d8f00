"""Names of hosts that name buckets."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from mallee.store import Database, ManualClock
from tests.cloud.harness import TestCloud
from tests.cloud.s3 import NAME, allow, bucket

DOTTED = "photos.example.com"


def public(cloud: TestCloud, name: str = NAME, body: bytes = b"text") -> None:
    s3 = bucket(cloud, name, public=True)
    allow(s3, "s3:GetObject", name=name)
    s3.put_object(Bucket=name, Key="key", Body=body)


def get(cloud: TestCloud, path: str, *hosts: bytes) -> tuple[int, bytes]:
    status, _, body = cloud.request("GET", path, headers=[(b"host", host) for host in hosts])
    return status, body


@pytest.mark.parametrize(
    "host",
    [
        "s3.local-1.mallee.internal", "s3.local-1.mallee.internal:8773", "S3.Local-1.MALLEE.internal", "s3.local-1.mallee.internal.",
        "s3.dualstack.local-1.mallee.internal", "s3-local-1.mallee.internal", "s3.mallee.internal:443",
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", [NAME, DOTTED])
def test_virtual_hosts(sqlite_cloud: TestCloud, host: str, name: str) -> None:
    public(sqlite_cloud, name)
    assert get(sqlite_cloud, "/key", f"{name}.{host}".encode()) == (200, b"text")
    assert get(sqlite_cloud, f"/{name}/key", host.encode()) == (200, b"text")


def test_path_style_for_all_other_hosts(sqlite_cloud: TestCloud) -> None:
    public(sqlite_cloud)
    for host in (b"127.0.0.1:8773", b"[::1]:8773", b"example.com", b"a-bucket.example.com", b"xs3.local-1.mallee.internal", b"", b"\xff", b"a b"):
        assert get(sqlite_cloud, f"/{NAME}/key", host) == (200, b"text"), host
    assert get(sqlite_cloud, f"/{NAME}/key") == (200, b"text")


@pytest.mark.parametrize("label", ["a-bucket/key/..", "a%2fb", "..", "a b", "\xe4", "", "a-bucket?x", "x\x00y", "a" * 300])
def test_labels_that_are_none(sqlite_cloud: TestCloud, label: str) -> None:
    public(sqlite_cloud)
    status, _ = get(sqlite_cloud, "/key", f"{label}.s3.local-1.mallee.internal".encode("latin-1"))
    assert status in (400, 403, 404)
    assert sqlite_cloud.cloud.dispatcher.faults == 0


def test_signed_requests(sqlite_cloud: TestCloud, monkeypatch: Any) -> None:
    """boto3's own virtual hosts, and what makes and deletes buckets there."""
    monkeypatch.setattr("tests.cloud.harness.ENDPOINT", "http://s3.local-1.mallee.internal:8773")
    s3 = sqlite_cloud.client("s3", s3={"addressing_style": "virtual"})
    for name in ("by-host", DOTTED):
        s3.create_bucket(Bucket=name)
        s3.put_object(Bucket=name, Key="a/ä b", Body=b"text")
        assert s3.get_object(Bucket=name, Key="a/ä b")["Body"].read() == b"text"
        assert [each["Key"] for each in s3.list_objects_v2(Bucket=name)["Contents"]] == ["a/ä b"]
        s3.delete_object(Bucket=name, Key="a/ä b")
        s3.delete_bucket(Bucket=name)
    assert s3.list_buckets()["Buckets"] == []


def _cloud(folder: Path, template: Path, **settings: Any) -> TestCloud:
    folder.mkdir()
    shutil.copy(template, folder / "cloud.db")
    database = Database(f"sqlite:///{folder}/cloud.db", ManualClock(), synchronous=False)
    return TestCloud(folder / "home", database, database.clock, **settings)  # type: ignore[arg-type]


def test_two_clouds_in_one_process(tmp_path: Path, _empty_database: Path) -> None:
    first = _cloud(tmp_path / "1", _empty_database, dns_suffix="one.example")
    second = _cloud(tmp_path / "2", _empty_database, dns_suffix="two.example", objects_domains=("objects.example",))
    for each, body in ((first, b"one"), (second, b"two")):
        public(each, body=body)
    host = NAME.encode() + b".s3.local-1.%s.example"
    assert get(first, "/key", host % b"one") == (200, b"one")
    assert get(second, "/key", host % b"two") == (200, b"two")
    assert get(first, "/key", host % b"two")[0] == 404  # the bucket "key"
    assert get(second, "/key", host % b"one")[0] == 404
    assert get(second, "/key", NAME.encode() + b".objects.example") == (200, b"two")
    assert get(first, "/key", NAME.encode() + b".objects.example")[0] == 404
    for each in (first, second):
        each.close()
        each.database.close()


def test_two_hosts(sqlite_cloud: TestCloud) -> None:
    """The first counts everywhere: for the signature, too."""
    public(sqlite_cloud)
    public(sqlite_cloud, "other-bucket", b"other")
    first, second = (f"{name}.s3.local-1.mallee.internal".encode() for name in (NAME, "other-bucket"))
    assert get(sqlite_cloud, "/key", first, second) == (200, b"text")
