"""The cloud as a process: how it starts, what stops it from starting, and how it ends."""

from __future__ import annotations

import dataclasses
import http.client
import json
import os
import signal
import socket
import ssl
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from mallee.settings import Settings, load, save
from tests.clouds import free_ports
from tests.postgresql import Server

SOURCE = Path(__file__).resolve().parents[2]


class Cloud:
    def __init__(self, home: Path, **settings: Any) -> None:
        self.home = home
        save(Settings(home=home, simulated=True, host="127.0.0.1", admin_account_id="123456789012", **settings))
        self.settings = load(home, {})
        self.process: subprocess.Popen[str] | None = None

    def start(self, *options: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "mallee.cloud", "--home", str(self.home), *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd="/")
        return self.process

    def up(self, seconds: float = 60) -> None:
        process, until = self.start(), time.monotonic() + seconds
        while time.monotonic() < until:
            if process.poll() is not None:
                raise AssertionError(f"the cloud ended: {process.communicate()}")
            try:
                if self.get("/health")[0] == 200:
                    return
            except OSError:
                time.sleep(0.05)
        raise AssertionError("the cloud did not come up")

    def get(self, path: str, port: int | None = None, context: ssl.SSLContext | None = None) -> tuple[int, bytes]:
        address = ("127.0.0.1", port or self.settings.port)
        connection = http.client.HTTPConnection(*address, timeout=10)
        if context is not None:
            connection = http.client.HTTPSConnection(*address, timeout=10, context=context)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def refusal(self, *options: str) -> str:
        """What is said on standard error by a start that does not succeed."""
        process = self.start(*options)
        _, said = process.communicate(timeout=60)
        assert process.returncode == 1, said
        return said.strip()

    def stop(self) -> int:
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        return self.process.returncode

    def client(self, service: str = "sts") -> Any:
        import boto3
        from botocore.config import Config

        keys = json.loads((self.settings.secrets / "credentials.json").read_text())
        return boto3.client(
            service,
            region_name=self.settings.region,
            endpoint_url=self.settings.endpoint,
            aws_access_key_id=keys["AccessKeyId"],
            aws_secret_access_key=keys["SecretAccessKey"],
            config=Config(retries={"max_attempts": 0}, proxies={}),
        )


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """Below a folder that any user may enter, for the cloud gives up root."""
    import shutil
    import tempfile

    made = Path(tempfile.mkdtemp(prefix="mallee-process-"))
    made.chmod(0o755)
    yield made / "home"
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture
def cloud(home: Path) -> Iterator[Cloud]:
    made = Cloud(home, port=free_ports())
    yield made
    if made.process is not None and made.process.poll() is None:
        made.process.kill()
        made.process.communicate(timeout=10)


def test_a_start_a_second_start_and_the_end(cloud: Cloud) -> None:
    cloud.up()
    settings = cloud.settings
    status, body = cloud.get("/health")
    assert status == 200 and json.loads(body)["status"] == "ok"
    assert cloud.client().get_caller_identity()["Account"] == "123456789012"
    trusting = ssl.create_default_context(cafile=str(settings.cloud / "tls" / "ca.pem"))
    assert cloud.get("/health/live", settings.tls_port, trusting)[0] == 200
    status, text = cloud.get("/metrics", settings.metrics_port)
    assert status == 200 and b'mallee_requests_total{service="sts",operation="GetCallerIdentity"' in text
    assert b"mallee_nodes 0" in text and b"mallee_database_up 1" in text
    pid = int((settings.run / "cloud.pid").read_text())
    assert cloud.process is not None and pid == cloud.process.pid
    assert (settings.run / "fabric.sock").is_socket()
    other = Cloud(cloud.home, port=settings.port)
    assert other.refusal() == f"mallee cloud: Another cloud already runs on {cloud.home} (process {pid})."
    assert cloud.stop() == 0
    log = [json.loads(line) for line in (settings.log / "cloud.log").read_text().splitlines()]
    assert any(line.get("operation") == "GetCallerIdentity" for line in log) and log[-1]["message"] == "stopped"
    cloud.up()
    assert cloud.client().get_caller_identity()["Account"] == "123456789012"
    assert cloud.stop() == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has privileges to give up")
def test_root_is_given_up(cloud: Cloud) -> None:
    cloud.up()
    settings = cloud.settings
    assert cloud.process is not None
    status = Path(f"/proc/{cloud.process.pid}/status").read_text()
    assert f"Uid:\t{settings.uid}\t{settings.uid}\t{settings.uid}\t{settings.uid}" in status
    assert "Groups:\t \n" in status or "Groups:\t\n" in status
    assert "CapEff:\t0000000000000000" in status
    for path in settings.cloud.rglob("*"):
        assert path.lstat().st_uid == settings.uid, path
    modes = {name: stat.S_IMODE((settings.cloud / name).stat().st_mode) for name in ("master.key", "cloud.db")}
    assert modes == {"master.key": 0o600, "cloud.db": 0o600}
    assert settings.secrets.stat().st_uid == 0 and stat.S_IMODE(settings.secrets.stat().st_mode) == 0o700
    assert stat.S_IMODE((settings.secrets / "credentials.json").stat().st_mode) == 0o600
    assert cloud.stop() == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has privileges to give up")
def test_a_home_that_the_cloud_s_user_cannot_enter(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    cloud = Cloud(tmp_path / "home", port=free_ports())
    assert "cannot" in cloud.refusal() and "Traceback" not in cloud.refusal()


def test_only_to_prepare(cloud: Cloud) -> None:
    for changed in (True, False):
        process = cloud.start("--prepare")
        said, trouble = process.communicate(timeout=60)
        assert (process.returncode, trouble) == (0, "") and json.loads(said) == {"changed": changed}
    keys = json.loads((cloud.settings.secrets / "credentials.json").read_text())
    assert set(keys) == {"AccountId", "AccessKeyId", "SecretAccessKey"} and keys["AccountId"] == "123456789012"


@pytest.mark.parametrize("name", ["port", "tls_port", "metrics_port"])
def test_a_port_that_is_taken(cloud: Cloud, name: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", getattr(cloud.settings, name)))
        taken.listen()
        assert cloud.refusal() == (
            f"mallee cloud: Port {getattr(cloud.settings, name)} on 127.0.0.1 cannot be listened on "
            f"(Address already in use): choose another with the setting {name}."
        )


def test_a_database_that_is_not_there(home: Path) -> None:
    port = free_ports(4)
    cloud = Cloud(home, port=port, database_url=f"postgresql://nobody@127.0.0.1:{port + 3}/none")
    said = cloud.refusal()
    assert said.startswith("mallee cloud: The database does not answer") and "\n" not in said and "database_url" in said


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=755", "tmpfs", str(folder)], check=False)
    if done.returncode:
        pytest.skip("a small disk cannot be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_disk_that_is_full_at_the_start(home: Path) -> None:
    with small_disk(home, "64k"):
        said = Cloud(home, port=free_ports()).refusal()
        assert said.startswith("mallee cloud: The disk") and "full" in said and "\n" not in said


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_disk_that_fills_up_and_is_freed(home: Path) -> None:
    """Writes are answered with Unavailable, reads go on, and all is well when there is room again."""
    from botocore.exceptions import ClientError

    with small_disk(home, "8m"):
        cloud = Cloud(home, port=free_ports())
        cloud.up()
        ec2 = cloud.client("ec2")
        ec2.create_key_pair(KeyName="before", KeyType="ed25519")
        filler = home / "cloud" / "filler"
        with suppress(OSError), open(filler, "wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        with pytest.raises(ClientError) as caught:
            for number in range(200):
                ec2.create_key_pair(KeyName=f"during-{number}", KeyType="ed25519")
        assert caught.value.response["Error"]["Code"] == "Unavailable"
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
        assert "before" in {pair["KeyName"] for pair in ec2.describe_key_pairs()["KeyPairs"]}
        filler.unlink()
        ec2.create_key_pair(KeyName="after", KeyType="ed25519")
        assert cloud.stop() == 0


def test_postgresql_that_goes_away_and_comes_back(home: Path, postgresql_server: Server) -> None:
    from botocore.exceptions import ClientError

    url = postgresql_server.create("process")
    postgresql_server.home.chmod(0o755)
    cloud = Cloud(home, port=free_ports(), database_url=url)
    cloud.up()
    assert json.loads(cloud.get("/health")[1])["database"] == "postgresql"
    ec2 = cloud.client("ec2")
    ec2.create_key_pair(KeyName="before", KeyType="ed25519")
    try:
        postgresql_server.halt()
        status, body = cloud.get("/health")
        assert status == 503 and "database_url" in json.loads(body)["remedy"]
        with pytest.raises(ClientError) as caught:
            ec2.describe_key_pairs()
        assert caught.value.response["Error"]["Code"] == "Unavailable"
        assert b"mallee_database_up 0" in cloud.get("/metrics", cloud.settings.metrics_port)[1]
    finally:
        postgresql_server.resume()
    assert [pair["KeyName"] for pair in ec2.describe_key_pairs()["KeyPairs"]] == ["before"]
    assert cloud.get("/health")[0] == 200
    assert cloud.stop() == 0


def test_a_master_key_that_is_gone(cloud: Cloud) -> None:
    cloud.up()
    assert cloud.stop() == 0
    key = cloud.settings.cloud / "master.key"
    key.rename(key.with_name("elsewhere"))
    said = cloud.refusal()
    assert said.startswith(f"mallee cloud: The master key {key} is missing") and not key.exists()


def test_a_certificate_that_has_ended_is_a_fault(cloud: Cloud, home: Path) -> None:
    import datetime

    from mallee.http import tls

    folder = home.parent / "own"
    tls.issue(folder, ["localhost"], datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=500))
    (folder / "key.pem").chmod(0o644)
    save(dataclasses.replace(cloud.settings, tls_certificate=str(folder / "cert.pem"), tls_key=str(folder / "key.pem")))
    cloud.up()
    until = time.monotonic() + 20
    while b'mallee_faults_open{code="certificate-expired"} 1' not in cloud.get("/metrics", cloud.settings.metrics_port)[1]:
        assert time.monotonic() < until
        time.sleep(0.1)
    assert cloud.stop() == 0


def test_settings_that_cannot_work(cloud: Cloud) -> None:
    cloud.settings.file.write_text("port = 0\n")
    assert cloud.refusal() == "mallee cloud: port must be between 1 and 65535, not 0."


def test_an_end_amid_requests_loses_none_that_was_answered(cloud: Cloud) -> None:
    """What was answered is there after the restart, and nobody is answered half."""
    cloud.up()
    answered: list[str] = []
    odd: list[Exception] = []
    stopped = threading.Event()

    def work(number: int) -> None:
        ec2 = cloud.client("ec2")
        count = 0
        while not stopped.is_set():
            name = f"key-{number}-{count}"
            try:
                ec2.create_key_pair(KeyName=name, KeyType="ed25519")
            except Exception as error:
                if type(error).__name__ not in ("EndpointConnectionError", "ConnectionClosedError"):
                    odd.append(error)
                return
            answered.append(name)
            count += 1

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    while len(answered) < 10:
        time.sleep(0.01)
        assert not odd
    assert cloud.stop() == 0
    stopped.set()
    for thread in threads:
        thread.join(30)
    cloud.up()
    kept = {pair["KeyName"] for pair in cloud.client("ec2").describe_key_pairs()["KeyPairs"]}
    assert set(answered) <= kept and len(kept) <= len(answered) + 3 and not odd
    assert cloud.stop() == 0


def test_a_kill_amid_requests_loses_none_that_was_answered(cloud: Cloud) -> None:
    cloud.up()
    ec2 = cloud.client("ec2")
    names = [f"key-{number}" for number in range(5)]
    for name in names:
        ec2.create_key_pair(KeyName=name, KeyType="ed25519")
    assert cloud.process is not None
    cloud.process.kill()
    cloud.process.communicate(timeout=10)
    cloud.up()
    assert {pair["KeyName"] for pair in cloud.client("ec2").describe_key_pairs()["KeyPairs"]} == set(names)
    assert cloud.stop() == 0
