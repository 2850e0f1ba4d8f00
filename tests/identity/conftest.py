"""A cloud's identity without the rest: a database with accounts and keys, and an authenticator whose clock stands."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mallee.identity import setup, vault
from mallee.identity.authenticate import Authenticator
from mallee.identity.call import Principal
from mallee.identity.keys import Keyring
from mallee.identity.setup import Credentials
from mallee.settings import Settings
from mallee.store import Database, schema
from mallee.wire import AwsError, Request
from tests.identity.signing import NOW

SCOPES = {"sts": ("sts",), "iam": ("iam",), "ec2": ("ec2",), "s3": ("s3", "s3express"), "logs": ("logs",)}


class Identity:
    """Everything that belief needs."""

    def __init__(self, home: Path) -> None:
        (home / "cloud").mkdir(parents=True)
        self.settings = Settings(home=home, admin_account_id="123456789012")
        self.database = Database(self.settings.database_url, synchronous=False)
        schema.create(self.database)
        self.vault = vault.at(self.settings.cloud, create=True)
        self.root = setup.bootstrap(self.database, self.vault, self.settings)
        self.now = NOW
        self.keyring = Keyring(self.database, self.vault, "aws")
        self.authenticator = Authenticator(self.keyring, self.settings, lambda: self.now)

    def principal(self, request: Request, service: str = "sts", protocol: str = "query") -> Principal:
        return self.authenticator.principal(request, service, SCOPES[service], protocol)

    def refusal(self, request: Request, service: str = "sts", protocol: str = "query") -> AwsError:
        with pytest.raises(AwsError) as caught:
            self.principal(request, service, protocol)
        return caught.value

    def key(self, account_id: str | None = None, user_id: str | None = None) -> Credentials:
        with self.database.transaction() as tx:
            return setup.create_access_key(tx, self.vault, account_id or self.root.account_id, user_id)


@pytest.fixture(scope="module")
def module_identity(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Identity]:
    made = Identity(tmp_path_factory.mktemp("identity") / "home")
    yield made
    made.database.close()


@pytest.fixture
def identity(module_identity: Identity) -> Identity:
    module_identity.now = NOW
    return module_identity


Refusal = Callable[..., AwsError]
