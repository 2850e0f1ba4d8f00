"""Swift's usual clients, unmodified, against a cloud of real processes: python-swiftclient and rclone."""

from __future__ import annotations

import hashlib
import io
import itertools
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import swiftclient
from swiftclient.exceptions import ClientException
from swiftclient.service import SwiftService, SwiftUploadObject
from swiftclient.utils import generate_temp_url

from tests import clouds
from tests.compat.test_s3_clients import MIB, needed, run, same, tree

__all__ = ["tree"]  # a fixture
_names = itertools.count(1)


def pair(live: clouds.Cloud) -> tuple[str, str]:
    return live.environment["AWS_ACCESS_KEY_ID"], live.environment["AWS_SECRET_ACCESS_KEY"]


@pytest.fixture
def swift(live: clouds.Cloud) -> Iterator[Any]:
    user, key = pair(live)
    made = swiftclient.Connection(authurl=f"{live.endpoint}/auth/v1.0", user=user, key=key, retries=0)
    yield made
    made.close()


@pytest.fixture
def name(swift: Any) -> Iterator[str]:
    """A container of the test's own, removed with all that is in it."""
    made = f"swift-{next(_names)}-{os.getpid()}"
    swift.put_container(made)
    yield made
    for container in (made, f"{made}-segments"):
        try:
            for each in swift.get_container(container, full_listing=True)[1]:
                swift.delete_object(container, each["name"])
            swift.delete_container(container)
        except ClientException as problem:
            assert problem.http_status == 404


def test_a_connection(swift: Any, name: str) -> None:
    content = os.urandom(300_000)
    etag = hashlib.md5(content).hexdigest()
    assert swift.put_object(name, "a/b c é", content, content_type="text/x", headers={"X-Object-Meta-Colour": "blü"}) == etag
    assert swift.put_object(name, "chunks", io.BytesIO(content), chunk_size=65536) == etag  # without a length
    headers, found = swift.get_object(name, "a/b c é")
    assert found == content and headers["x-object-meta-colour"] == "blü" and headers["content-type"] == "text/x"
    pieces = swift.get_object(name, "chunks", resp_chunk_size=65536)[1]
    assert b"".join(pieces) == content
    listed = swift.get_container(name)
    assert [each["name"] for each in listed[1]] == ["a/b c é", "chunks"] and listed[0]["x-container-object-count"] == "2"
    assert swift.get_container(name, delimiter="/")[1][0] == {"subdir": "a/"}
    swift.post_object(name, "chunks", {"X-Object-Meta-Size": "1"})
    assert swift.head_object(name, "chunks")["x-object-meta-size"] == "1"
    swift.copy_object(name, "chunks", f"/{name}/copied")
    assert swift.get_object(name, "copied")[1] == content
    swift.post_container(name, {"X-Container-Meta-A": "1"})
    assert swift.head_container(name)["x-container-meta-a"] == "1"
    assert name in [each["name"] for each in swift.get_account(full_listing=True)[1]]
    assert int(swift.head_account()["x-account-container-count"]) >= 1
    assert "slo" in swift.get_capabilities()
    swift.delete_object(name, "copied")
    for call in (swift.get_object, swift.head_object, swift.delete_object):
        with pytest.raises(ClientException) as refused:
            call(name, "copied")
        assert refused.value.http_status == 404
    with pytest.raises(ClientException) as refused:
        swift.delete_container(name)
    assert refused.value.http_status == 409
    with pytest.raises(ClientException) as refused:
        swift.put_object(name, "x", b"x", etag="0" * 32)
    assert refused.value.http_status == 422


def test_many_pages(swift: Any, name: str) -> None:
    for number in range(25):
        swift.put_object(name, f"{number:02}", b"")
    assert len(swift.get_container(name, limit=10, full_listing=True)[1]) == 25


@pytest.mark.parametrize("static", [True, False])
def test_the_service(live: clouds.Cloud, name: str, tmp_path: Path, static: bool) -> None:
    """What the command `swift` does: large objects in segments, downloads, bulk deletes."""
    user, key = pair(live)
    content = os.urandom(5 * MIB + 3)
    (tmp_path / "large").write_bytes(content)
    options = {
        "auth": f"{live.endpoint}/auth/v1.0", "user": user, "key": key, "auth_version": "1.0", "segment_size": MIB, "use_slo": static,
        "retries": 0, "out_directory": str(tmp_path / "back"),
    }  # fmt: skip

    def done(results: Any) -> list[dict[str, Any]]:
        found = list(results)
        assert all(each["success"] for each in found), found
        return found

    with SwiftService(options=options) as service:
        done(service.upload(name, [SwiftUploadObject(str(tmp_path / "large"), object_name="large")]))
        assert service.stat(name, ["large"]).__next__()["headers"]["content-length"] == str(len(content))
        done(service.upload(name, [SwiftUploadObject(io.BytesIO(b"x"), object_name=f"small/{number}") for number in range(5)]))
        done(service.download(name, ["large"]))
        assert (tmp_path / "back" / "large").read_bytes() == content
        done(service.delete(name, ["large"]))
        segments = swiftclient.Connection(authurl=f"{live.endpoint}/auth/v1.0", user=user, key=key).get_container(f"{name}_segments")[1]
        assert segments == []
        done(service.delete(name))


def test_the_command(live: clouds.Cloud, name: str, tree: Path, tmp_path: Path) -> None:
    user, key = pair(live)
    swift = [str(Path(sys.executable).with_name("swift")), "-A", f"{live.endpoint}/auth/v1.0", "-U", user, "-K", key]
    run(*swift, "upload", "--object-name", "t", name, str(tree))
    back = tmp_path / "back"
    run(*swift, "download", name, "--prefix", "t/", "--remove-prefix", "-D", str(back))
    assert same(tree, back)
    assert "Objects: 6" in run(*swift, "stat", name).stdout
    run(*swift, "post", name, "-m", "colour:blue")
    assert "blue" in run(*swift, "stat", name).stdout


def test_temporary_urls(live: clouds.Cloud, swift: Any, name: str) -> None:
    swift.post_account({"X-Account-Meta-Temp-URL-Key": "the key"})
    swift.put_object(name, "x", b"content")
    path = f"{swift.url.removeprefix(live.endpoint)}/{name}/x"
    for digest in ("sha1", "sha256", "sha512"):
        url = generate_temp_url(path, 60, "the key", "GET", digest=digest)
        with urllib.request.urlopen(live.endpoint + url) as answer:
            assert answer.read() == b"content" and "filename" in answer.headers["content-disposition"]
    url = generate_temp_url(path, 60, "the key", "PUT", digest="sha256")
    with urllib.request.urlopen(urllib.request.Request(live.endpoint + url, b"other", method="PUT")) as answer:
        assert answer.status == 201
    assert swift.get_object(name, "x")[1] == b"other"
    swift.post_account({"X-Account-Meta-Temp-URL-Key": ""})


def test_expiring(swift: Any, name: str) -> None:
    swift.put_object(name, "x", b"", headers={"X-Delete-After": "1"})
    time.sleep(2)
    with pytest.raises(ClientException) as refused:
        swift.get_object(name, "x")
    assert refused.value.http_status == 404


# ------------------------------------------------------------------------------------------------------------------ rclone


@pytest.mark.parametrize("version", [1, 2, 3, 4])
def test_rclone(live: clouds.Cloud, swift: Any, name: str, tree: Path, tmp_path: Path, version: int) -> None:
    """By each way to sign in; 4 is Keystone 3 with an application credential."""
    user, key = pair(live)
    account = swift.url.rpartition("AUTH_")[2] if swift.url else swift.get_auth()[0].rpartition("AUTH_")[2]
    env = {
        "RCLONE_CONFIG": str(tmp_path / "none.conf"), "RCLONE_CONFIG_M_TYPE": "swift", "RCLONE_SWIFT_CHUNK_SIZE": "5M",
        **{
            1: {"RCLONE_CONFIG_M_AUTH": f"{live.endpoint}/auth/v1.0", "RCLONE_CONFIG_M_USER": user, "RCLONE_CONFIG_M_KEY": key},
            2: {
                "RCLONE_CONFIG_M_AUTH": f"{live.endpoint}/v2.0", "RCLONE_CONFIG_M_USER": user, "RCLONE_CONFIG_M_KEY": key,
                "RCLONE_CONFIG_M_TENANT": account,
            },
            3: {
                "RCLONE_CONFIG_M_AUTH": f"{live.endpoint}/v3", "RCLONE_CONFIG_M_USER": user, "RCLONE_CONFIG_M_KEY": key,
                "RCLONE_CONFIG_M_DOMAIN": "Default", "RCLONE_CONFIG_M_TENANT": account, "RCLONE_CONFIG_M_TENANT_DOMAIN": "Default",
            },
            4: {
                "RCLONE_CONFIG_M_AUTH": f"{live.endpoint}/v3", "RCLONE_CONFIG_M_APPLICATION_CREDENTIAL_ID": user,
                "RCLONE_CONFIG_M_APPLICATION_CREDENTIAL_SECRET": key, "RCLONE_CONFIG_M_AUTH_VERSION": "3",
            },
        }[version],
    }  # fmt: skip

    def rclone(*words: str) -> str:
        found: subprocess.CompletedProcess[str] = run(needed("rclone"), *words, env=env)
        return found.stdout

    rclone("copy", str(tree), f"m:{name}/t")
    rclone("check", "--download", str(tree), f"m:{name}/t")
    rclone("copy", f"m:{name}/t", str(tmp_path / "back"))
    assert same(tree, tmp_path / "back")
    rclone("moveto", f"m:{name}/t/one", f"m:{name}/t/two")
    assert sorted(rclone("lsf", "-R", "--files-only", f"m:{name}/t").splitlines()) == sorted(
        ["empty", "two", "small/a b+c", "small/ü%20&=.txt", "deep/er/and/deeper", "large"]
    )
    rclone("purge", f"m:{name}/t")
    assert rclone("lsf", "-R", f"m:{name}") == ""
