"""Temporary credentials: issuing them, and reading the token that comes with them.

A session is no row. Its token carries everything, secret included, sealed by the vault, so that whoever holds it can neither
read nor change it, and a cloud that forgets everything but its master key still knows it. What a session may do is
asked anew at each use: the role or user must still be there, its account open, and nobody must have revoked what was
issued before.

A token is base64 of one byte for its form and what the vault sealed: access key, secret, and the deflated description. It
has no padding and no spare bits: every other text is another token, and none of ours.
"""

from __future__ import annotations

import base64
import binascii
import datetime
import json
import os
import secrets
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from mallee.identity import records
from mallee.identity.call import Principal, Session
from mallee.identity.records import accounts, roles, tags
from mallee.identity.rules.context import fold
from mallee.identity.vault import Vault, VaultError
from mallee.store import Tx

ASSUMED_ROLE: Final = "assumed-role"
FEDERATED_USER: Final = "federated-user"
SESSION: Final = "session"
SIGN_IN: Final = "sign-in"

PACKED_LIMIT: Final = 2048  # bytes that policies, their ARNs and tags may take, deflated
MOST_SYMBOLS: Final = 4096  # of a token
INSTANCE_SECONDS: Final = 6 * 3600

_FORM: Final = b"\x01"
_NAME: Final = "session-token/1"
_KEY = 10  # bytes of an access key's id after its prefix
_SECRET = 30
_HEAD = _KEY + _SECRET
_PREFIX = "ASIA"
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MICROSECOND = datetime.timedelta(microseconds=1)
_SECOND = datetime.timedelta(seconds=1)

# what policies are made of: deflating begins with it, so that even short ones become shorter
_USUAL: Final = (
    b'"arn:aws:s3:::*","arn:aws:ec2:*:*:instance/*","arn:aws:iam::aws:policy/"ReadOnlyAccess","AdministratorAccess'
    b'"Condition":{"StringEquals":{"aws:ResourceTag/","aws:RequestTag/","StringLike":{"IpAddress":{"aws:SourceIp":"'
    b'"s3:GetObject","s3:PutObject","s3:ListBucket","ec2:Describe*","sts:AssumeRole","iam:PassRole"'
    b'"Resource":["*"]}]}"Resource":"*"}]}"Effect":"Deny","Effect":"Allow","Action":["s3:*"],"Action":"'
    b'{"Version":"2012-10-17","Statement":[{"Sid":"","Effect":"Allow","Action":"*","Resource":"*"}]}'
)


class BadToken(Exception):
    """Not a token that this cloud has issued."""


@dataclass(frozen=True, slots=True)
class Issued:
    access_key_id: str
    secret: str = field(repr=False)
    token: str = field(repr=False)
    expires_at: datetime.datetime

    def described(self) -> dict[str, Any]:
        """As STS answers them."""
        return {
            "AccessKeyId": self.access_key_id,
            "SecretAccessKey": self.secret,
            "SessionToken": self.token,
            "Expiration": self.expires_at,
        }


@dataclass(frozen=True, slots=True)
class Opened:
    session: Session
    access_key_id: str
    secret: str = field(repr=False)


# ---------------------------------------------------------------------------------------------------------------- issuing


def issue(vault: Vault, session: Session, *, least_symbols: int = 0) -> Issued:
    """Credentials for the session. ``least_symbols``: the token is made at least so long (at most ``MOST_SYMBOLS``)."""
    key, secret = _new_key(session.account_id), os.urandom(_SECRET)
    text = _deflated(_written(session))
    # the vault adds its form, a nonce and a tag: 29 bytes; three bytes become four symbols, so that nothing is left over
    wanted = min(least_symbols, MOST_SYMBOLS) * 3 // 4
    length = max(len(_FORM) + 29 + 2 + _HEAD + len(text), wanted)
    padding = length + -length % 3 - (len(_FORM) + 29 + 2 + _HEAD + len(text))
    plain = b"".join((len(text).to_bytes(2, "big"), key, secret, text, bytes(padding)))
    token = base64.b64encode(_FORM + vault.seal_bytes(_NAME, plain)).decode()
    return Issued(_key_id(key), base64.b64encode(secret).decode(), token, session.expires_at)


def ends(now: datetime.datetime, seconds: float) -> datetime.datetime:
    """When a session of so many seconds ends: in whole seconds, as it is told."""
    return (now + datetime.timedelta(seconds=seconds)).replace(microsecond=0)


def for_instance(
    vault: Vault,
    role: roles.Role,
    now: datetime.datetime,
    *,
    instance_id: str,
    instance_arn: str,
    vpc_id: str,
    private_ip: str,
    delivery: str = "2.0",
    seconds: int = INSTANCE_SECONDS,
) -> Issued:
    """What the metadata service hands to an instance. ``delivery``: the version of the metadata service, 1.0 or 2.0."""
    keys = {
        "ec2:SourceInstanceARN": (instance_arn,),
        "ec2:RoleDelivery": (delivery,),
        "aws:Ec2InstanceSourceVpc": (vpc_id,),
        "aws:Ec2InstanceSourcePrivateIPv4": (private_ip,),
    }
    session = Session(ASSUMED_ROLE, role.account_id, role.id, instance_id, now, ends(now, seconds), keys=keys)
    return issue(vault, session)


def packed_percent(session: Session) -> int:
    """How much of the room for policies and tags the session takes. More than 100 is too much."""
    if not (session.policies or session.policy_arns or session.tags):
        return 0
    size = len(_deflated([*session.policies, *session.policy_arns, dict(session.tags)]))
    return -(-100 * size // PACKED_LIMIT)


# ---------------------------------------------------------------------------------------------------------------- reading


def open_(vault: Vault, token: str) -> Opened:
    """What a token says; raises ``BadToken``. Whether it has expired is for the caller to see."""
    if len(token) > 2 * MOST_SYMBOLS or not token.isascii() or "=" in token:
        raise BadToken
    try:
        raw = base64.b64decode(token, validate=True)
        if raw[:1] != _FORM:
            raise BadToken
        plain = vault.open_bytes(_NAME, raw[1:])
    except (binascii.Error, ValueError, VaultError):
        raise BadToken from None
    size = int.from_bytes(plain[:2], "big")
    key, secret, text = plain[2 : 2 + _KEY], plain[2 + _KEY : 2 + _HEAD], plain[2 + _HEAD : 2 + _HEAD + size]
    return Opened(_read(_inflated(text)), _key_id(key), base64.b64encode(secret).decode())


def account_of_key(access_key_id: str) -> str | None:
    """The account that the id of a temporary key tells, or None if it is none."""
    if len(access_key_id) != 20 or not access_key_id.startswith(_PREFIX):
        return None
    try:
        raw = base64.b32decode(access_key_id[4:])
    except (binascii.Error, ValueError):
        return None
    number = int.from_bytes(raw[:6], "big") >> 7
    if not raw[0] & 0x80 or (number := number & (1 << 40) - 1) > 999_999_999_999:
        return None
    return f"{number:012d}"


def _new_key(account_id: str) -> bytes:
    """As AWS's: a bit that is set, forty of the account, the rest chance."""
    return (1 << 79 | int(account_id) << 39 | secrets.randbits(39)).to_bytes(_KEY, "big")


def _key_id(key: bytes) -> str:
    return _PREFIX + base64.b32encode(key).decode()


def _deflated(value: Any) -> bytes:
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
    packer = zlib.compressobj(9, zlib.DEFLATED, -15, zdict=_USUAL)
    return packer.compress(text) + packer.flush()


def _inflated(packed: bytes) -> Any:
    return json.loads(zlib.decompressobj(-15, zdict=_USUAL).decompress(packed))


def _written(session: Session) -> dict[str, Any]:
    """Only what is not usual."""
    told = {
        "t": session.kind,
        "a": session.account_id,
        "h": session.holder_id,
        "n": session.name,
        "i": (session.issued_at - _EPOCH) // _MICROSECOND,
        "e": (session.expires_at - _EPOCH) // _SECOND,
        "p": session.policies,
        "r": session.policy_arns,
        "g": dict(session.tags),
        "v": session.transitive,
        "s": session.source_identity,
        "m": None if session.mfa_at is None else (session.mfa_at - _EPOCH) // _MICROSECOND,
        "o": session.provider,
        "c": int(session.chained),
        "k": {name: list(values) for name, values in session.keys.items()},
    }
    return {name: value for name, value in told.items() if value}


def _read(told: dict[str, Any]) -> Session:
    return Session(
        kind=told["t"],
        account_id=told["a"],
        holder_id=told["h"],
        name=told.get("n", ""),
        issued_at=_EPOCH + told["i"] * _MICROSECOND,
        expires_at=_EPOCH + told["e"] * _SECOND,
        policies=tuple(told.get("p", ())),
        policy_arns=tuple(told.get("r", ())),
        tags=told.get("g", {}),
        transitive=tuple(told.get("v", ())),
        source_identity=told.get("s"),
        mfa_at=_EPOCH + told["m"] * _MICROSECOND if "m" in told else None,
        provider=told.get("o"),
        chained=bool(told.get("c")),
        keys={name: tuple(values) for name, values in told.get("k", {}).items()},
    )


# -------------------------------------------------------------------------------------------------------------- principals


def principal(tx: Tx, opened: Opened, partition: str) -> Principal | None:
    """Who the session is now, or None when it was revoked: its role or user is gone (another of the same name is another
    one), its account closed, or everything issued until some moment after it was declared void."""
    session = opened.session
    account = records.account(tx, session.account_id)
    if account is None or account.status != accounts.OPEN:
        return None
    if account.not_before is not None and session.issued_at <= account.not_before:
        return None
    if session.kind == ASSUMED_ROLE:
        return _role_session(tx, opened, partition)
    if session.holder_id == session.account_id:
        return _root_session(opened, partition)
    user = records.user(tx, session.holder_id)
    if user is None or user.account_id != session.account_id:
        return None
    arn, own = user.arn(partition), tags.tags_of(tx, user.id)
    if session.kind in (SESSION, SIGN_IN):
        return Principal(
            user.account_id, arn, user.id, "user", user.name, opened.access_key_id, user.id, arn, session, own
        )
    return Principal(
        user.account_id, federated_arn(partition, session), f"{user.account_id}:{session.name}", FEDERATED_USER, None,
        opened.access_key_id, user.id, arn, session, overlaid(own, session.tags),
    )  # fmt: skip


def _role_session(tx: Tx, opened: Opened, partition: str) -> Principal | None:
    session = opened.session
    role = roles.role(tx, session.holder_id)
    if role is None or role.account_id != session.account_id:
        return None
    return Principal(
        role.account_id, role_session_arn(partition, role, session.name), f"{role.id}:{session.name}", ASSUMED_ROLE, None,
        opened.access_key_id, role.id, role.arn(partition), session, overlaid(tags.tags_of(tx, role.id), session.tags),
    )  # fmt: skip


def _root_session(opened: Opened, partition: str) -> Principal:
    session = opened.session
    account_id = session.account_id
    root = f"arn:{partition}:iam::{account_id}:root"
    if session.kind == SESSION:
        return Principal(account_id, root, account_id, "root", None, opened.access_key_id, session=session)
    return Principal(
        account_id, federated_arn(partition, session), f"{account_id}:{session.name}", FEDERATED_USER, None,
        opened.access_key_id, "", root, session, session.tags,
    )  # fmt: skip


def role_session_arn(partition: str, role: roles.Role, name: str) -> str:
    return f"arn:{partition}:sts::{role.account_id}:assumed-role/{role.name}/{name}"


def federated_arn(partition: str, session: Session) -> str:
    return f"arn:{partition}:sts::{session.account_id}:federated-user/{session.name}"


def overlaid(own: Mapping[str, str], over: Mapping[str, str]) -> dict[str, str]:
    """Tags with others over them: keys are the same whatever their case, as policies compare them (``fold``)."""
    hidden = {fold(key) for key in over}
    return {key: value for key, value in own.items() if fold(key) not in hidden} | dict(over)
