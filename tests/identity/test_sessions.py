"""Session tokens and the keys that come with them: what is believed, what is refused, and with which error where."""

from __future__ import annotations

import base64
import dataclasses
import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mallee.identity import keys, records, sessions, vault
from mallee.identity.call import Session
from mallee.identity.records import accounts, roles, tags, users
from mallee.identity.sessions import Issued
from mallee.identity.setup import Credentials
from mallee.identity.signature import sigv2, sigv4
from mallee.store import ManualClock, Tx
from mallee.wire import AwsError, Request, services
from tests.identity import signing
from tests.identity.conftest import SCOPES, Identity
from tests.identity.signing import NOW, header, with_header

ACCOUNT = "123456789012"
HOUR = datetime.timedelta(hours=1)
TRUST = '{"Version":"2012-10-17","Statement":[]}'


class World(Identity):
    """An identity whose sessions' clock stands still, with a role and a user."""

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.clock = self.database.clock = ManualClock(NOW)
        with self.database.transaction() as tx:
            self.role = roles.add_role(tx, ACCOUNT, "Reader", TRUST, path="/team/")
            self.user = records.add_user(tx, ACCOUNT, "alice")
            tags.set_tags(tx, ACCOUNT, self.role.id, {"Cost": "1", "Kind": "role"})

    def session(self, kind: str = sessions.ASSUMED_ROLE, **more: Any) -> Session:
        holder = self.role.id if kind == sessions.ASSUMED_ROLE else self.user.id
        now = self.clock.now()
        return Session(**({"kind": kind, "account_id": ACCOUNT, "holder_id": holder, "name": "me", "issued_at": now,
                           "expires_at": sessions.ends(now, 3600)} | more))  # fmt: skip

    def issue(self, kind: str = sessions.ASSUMED_ROLE, **more: Any) -> Issued:
        return sessions.issue(self.vault, self.session(kind, **more))

    def change(self, work: Callable[[Tx], Any]) -> None:
        with self.database.transaction() as tx:
            work(tx)
            keys.forget_after(tx)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "home")


def signed(issued: Issued, **changed: Any) -> Request:
    """A form request with the session's credentials, or with other parts in their place."""
    pair = Credentials(ACCOUNT, changed.pop("key", issued.access_key_id), changed.pop("secret", issued.secret))
    return signing.query(pair, token=changed.pop("token", issued.token), **changed)


def old(pair: Credentials, **changed: Any) -> Request:
    """A request with a signature of version 2: botocore takes its time from elsewhere."""
    with mock.patch("botocore.auth.get_current_datetime", lambda **_: NOW), mock.patch("time.gmtime", lambda *_: NOW.timetuple()):
        return signing.version2(pair, **changed)


# ----------------------------------------------------------------------------------------------------------------- tokens

_texts = st.text(min_size=1, max_size=40)
_sessions = st.builds(
    Session,
    kind=st.sampled_from(["assumed-role", "federated-user", "session"]),
    account_id=st.integers(0, 999_999_999_999).map(lambda number: f"{number:012d}"),
    holder_id=st.text("ABCDEFGHIJ234567", min_size=16, max_size=21),
    name=st.text(max_size=64),
    issued_at=st.datetimes(datetime.datetime(2024, 1, 1), timezones=st.just(datetime.UTC)),
    expires_at=st.datetimes(datetime.datetime(2024, 1, 1), timezones=st.just(datetime.UTC)).map(
        lambda at: at.replace(microsecond=0)
    ),
    policies=st.lists(_texts, max_size=2).map(tuple),
    policy_arns=st.lists(_texts, max_size=10).map(tuple),
    tags=st.dictionaries(_texts, st.text(max_size=20), max_size=10),
    transitive=st.lists(_texts, max_size=5).map(tuple),
    source_identity=st.none() | _texts,
    mfa_at=st.none() | st.datetimes(datetime.datetime(2024, 1, 1), timezones=st.just(datetime.UTC)),
    provider=st.none() | _texts,
    chained=st.booleans(),
    keys=st.dictionaries(_texts, st.lists(_texts, min_size=1, max_size=3).map(tuple), max_size=4),
)
_VAULT = vault.Vault(bytes(range(32)))


@settings(max_examples=150, deadline=None)
@given(session=_sessions, least=st.integers(0, 5000))
def test_a_token_says_again_what_was_issued(session: Session, least: int) -> None:
    issued = sessions.issue(_VAULT, session, least_symbols=least)
    opened = sessions.open_(_VAULT, issued.token)
    assert opened == sessions.Opened(session, issued.access_key_id, issued.secret)
    assert issued.access_key_id.startswith("ASIA") and len(issued.access_key_id) == 20 and len(issued.secret) == 40
    assert len(issued.token) >= min(least, sessions.MOST_SYMBOLS) - 3 and "=" not in issued.token
    assert sessions.account_of_key(issued.access_key_id) == session.account_id
    assert issued.secret not in repr(issued) and issued.token not in repr(issued) and issued.secret not in repr(opened)


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_a_token_that_was_changed_anywhere_is_none(data: st.DataObject) -> None:
    session = Session("session", ACCOUNT, ACCOUNT, "", NOW, NOW + HOUR)
    token = sessions.issue(_VAULT, session).token
    place = data.draw(st.integers(0, len(token) - 1))
    letter = data.draw(st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=-_ é\n"))
    how = data.draw(st.sampled_from(["replace", "insert", "drop", "cut"]))
    text = {
        "replace": token[:place] + letter + token[place + 1 :],
        "insert": token[:place] + letter + token[place:],
        "drop": token[:place] + token[place + 1 :],
        "cut": token[:place],
    }[how]
    if text != token:
        with pytest.raises(sessions.BadToken):
            sessions.open_(_VAULT, text)


@pytest.mark.parametrize("text", ["", "AAAA", "A" * 100_000, "é" * 40, base64.b64encode(b"\x01" + bytes(200)).decode(), "AQ=="])
def test_what_is_no_token(text: str) -> None:
    with pytest.raises(sessions.BadToken):
        sessions.open_(_VAULT, text)


def test_a_row_s_secret_is_no_token_and_another_key_opens_nothing() -> None:
    token = sessions.issue(_VAULT, Session("session", ACCOUNT, ACCOUNT, "", NOW, NOW + HOUR)).token
    with pytest.raises(sessions.BadToken):
        sessions.open_(vault.Vault(bytes(32)), token)
    pasted = base64.b64encode(b"\x01" + _VAULT.seal("AKIA", "x" * 46)).decode()
    with pytest.raises(sessions.BadToken):
        sessions.open_(_VAULT, pasted)


def test_tokens_are_short() -> None:
    plain = Session("session", ACCOUNT, "AIDA" + "A" * 16, "", NOW, NOW + HOUR)
    assert len(sessions.issue(_VAULT, plain).token) < 300
    policy = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}]}'
    narrowed = dataclasses.replace(plain, policies=(policy,))
    assert len(sessions.issue(_VAULT, narrowed).token) < 350
    assert sessions.packed_percent(plain) == 0 and 1 <= sessions.packed_percent(narrowed) <= 5


def test_the_account_in_a_key_s_id() -> None:
    assert sessions.account_of_key("AKIA" + "A" * 16) is None
    assert sessions.account_of_key("ASIA" + "a" * 16) is None
    assert sessions.account_of_key("ASIA" + "A" * 16) is None
    assert sessions.account_of_key("ASIA" + "7" * 16) is None
    assert sessions.account_of_key("ASIA" + "A" * 15) is None


# ----------------------------------------------------------------------------------------------------------------- who it is


def test_a_role_s_session(world: World) -> None:
    issued = world.issue(name="i-1", tags={"kind": "session"}, keys={"ec2:RoleDelivery": ("2.0",)})
    principal = world.principal(signed(issued))
    assert principal.arn == f"arn:aws:sts::{ACCOUNT}:assumed-role/Reader/i-1"
    assert principal.user_id == f"{world.role.id}:i-1" and principal.kind == "assumed-role"
    assert principal.issuer_arn == f"arn:aws:iam::{ACCOUNT}:role/team/Reader" and principal.holder_id == world.role.id
    assert principal.tags == {"Cost": "1", "kind": "session"}
    assert principal.access_key_id == issued.access_key_id and not principal.is_root
    assert principal.session is not None and principal.session.keys == {"ec2:RoleDelivery": ("2.0",)}


def test_a_user_s_a_root_s_and_a_federated_user_s_session(world: World) -> None:
    user = world.principal(signed(world.issue(sessions.SESSION)))
    assert (user.kind, user.user_id, user.user_name) == ("user", world.user.id, "alice")
    assert user.arn == f"arn:aws:iam::{ACCOUNT}:user/alice" and user.session is not None
    root = world.principal(signed(world.issue(sessions.SESSION, holder_id=ACCOUNT)))
    assert root.is_root and root.arn.endswith(":root") and root.session is not None
    federated = world.principal(signed(world.issue(sessions.FEDERATED_USER, name="bob")))
    assert federated.arn == f"arn:aws:sts::{ACCOUNT}:federated-user/bob" and federated.user_id == f"{ACCOUNT}:bob"
    assert federated.holder_id == world.user.id and federated.issuer_arn == user.arn
    of_root = world.principal(signed(world.issue(sessions.FEDERATED_USER, name="bob", holder_id=ACCOUNT)))
    assert of_root.kind == "federated-user" and of_root.holder_id == "" and not of_root.is_root


def test_an_instance_s_credentials(world: World) -> None:
    issued = sessions.for_instance(
        world.vault, world.role, NOW, instance_id="i-0123", instance_arn="arn:aws:ec2:local-1:1:instance/i-0123",
        vpc_id="vpc-1", private_ip="10.0.0.4", delivery="1.0",
    )  # fmt: skip
    assert issued.expires_at == NOW + 6 * HOUR
    session = world.principal(signed(issued)).session
    assert session is not None and session.name == "i-0123" and session.keys["ec2:RoleDelivery"] == ("1.0",)
    assert session.keys["aws:Ec2InstanceSourcePrivateIPv4"] == ("10.0.0.4",)


# --------------------------------------------------------------------------------------------------------------- every form


def test_the_token_in_every_form_of_signature(world: World) -> None:
    issued = world.issue()
    pair = Credentials(ACCOUNT, issued.access_key_id, issued.secret)
    for request, service, protocol in (
        (signing.query(pair, token=issued.token), "sts", "query"),
        (signing.query(pair, "logs", token=issued.token), "logs", "json"),
        (old(pair, token=issued.token), "ec2", "ec2"),
        (signing.s3(pair, token=issued.token), "s3", "rest-xml"),
    ):
        assert world.principal(request, service, protocol).kind == "assumed-role"


@pytest.mark.parametrize("service", ["sts", "s3"])
def test_presigned_with_a_token(world: World, service: str) -> None:
    from botocore import auth

    issued = world.issue()
    kind = auth.S3SigV4QueryAuth if service == "s3" else auth.SigV4QueryAuth
    credentials = signing.keys(Credentials(ACCOUNT, issued.access_key_id, issued.secret), token=issued.token)
    request = signing.prepared(kind(credentials, service, "local-1", 900), "GET", "/b/k" if service == "s3" else "/")
    protocol = "rest-xml" if service == "s3" else "query"
    assert world.principal(request, service, protocol).kind == "assumed-role"
    other = world.issue().token.encode()
    name = b"X-Amz-Security-Token="
    before, _, rest = request.raw_query.partition(name)
    _, _, after = rest.partition(b"&")
    swapped = signing.changed(request, raw_query=before + name + other.replace(b"+", b"%2B").replace(b"/", b"%2F") + b"&" + after)
    code = "InvalidToken" if service == "s3" else "InvalidClientTokenId"
    assert world.refusal(swapped, service, protocol).code == code


# ----------------------------------------------------------------------------------------------------------------- refused

BAD = {
    "query": ("sts", "query", "InvalidClientTokenId", 403, "The security token included in the request is invalid."),
    "json": ("logs", "json", "UnrecognizedClientException", 400, "The security token included in the request is invalid."),
    "ec2": ("ec2", "ec2", "AuthFailure", 401, "AWS was not able to validate the provided access credentials"),
    "s3": ("s3", "rest-xml", "InvalidToken", 400, "The provided token is malformed or otherwise invalid."),
}
EXPIRED = {
    "query": ("sts", "query", "ExpiredToken", 403, "The security token included in the request is expired"),
    "json": ("logs", "json", "ExpiredTokenException", 400, "The security token included in the request is expired"),
    "ec2": ("ec2", "ec2", "RequestExpired", 400, "Request has expired."),
    "s3": ("s3", "rest-xml", "ExpiredToken", 400, "The provided token has expired."),
}


def told(error: AwsError) -> tuple[str, int | None, str]:
    return error.code, error.status, error.message


def for_service(service: str, pair: Credentials, token: str | None) -> Request:
    if service == "s3":
        return signing.s3(pair, token=token)
    return signing.query(pair, service, token=token)


@pytest.mark.parametrize("family", sorted(BAD))
def test_tokens_that_are_not_believed(world: World, family: str) -> None:
    service, protocol, *expected = BAD[family]
    issued, other = world.issue(), world.issue()
    temporary = Credentials(ACCOUNT, issued.access_key_id, issued.secret)
    crossed = Credentials(ACCOUNT, other.access_key_id, issued.secret)
    for pair, token in (
        (temporary, other.token),  # of another key
        (crossed, issued.token),
        (world.root, issued.token),  # with a permanent key
        (world.root, world.root.access_key_id),
        (temporary, "nonsense"),
        (temporary, issued.token[:-4]),
    ):
        assert told(world.refusal(for_service(service, pair, token), service, protocol)) == tuple(expected)
    assert world.principal(for_service(service, temporary, issued.token), service, protocol)
    without = world.refusal(for_service(service, temporary, None), service, protocol)
    assert without.code == ("InvalidAccessKeyId" if family == "s3" else expected[0])


@pytest.mark.parametrize("family", sorted(EXPIRED))
def test_an_expired_session(world: World, family: str) -> None:
    service, protocol, *expected = EXPIRED[family]
    issued = world.issue()
    request = for_service(service, Credentials(ACCOUNT, issued.access_key_id, issued.secret), issued.token)
    world.clock.advance(3599)
    world.principal(request, service, protocol)
    world.clock.advance(1)
    assert told(world.refusal(request, service, protocol)) == tuple(expected)


def test_the_wrong_secret_and_a_token_that_was_not_signed(world: World) -> None:
    issued = world.issue()
    assert world.refusal(signed(issued, secret="x" * 40)).code == "SignatureDoesNotMatch"
    unsigned = with_header(signing.query(world.root), "x-amz-security-token", issued.token)
    assert world.refusal(unsigned).code == "SignatureDoesNotMatch"
    twice = with_header(signed(issued), "x-amz-security-token", world.issue().token, add=True)
    assert world.refusal(twice).code == "InvalidClientTokenId"
    assert header(signed(issued), "x-amz-security-token") == issued.token


# --------------------------------------------------------------------------------------------------------------- revocation


def test_a_session_ends_with_its_role_and_another_of_that_name_is_another(world: World) -> None:
    request = signed(world.issue())
    world.principal(request)
    world.change(lambda tx: tx.remove(roles.roles, world.role.id))
    assert world.refusal(request).code == "InvalidClientTokenId"
    world.change(lambda tx: roles.add_role(tx, ACCOUNT, "Reader", TRUST, path="/team/"))
    assert world.refusal(request).code == "InvalidClientTokenId"


@pytest.mark.parametrize("kind", [sessions.SESSION, sessions.FEDERATED_USER])
def test_a_session_ends_with_its_user(world: World, kind: str) -> None:
    request = signed(world.issue(kind, name="bob"))
    world.principal(request)
    world.change(lambda tx: tx.change(users.users, world.user.id, name="Alicia", folded_name="alicia"))
    assert ("Alicia" in world.principal(request).arn) == (kind == sessions.SESSION)
    world.change(lambda tx: tx.remove(users.users, world.user.id))
    assert world.refusal(request).code == "InvalidClientTokenId"


def test_an_account_that_was_closed(world: World) -> None:
    permanent, temporary = signing.query(world.root), signed(world.issue(sessions.SESSION, holder_id=ACCOUNT))
    world.principal(permanent), world.principal(temporary)
    world.change(lambda tx: tx.change(accounts.accounts, ACCOUNT, closed_at=world.clock.now()))
    assert world.refusal(permanent).code == world.refusal(temporary).code == "InvalidClientTokenId"
    world.change(lambda tx: tx.change(accounts.accounts, ACCOUNT, closed_at=None))
    world.principal(permanent), world.principal(temporary)


def test_sessions_that_were_revoked_all_at_once(world: World) -> None:
    old = signed(world.issue())
    world.principal(old)
    world.change(lambda tx: tx.change(accounts.accounts, ACCOUNT, not_before=world.clock.now()))
    assert world.refusal(old).code == "InvalidClientTokenId"
    world.principal(signing.query(world.root))
    world.clock.advance(0.001)
    world.principal(signed(world.issue()))


def test_a_session_of_an_account_that_is_not_the_role_s(world: World) -> None:
    """Nobody can issue one; if a mistake did, it would open nothing."""
    with world.database.transaction() as tx:
        records.add_account(tx, "999999999999", None, "other")
    assert world.refusal(signed(world.issue(account_id="999999999999"))).code == "InvalidClientTokenId"


# ------------------------------------------------------------------------------------------------------------------- limits

REACH = [
    (sessions.SESSION, {}, "iam", "ListUsers", "InvalidClientTokenId"),
    (sessions.SESSION, {"mfa_at": NOW}, "iam", "ListUsers", None),
    (sessions.FEDERATED_USER, {"mfa_at": NOW}, "iam", "ListUsers", "InvalidClientTokenId"),
    (sessions.ASSUMED_ROLE, {}, "iam", "ListUsers", None),
    (sessions.SESSION, {}, "sts", "AssumeRole", None),
    (sessions.SESSION, {"mfa_at": NOW}, "sts", "GetSessionToken", "AccessDenied"),
    (sessions.SESSION, {}, "sts", "GetFederationToken", "AccessDenied"),
    (sessions.SESSION, {}, "sts", "DecodeAuthorizationMessage", "AccessDenied"),
    (sessions.FEDERATED_USER, {}, "sts", "GetCallerIdentity", None),
    (sessions.FEDERATED_USER, {}, "sts", "AssumeRole", "AccessDenied"),
    (sessions.ASSUMED_ROLE, {}, "sts", "AssumeRole", None),
    (sessions.ASSUMED_ROLE, {}, "sts", "GetSessionToken", "AccessDenied"),
    (sessions.ASSUMED_ROLE, {}, "sts", "GetFederationToken", "AccessDenied"),
]


@pytest.mark.parametrize(("kind", "more", "service", "operation", "code"), REACH)
def test_what_sessions_cannot_call(world: World, kind: str, more: Any, service: str, operation: str, code: str | None) -> None:
    issued = world.issue(kind, **more)
    request = for_service(service, Credentials(ACCOUNT, issued.access_key_id, issued.secret), issued.token)
    asked = services.get(service).operation(operation)
    try:
        world.authenticator.principal(request, service, SCOPES[service], "query", asked)
        assert code is None
    except AwsError as error:
        assert error.code == code


def test_operations_that_nobody_signs(world: World) -> None:
    asked = services.get("sts").operation("AssumeRoleWithWebIdentity")
    for request in (signing.query(world.root, secret="wrong"), with_header(signing.query(world.root), "authorization", None)):
        assert world.authenticator.principal(request, "sts", ("sts",), "query", asked).kind == "anonymous"


# ------------------------------------------------------------------------------------------------------------------- timing


class Counted:
    """How often the steps of a check are gone through."""

    def __init__(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        self.steps: list[str] = []
        for owner, name in (
            (world.database, "reading"),
            (world.vault, "open_bytes"),
            (sigv4, "signing_key"),
            (sigv4, "canonical_request"),
            (sigv4, "check_signature"),
            (sigv2, "check_signature"),
            (records, "user"),
        ):
            monkeypatch.setattr(owner, name, self._counting(name, getattr(owner, name)))

    def _counting(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **options: Any) -> Any:
            self.steps.append(name)
            return function(*args, **options)

        return counted

    def taken(self, refuse: Callable[[], AwsError]) -> list[str]:
        self.steps.clear()
        refuse()
        return sorted(self.steps)


def test_an_unknown_key_costs_what_a_wrong_secret_costs(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Known or not, remembered or not: the same steps, so that time does not tell which keys there are."""
    mine = world.key(user_id=world.user.id)
    unknown = dataclasses.replace(mine, access_key_id="AKIA" + "Q" * 16)
    inactive = world.key(user_id=world.user.id)
    world.change(lambda tx: tx.change(records.access_keys, inactive.access_key_id, status=records.INACTIVE))
    counted = Counted(world, monkeypatch)
    for make in (signing.query, old):
        world.keyring.forget()
        wrong = make(mine, secret="x" * 40)
        first = counted.taken(lambda wrong=wrong: world.refusal(wrong))
        assert counted.taken(lambda make=make: world.refusal(make(unknown))) == first
        assert counted.taken(lambda make=make: world.refusal(make(inactive))) == first
        world.principal(make(mine))
        again = counted.taken(lambda wrong=wrong: world.refusal(wrong))
        assert {name: again.count(name) for name in ("reading", "open_bytes", "user")} == {
            name: first.count(name) for name in ("reading", "open_bytes", "user")
        }


def test_a_secret_that_another_process_changed_is_seen_when_it_is_used(world: World) -> None:
    """A key removed and brought in again with another secret: the new one works at once."""
    mine = world.key()
    world.principal(signing.query(mine))
    with world.database.transaction() as tx:
        tx.change(records.access_keys, mine.access_key_id, secret=world.vault.seal(mine.access_key_id, "n" * 40))
    world.principal(signing.query(mine, secret="n" * 40))


def test_sessions_in_the_keyring_are_bounded_and_read_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    ring = keys.Keyring(world.database, world.vault, "aws", size=3)
    issued = [world.issue() for _ in range(5)]
    for each in issued:
        assert ring.find(each.access_key_id, each.token).principal is not None
    assert len(ring._known) <= 3
    monkeypatch.setattr(world.vault, "open_bytes", lambda *_: pytest.fail("a remembered token was opened again"))
    assert ring.find(issued[-1].access_key_id, issued[-1].token).principal is not None
