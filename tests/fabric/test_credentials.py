"""The credentials of guests over the fabric: for the node on which the guest stands, and for nobody else."""

from __future__ import annotations

import http.client
import logging
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mallee.fabric.client import SocketTransport
from mallee.fabric.document import Credentials
from mallee.fabric.transport import NODE_HEADER, VERSION_HEADER, CredentialsMissing, FabricError, Unreachable
from mallee.store import Tx

from .serving import Serving, serving
from .test_socket import JOIN
from .world import World

FOUND = Credentials("Success", "web", "2026-01-01T00:00:00Z", "", "ASIA1", "a-secret", "a-token", "2026-01-01T06:00:00Z")


def issue(tx: Tx, instance_id: str, delivery: str) -> Credentials | None:
    return replace(FOUND, access_key_id=f"ASIA-{instance_id}-{delivery}") if instance_id == "i-1" else None


@pytest.fixture
def server(sqlite_world: World, tmp_path: Path) -> Iterator[Serving]:
    with serving(sqlite_world.session(credentials=issue), tmp_path / "run" / "fabric.sock") as running:
        yield running


@pytest.fixture
def client(server: Serving, sqlite_world: World) -> Iterator[SocketTransport]:
    made = SocketTransport(server.path)
    made.join(JOIN)
    sqlite_world.launch("i-1")
    sqlite_world.launch("i-2")
    yield made
    made.close()


def ask(server: Serving, path: str, **headers: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("localhost")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(str(server.path))
    connection.request(
        "GET", path, headers={VERSION_HEADER: "1", **{name.replace("_", "-"): value for name, value in headers.items()}}
    )
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, body


def test_a_node_gets_those_of_its_guests(client: SocketTransport) -> None:
    assert client.credentials("n-1", "i-1", "2.0") == replace(FOUND, access_key_id="ASIA-i-1-2.0")
    assert client.credentials("n-1", "i-1", "1.0").access_key_id == "ASIA-i-1-1.0"


def test_what_it_has_no_right_to_is_not_there(client: SocketTransport, server: Serving) -> None:
    for node, instance in (("n-1", "i-2"), ("n-1", "i-3"), ("n-2", "i-1"), ("n-1", "../report"), ("n-1", "i-1?x")):
        with pytest.raises(CredentialsMissing):
            client.credentials(node, instance, "2.0")
    assert ask(server, "/v1/credentials/i-1?delivery=2.0")[0] == 404  # nobody says who asks
    for query in ("", "?delivery=", "?delivery=3.0"):
        assert ask(server, f"/v1/credentials/i-1{query}", **{NODE_HEADER: "n-1"})[0] == 400


def test_a_cloud_that_is_away_is_no_refusal(client: SocketTransport, server: Serving) -> None:
    server.stop()
    with pytest.raises(Unreachable):
        client.credentials("n-1", "i-1", "2.0")
    server.start()
    assert client.credentials("n-1", "i-1", "2.0").code == "Success"


def test_secrets_are_in_no_message(
    client: SocketTransport, server: Serving, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    assert "a-secret" not in repr(client.credentials("n-1", "i-1", "2.0"))
    monkeypatch.setattr(client, "_exchange", lambda *_: (200, {}, b'{"code": "Success", "secret_access_key": "a-secret", "x'))
    with pytest.raises(FabricError) as refused:
        client.credentials("n-1", "i-1", "2.0")
    assert "a-secret" not in str(refused.value) and refused.value.__cause__ is None
    assert "a-secret" not in caplog.text and "a-token" not in caplog.text
