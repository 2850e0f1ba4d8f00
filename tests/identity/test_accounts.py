"""Accounts, keys, the keyring and the vault."""

from __future__ import annotations

import base64
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mallee.identity import keys, records, setup, vault
from mallee.identity.access import Access
from mallee.identity.authorize import authorize
from mallee.identity.call import Call, Principal
from mallee.identity.keys import Keyring
from mallee.identity.tools import Tools
from mallee.store import journal
from mallee.wire import AwsError
from tests.identity import signing
from tests.identity.conftest import Identity


def test_the_set_up_is_made_once(identity: Identity) -> None:
    again = setup.bootstrap(identity.database, identity.vault, identity.settings)
    assert again == identity.root
    with identity.database.reading() as tx:
        account = records.account_by_alias(tx, "mallee")
        assert account is not None and account.id == "123456789012"
        assert records.all_accounts(tx)[0].id == "123456789012"


def test_an_account_gets_what_the_domains_give_it(identity: Identity) -> None:
    given: list[str] = []
    with identity.database.transaction() as tx:
        hook = lambda tx, account_id, settings: given.append(account_id)  # noqa: E731
        made = setup.create_account(tx, identity.settings, alias="research", hooks=[hook])
    assert given == [made.id] and len(made.id) == 12 and made.id[0] != "0"
    for alias, error in (("research", records.Taken), ("No", ValueError), ("-x-", ValueError)):
        with pytest.raises(error), identity.database.transaction() as tx:
            setup.create_account(tx, identity.settings, alias=alias)
    with pytest.raises(ValueError), identity.database.transaction() as tx:
        setup.create_account(tx, identity.settings, account_id="12")
    with pytest.raises(records.Taken), identity.database.transaction() as tx:
        setup.create_account(tx, identity.settings, account_id=made.id)


def test_keys_look_like_aws_s_and_rest_sealed(identity: Identity) -> None:
    made = identity.key()
    assert len(made.access_key_id) == 20 and made.access_key_id.startswith("AKIA")
    assert len(made.secret_access_key) == 40
    assert made.secret_access_key not in repr(made)
    with identity.database.reading() as tx:
        row = records.access_key(tx, made.access_key_id)
        assert row is not None and made.secret_access_key.encode() not in row.secret
        told = [str(entry) for entry in tx.all(journal.select().where(journal.c.resource_id == made.access_key_id))]
    assert told and base64.b64encode(row.secret).decode() not in told[0] and repr(row.secret) not in told[0]


def test_a_user_s_key_is_the_user(identity: Identity) -> None:
    with identity.database.transaction() as tx:
        user = records.add_user(tx, identity.root.account_id, "Alice", "/team/")
    made = identity.key(user_id=user.id)
    principal = identity.principal(signing.query(made))
    assert principal.arn == "arn:aws:iam::123456789012:user/team/Alice"
    assert (principal.user_id, principal.user_name, principal.is_root) == (user.id, "Alice", False)
    with pytest.raises(records.Taken), identity.database.transaction() as tx:
        records.add_user(tx, identity.root.account_id, "ALICE")


def test_an_inactive_key_is_an_unknown_one(identity: Identity) -> None:
    made = identity.key()
    request = signing.query(made)
    identity.principal(request)
    with identity.database.transaction() as tx:
        tx.change(records.access_keys, made.access_key_id, status=records.INACTIVE)
        keys.forget_after(tx, made.access_key_id)
    assert identity.refusal(request).code == "InvalidClientTokenId"


def test_another_process_s_change_is_seen_within_seconds(identity: Identity) -> None:
    clock = [100.0]
    ring = Keyring(identity.database, identity.vault, "aws", seconds=5, monotonic=lambda: clock[0])
    made = identity.key()
    assert ring.find(made.access_key_id).principal is not None
    with identity.database.transaction() as tx:
        tx.remove(records.access_keys, made.access_key_id)
    assert ring.find(made.access_key_id).principal is not None
    clock[0] += 5.1
    assert ring.find(made.access_key_id).principal is None
    fresh = identity.key()
    assert ring.find(fresh.access_key_id).principal is not None


def test_the_keyring_is_bounded(identity: Identity) -> None:
    ring = Keyring(identity.database, identity.vault, "aws", size=3)
    made = [identity.key() for _ in range(5)]
    for each in made:
        found = ring.find(each.access_key_id)
        assert found.principal is not None and each.secret_access_key not in repr(found)
    assert len(ring._known) <= 3
    found = ring.find(made[0].access_key_id)
    for day in range(100):
        found.signing_key(f"202503{day:02d}", "local-1", "ec2")
    assert len(found.derived) <= 16


def test_a_change_during_the_look_up_is_not_overwritten(identity: Identity, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that is revoked between being read and being remembered is not remembered."""
    ring = Keyring(identity.database, identity.vault, "aws")
    made = identity.key()
    fetch = ring._fetch

    def slow(access_key_id: str) -> keys.Credential:
        found = fetch(access_key_id)
        ring.forget(access_key_id)
        return found

    monkeypatch.setattr(ring, "_fetch", slow)
    assert ring.find(made.access_key_id).principal is not None
    assert made.access_key_id not in ring._known


# ---------------------------------------------------------------------------------------------------------------- vault


def test_the_vault_opens_only_what_it_sealed_for_that_name(tmp_path: Path) -> None:
    one = vault.at(tmp_path, create=True)
    sealed = one.seal("AKIA1", "secret")
    assert one.open("AKIA1", sealed) == vault.at(tmp_path).open("AKIA1", sealed) == "secret"
    assert sealed != one.seal("AKIA1", "secret")
    other = vault.Vault(os.urandom(32))
    flipped = sealed[:-1] + bytes([sealed[-1] ^ 1])
    for opener, name, value in ((one, "AKIA2", sealed), (other, "AKIA1", sealed), (one, "AKIA1", flipped), (one, "AKIA1", b"")):
        with pytest.raises(vault.VaultError):
            opener.open(name, value)


def test_the_master_key_s_file(tmp_path: Path) -> None:
    with pytest.raises(vault.VaultError, match="missing"):
        vault.at(tmp_path)
    vault.at(tmp_path, create=True)
    path = tmp_path / "master.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and [each.name for each in tmp_path.iterdir()] == ["master.key"]
    for damaged in (b"", b"short", base64.b64encode(b"x" * 31), b"!" * 44):
        path.write_bytes(damaged)
        with pytest.raises(vault.VaultError, match=r"damaged|32 bytes"):
            vault.at(tmp_path)


def test_a_foreign_master_key_is_noticed_at_the_start(identity: Identity, tmp_path: Path) -> None:
    with pytest.raises(vault.VaultError, match="not the key that sealed it"):
        setup.bootstrap(identity.database, vault.at(tmp_path, create=True), identity.settings)


# -------------------------------------------------------------------------------------------------------- authorization


@contextmanager
def call(identity: Identity, service: str, operation: str, protocol: str, kind: str = "user") -> Iterator[Call]:
    root = kind == "root"
    account = "123456789012"
    principal = Principal(account, f"arn:aws:iam::{account}:user/bob", "AIDA1", kind, "bob", holder_id="" if root else "AIDA1")
    with identity.database.reading(account) as tx:
        yield Call(
            service, operation, {}, principal, tx, "r", identity.settings, protocol=protocol, tools=Tools(identity.vault)
        )


def test_root_may_and_users_may_only_ask_who_they_are(identity: Identity) -> None:
    with call(identity, "ec2", "RunInstances", "ec2", "root") as made:
        authorize(made, Access())
    with call(identity, "sts", "GetCallerIdentity", "query") as made:
        authorize(made, Access(open=True))
    cases = {
        ("ec2", "ec2"): ("UnauthorizedOperation", 403),
        ("iam", "query"): ("AccessDenied", 403),
        ("kms", "json"): ("AccessDeniedException", 400),
        ("ebs", "rest-json"): ("AccessDeniedException", 403),
        ("s3", "rest-xml"): ("AccessDenied", 403),
        ("elbv2", "query"): ("AccessDenied", 403),
    }
    for (service, protocol), expected in cases.items():
        with call(identity, service, "Anything", protocol) as made, pytest.raises(AwsError) as caught:
            authorize(made, Access())
        assert (caught.value.code, caught.value.status) == expected
        prefix = "elasticloadbalancing" if service == "elbv2" else service
        assert f"is not authorized to perform: {prefix}:Anything because no identity" in caught.value.message


def test_arns(identity: Identity) -> None:
    with call(identity, "ec2", "X", "ec2") as made:
        assert made.arn("instance/i-1") == "arn:aws:ec2:local-1:123456789012:instance/i-1"
        assert made.arn("user/bob", "iam") == "arn:aws:iam::123456789012:user/bob"
        assert made.arn("bucket/key", "s3") == "arn:aws:s3:::bucket/key"
