"""S3's usual clients, unmodified, against a cloud of real processes: AWS CLI, s3cmd, rclone, restic, s3fs, boto3's transfers."""

from __future__ import annotations

import filecmp
import itertools
import os
import shutil
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from boto3.s3.transfer import TransferConfig

from tests import clouds
from tests.compat.conftest import Aws, Refused

_names = itertools.count(1)
MIB = 1024 * 1024


@pytest.fixture
def name(live: clouds.Cloud) -> Iterator[str]:
    """A bucket of the test's own, removed with all that is in it."""
    made = f"clients-{next(_names)}-{os.getpid()}"
    s3 = live.client("s3")
    s3.create_bucket(Bucket=made)
    yield made
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=made):
        for each in (*page.get("Versions", ()), *page.get("DeleteMarkers", ())):
            s3.delete_object(Bucket=made, Key=each["Key"], VersionId=each["VersionId"])
    s3.delete_bucket(Bucket=made)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Files of several sizes and awkward names."""
    folder = tmp_path / "tree"
    for path, size in (
        ("empty", 0), ("one", 1), ("small/a b+c", 4096), ("small/ü%20&=.txt", 70_000), ("deep/er/and/deeper", 130_000), ("large", 20 * MIB + 7),
    ):  # fmt: skip
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(os.urandom(size))
    return folder


def same(one: Path, other: Path) -> bool:
    compared = filecmp.dircmp(one, other)
    left = [str(path.relative_to(one)) for path in sorted(one.rglob("*")) if path.is_file()]
    right = [str(path.relative_to(other)) for path in sorted(other.rglob("*")) if path.is_file()]
    assert left == right, (compared.left_only, compared.right_only)
    return all(filecmp.cmp(one / path, other / path, shallow=False) for path in left)


def run(*words: str, env: dict[str, str] | None = None, check: bool = True, timeout: float = 300) -> subprocess.CompletedProcess[str]:
    bare = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    done = subprocess.run(
        words, env={**bare, **(env or {})}, capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL, check=False
    )
    if check and done.returncode:
        raise AssertionError(f"{' '.join(words)} ended with {done.returncode}:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    return done


def needed(program: str) -> str:
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed (apt-get install {program})")
    return found


# ------------------------------------------------------------------------------------------------------------- the AWS CLI


def test_aws_s3(aws: Aws, name: str, tree: Path, tmp_path: Path) -> None:
    aws.text("s3", "sync", "--no-progress", str(tree), f"s3://{name}/t")
    listed = aws.text("s3", "ls", "--recursive", f"s3://{name}/t/")
    assert len(listed.splitlines()) == 6 and "small/a b+c" in listed
    assert aws.text("s3", "sync", "--no-progress", str(tree), f"s3://{name}/t") == ""  # nothing is left to do
    aws.text("s3", "sync", "--no-progress", f"s3://{name}/t", str(tmp_path / "back"))
    assert same(tree, tmp_path / "back")
    aws.text("s3", "cp", "--no-progress", f"s3://{name}/t/large", f"s3://{name}/copy")
    aws.text("s3", "mv", "--no-progress", f"s3://{name}/copy", f"s3://{name}/moved")
    aws.text("s3", "cp", "--no-progress", f"s3://{name}/moved", str(tmp_path / "moved"))
    assert filecmp.cmp(tree / "large", tmp_path / "moved", shallow=False)
    with pytest.raises(Refused, match="404"):
        aws.text("s3", "cp", "--no-progress", f"s3://{name}/copy", str(tmp_path / "gone"))
    (tree / "one").unlink()
    aws.text("s3", "sync", "--no-progress", "--delete", str(tree), f"s3://{name}/t")
    assert len(aws.text("s3", "ls", "--recursive", f"s3://{name}/t/").splitlines()) == 5
    url = aws.text("s3", "presign", f"s3://{name}/t/small/a b+c").strip()
    with urllib.request.urlopen(url, timeout=30) as answer:
        assert answer.read() == (tree / "small/a b+c").read_bytes()
    aws.text("s3", "rm", "--recursive", f"s3://{name}")
    assert aws.text("s3", "ls", "--recursive", f"s3://{name}") == ""


def test_aws_s3api(aws: Aws, name: str, tmp_path: Path) -> None:
    (tmp_path / "body").write_bytes(b"hello")
    put = aws("s3api", "put-object", "--bucket", name, "--key", "k", "--body", str(tmp_path / "body"), "--metadata", "a=b")
    assert put["ETag"] == '"5d41402abc4b2a76b9719d911017c592"'
    head = aws("s3api", "head-object", "--bucket", name, "--key", "k")
    assert head["Metadata"] == {"a": "b"} and head["ContentLength"] == 5
    aws("s3api", "put-bucket-versioning", "--bucket", name, "--versioning-configuration", "Status=Enabled")
    aws("s3api", "put-object", "--bucket", name, "--key", "k", "--body", str(tmp_path / "body"))
    versions = aws("s3api", "list-object-versions", "--bucket", name)["Versions"]
    assert [each["VersionId"] == "null" for each in versions] == [False, True]
    aws("s3api", "put-object-tagging", "--bucket", name, "--key", "k", "--tagging", "TagSet=[{Key=x,Value=y}]")
    assert aws("s3api", "get-object-tagging", "--bucket", name, "--key", "k")["TagSet"] == [{"Key": "x", "Value": "y"}]
    aws("s3api", "wait", "object-exists", "--bucket", name, "--key", "k")


# ------------------------------------------------------------------------------------------------------------------ boto3


def test_boto3s_transfer_manager(live: clouds.Cloud, name: str, tmp_path: Path) -> None:
    s3 = live.client("s3")
    config = TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB, max_concurrency=8)
    (tmp_path / "file").write_bytes(os.urandom(33 * MIB + 1))
    seen: list[int] = []
    lock = threading.Lock()

    def progress(count: int) -> None:
        with lock:
            seen.append(count)

    s3.upload_file(str(tmp_path / "file"), name, "file", Config=config, Callback=progress, ExtraArgs={"ChecksumAlgorithm": "SHA256"})
    assert sum(seen) >= 33 * MIB + 1
    assert s3.head_object(Bucket=name, Key="file")["ETag"].endswith('-7"')
    s3.download_file(name, "file", str(tmp_path / "back"), Config=config)
    assert filecmp.cmp(tmp_path / "file", tmp_path / "back", shallow=False)
    s3.copy({"Bucket": name, "Key": "file"}, name, "copy", Config=config)
    s3.download_file(name, "copy", str(tmp_path / "copy"), Config=config)
    assert filecmp.cmp(tmp_path / "file", tmp_path / "copy", shallow=False)


def test_boto3_with_tls_sends_checksums_in_trailers(live: clouds.Cloud, name: str) -> None:
    import boto3
    from botocore.config import Config

    told = live.command("env", "--tls").stdout
    exported = dict(line.removeprefix("export ").split("=", 1) for line in told.splitlines() if line.startswith("export "))
    exported = {key: value.strip("'\"") for key, value in exported.items()}
    s3 = boto3.client(
        "s3",
        region_name=exported["AWS_DEFAULT_REGION"],
        endpoint_url=exported["AWS_ENDPOINT_URL"],
        aws_access_key_id=exported["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=exported["AWS_SECRET_ACCESS_KEY"],
        verify=exported["AWS_CA_BUNDLE"],
        config=Config(proxies={}),
    )
    for size in (0, 5, 70_000, 3 * MIB):
        body = os.urandom(size)
        s3.put_object(Bucket=name, Key="k", Body=body, ChecksumAlgorithm="CRC32C")
        got = s3.get_object(Bucket=name, Key="k", ChecksumMode="ENABLED")
        assert got["Body"].read() == body and got["ChecksumCRC32C"]


# ------------------------------------------------------------------------------------------------------------------- s3cmd


@pytest.mark.parametrize("signature", ["v4", "v2"])
def test_s3cmd(live: clouds.Cloud, name: str, tree: Path, tmp_path: Path, signature: str) -> None:
    host = live.endpoint.removeprefix("http://")
    (tmp_path / "cfg").write_text(
        "[default]\n"
        f"access_key = {live.environment['AWS_ACCESS_KEY_ID']}\nsecret_key = {live.environment['AWS_SECRET_ACCESS_KEY']}\n"
        f"host_base = {host}\nhost_bucket = {host}\nuse_https = False\nbucket_location = {live.environment['AWS_DEFAULT_REGION']}\n"
        f"signature_v2 = {signature == 'v2'}\nmultipart_chunk_size_mb = 5\n"
    )

    def s3cmd(*words: str) -> str:
        return run(needed("s3cmd"), "-c", str(tmp_path / "cfg"), "--no-progress", *words).stdout

    s3cmd("sync", f"{tree}/", f"s3://{name}/t/")
    assert len(s3cmd("ls", "-r", f"s3://{name}/t/").splitlines()) == 6
    (tmp_path / "back").mkdir()
    s3cmd("sync", f"s3://{name}/t/", f"{tmp_path}/back/")
    assert same(tree, tmp_path / "back")
    s3cmd("cp", f"s3://{name}/t/one", f"s3://{name}/two")
    assert "MD5 sum" in s3cmd("info", f"s3://{name}/two")
    s3cmd("setlifecycle", _lifecycle(tmp_path), f"s3://{name}")
    assert "<Days>3</Days>" in s3cmd("getlifecycle", f"s3://{name}")
    assert s3cmd("du", f"s3://{name}").split()[0] == str(sum(path.stat().st_size for path in tree.rglob("*") if path.is_file()) + 1)
    s3cmd("del", "-r", "--force", f"s3://{name}/t/")
    assert len(s3cmd("ls", "-r", f"s3://{name}/").splitlines()) == 1


def _lifecycle(folder: Path) -> str:
    (folder / "rules.xml").write_text(
        "<LifecycleConfiguration><Rule><ID>r</ID><Filter><Prefix>x/</Prefix></Filter><Status>Enabled</Status>"
        "<Expiration><Days>3</Days></Expiration></Rule></LifecycleConfiguration>"
    )
    return str(folder / "rules.xml")


# ------------------------------------------------------------------------------------------------------------------ rclone


def test_rclone(live: clouds.Cloud, name: str, tree: Path, tmp_path: Path) -> None:
    env = {
        "RCLONE_CONFIG": str(tmp_path / "none.conf"),
        "RCLONE_CONFIG_M_TYPE": "s3",
        "RCLONE_CONFIG_M_PROVIDER": "Other",
        "RCLONE_CONFIG_M_ENDPOINT": live.endpoint,
        "RCLONE_CONFIG_M_REGION": live.environment["AWS_DEFAULT_REGION"],
        "RCLONE_CONFIG_M_ACCESS_KEY_ID": live.environment["AWS_ACCESS_KEY_ID"],
        "RCLONE_CONFIG_M_SECRET_ACCESS_KEY": live.environment["AWS_SECRET_ACCESS_KEY"],
        "RCLONE_CONFIG_M_FORCE_PATH_STYLE": "true",
        "RCLONE_S3_UPLOAD_CUTOFF": "6M",
        "RCLONE_S3_CHUNK_SIZE": "5M",
    }

    def rclone(*words: str) -> str:
        return run(needed("rclone"), *words, env=env).stdout

    rclone("copy", str(tree), f"m:{name}/t")
    rclone("check", "--download", str(tree), f"m:{name}/t")
    rclone("check", str(tree), f"m:{name}/t")
    rclone("copy", f"m:{name}/t", str(tmp_path / "back"))
    assert same(tree, tmp_path / "back")
    rclone("moveto", f"m:{name}/t/one", f"m:{name}/t/two")
    assert sorted(rclone("lsf", "-R", "--files-only", f"m:{name}/t").splitlines()) == sorted(
        ["empty", "two", "small/a b+c", "small/ü%20&=.txt", "deep/er/and/deeper", "large"]
    )
    rclone("purge", f"m:{name}/t")
    assert rclone("lsf", "-R", f"m:{name}") == ""


# ------------------------------------------------------------------------------------------------------------------ restic


def test_restic(live: clouds.Cloud, name: str, tree: Path, tmp_path: Path) -> None:
    env = {
        "RESTIC_REPOSITORY": f"s3:{live.endpoint}/{name}/backups",
        "RESTIC_PASSWORD": "secret",
        "AWS_ACCESS_KEY_ID": live.environment["AWS_ACCESS_KEY_ID"],
        "AWS_SECRET_ACCESS_KEY": live.environment["AWS_SECRET_ACCESS_KEY"],
        "AWS_DEFAULT_REGION": live.environment["AWS_DEFAULT_REGION"],
        "HOME": str(tmp_path),
    }

    def restic(*words: str) -> str:
        return run(needed("restic"), "--no-cache", *words, env=env).stdout

    restic("init")
    restic("backup", str(tree))
    (tree / "more").write_bytes(os.urandom(MIB))
    restic("backup", str(tree))
    assert "2 snapshots" in restic("snapshots", "--compact")
    restic("check", "--read-data")
    restic("restore", "latest", "--target", str(tmp_path / "back"))
    assert same(tree, tmp_path / "back" / tree.relative_to("/"))
    restic("forget", "--keep-last", "1", "--prune")
    restic("check")


# -------------------------------------------------------------------------------------------------------------------- s3fs


def test_s3fs(live: clouds.Cloud, name: str, tree: Path, tmp_path: Path) -> None:
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        pytest.skip("there is no /dev/fuse")
    mount, secret = tmp_path / "mount", tmp_path / "passwd"
    mount.mkdir()
    secret.write_text(f"{live.environment['AWS_ACCESS_KEY_ID']}:{live.environment['AWS_SECRET_ACCESS_KEY']}\n")
    secret.chmod(0o600)
    options = f"url={live.endpoint},use_path_request_style,passwd_file={secret},endpoint={live.environment['AWS_DEFAULT_REGION']},multipart_size=5"
    process = subprocess.Popen(
        [needed("s3fs"), name, str(mount), "-f", "-o", options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        end = time.monotonic() + 60
        while not os.path.ismount(mount):
            assert process.poll() is None and time.monotonic() < end, process.communicate(timeout=5)[0]
            time.sleep(0.1)
        shutil.copytree(tree, mount / "t")
        assert same(tree, mount / "t")
        (mount / "t" / "one").rename(mount / "t" / "renamed")
        assert (mount / "t" / "renamed").read_bytes() == (tree / "one").read_bytes()
        with (mount / "t" / "empty").open("ab") as file:
            file.write(b"appended")
        assert (mount / "t" / "empty").read_bytes() == b"appended"
        shutil.rmtree(mount / "t")
        assert list(mount.iterdir()) == []
    finally:
        subprocess.run(["fusermount", "-u", str(mount)], check=False, capture_output=True)
        process.terminate()
        process.communicate(timeout=30)


# ---------------------------------------------------------------------------------------------------------- several at once


def test_many_clients_on_one_bucket(live: clouds.Cloud, name: str) -> None:
    """What each has written, it and the others read, at once."""
    clients = [live.client("s3") for _ in range(8)]
    failed: list[Any] = []

    def work(number: int) -> None:
        s3 = clients[number]
        try:
            for turn in range(20):
                key, body = f"{number}/{turn}", os.urandom(1000 * turn)
                s3.put_object(Bucket=name, Key=key, Body=body)
                other = clients[(number + 1) % len(clients)]
                assert other.get_object(Bucket=name, Key=key)["Body"].read() == body
                assert key in [each["Key"] for each in other.list_objects_v2(Bucket=name, Prefix=f"{number}/")["Contents"]]
        except BaseException as problem:
            failed.append(problem)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(clients))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed, failed[0]
