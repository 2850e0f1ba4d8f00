"""A client of Swift's, as thin as can be: requests as they are, with a token."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from tests.cloud.harness import Account, TestCloud

HOST = "mallee.test:8773"


@dataclass(slots=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def send(cloud: TestCloud, method: str, path: str, query: str = "", body: bytes | None = None, **headers: str) -> Answer:
    """Names of headers with underscores for hyphens."""
    given = [(name.replace("_", "-").lower().encode(), value.encode()) for name, value in headers.items()]
    if not any(name == b"host" for name, _ in given):
        given.append((b"host", HOST.encode()))
    if body is not None and not any(name in (b"transfer-encoding", b"content-length") for name, _ in given):
        given.append((b"content-length", b"%d" % len(body)))
    return Answer(*cloud.request(method, path, query, given, body or b""))


def token_of(account: Account, user: str | None = None) -> str:
    found = send(
        account.cloud, "GET", "/auth/v1.0", x_auth_user=user or account.credentials.access_key_id,
        x_auth_key=account.credentials.secret_access_key,
    )  # fmt: skip
    assert found.status == 200, found
    return found.headers["x-auth-token"]


@dataclass(slots=True)
class Swift:
    """What an account's key may do. ``swift("PUT", "container/object", body=b"…")``; ``at``: another account's containers."""

    account: Account
    at: str = ""
    token: str = field(default="")

    def __post_init__(self) -> None:
        self.token = self.token or token_of(self.account)

    def path(self, name: str = "") -> str:
        start = f"/v1/AUTH_{self.at or self.account.id}"
        return f"{start}/{quote(name)}" if name else start

    def __call__(self, method: str, name: str = "", query: str = "", body: bytes | None = None, **headers: str) -> Answer:
        if method == "PUT" and body is None and "transfer_encoding" not in headers:
            body = b""
        return send(self.account.cloud, method, self.path(name), query, body, x_auth_token=self.token, **headers)

    def put(self, name: str, body: bytes = b"", query: str = "", **headers: str) -> Answer:
        found = self("PUT", name, query, body, **headers)
        assert found.status == 201, found
        return found

    def get(self, name: str, query: str = "", **headers: str) -> bytes:
        found = self("GET", name, query, None, **headers)
        assert found.status in (200, 206), found
        return found.body
