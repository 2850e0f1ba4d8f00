"""One API call as an operation sees it: who asks, what is asked, and the transaction in which to answer.

A handler is ``def run_instances(call: Call) -> dict``: it reads ``call.input`` (plain data with the model's member
names, already validated), reads and writes through ``call.tx``, and returns the model's output members, or raises
``AwsError``. It never commits, never opens another transaction and never touches the world.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from mallee.settings import Settings
from mallee.store import Tx
from mallee.wire.errors import AwsError

if TYPE_CHECKING:
    from mallee.identity.authenticate import Proof
    from mallee.identity.tools import Tools
    from mallee.identity.vault import Vault

_F = TypeVar("_F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Session:
    """What temporary credentials say of themselves: everything that their token holds but the secret.

    ``holder_id`` is the role, the user or (for an account's root) the account that they were issued for. ``policies``
    are the session's own documents and ``policy_arns`` those that it names: with any of them, nothing is allowed that
    they don't allow too. ``keys`` are condition keys that hold for every call, such as ``ec2:SourceInstanceARN``."""

    kind: str  # assumed-role | federated-user | session (GetSessionToken) | sign-in
    account_id: str
    holder_id: str
    name: str  # of the role session or the federated user
    issued_at: datetime.datetime
    expires_at: datetime.datetime
    policies: tuple[str, ...] = ()
    policy_arns: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    transitive: tuple[str, ...] = ()
    source_identity: str | None = None
    mfa_at: datetime.datetime | None = None
    provider: str | None = None  # ARN or name of the identity provider behind it
    chained: bool = False  # issued to credentials of a role
    keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Principal:
    """Who signed the request. ``user_id`` is what AWS calls the unique id (``aws:userid``): the account id for its root,
    ``AIDA…`` for a user, ``AROA…:session`` for a role's session, ``account:name`` for a federated user. ``holder_id`` is
    whose policies count: the user's or the role's id; empty for a root. ``issuer_arn`` is the role's ARN behind a role
    session, the user's behind a user's. ``tags`` are ``aws:PrincipalTag``: the holder's, with the session's over them."""

    account_id: str
    arn: str
    user_id: str
    kind: str  # root | user | assumed-role | federated-user | anonymous
    user_name: str | None = None
    access_key_id: str = ""
    holder_id: str = ""
    issuer_arn: str = ""
    session: Session | None = None
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_root(self) -> bool:
        """Of its account, by its own key or a session without policies that GetSessionToken gave it."""
        return self.kind == "root"


ANONYMOUS = Principal("", "", "anonymous", "anonymous")


def _no_header(name: bytes) -> bytes | None:
    return None


@dataclass(slots=True)
class Call:
    service: str  # botocore's name of the service: ec2, elbv2, cloudwatch
    operation: str  # as AWS spells it: RunInstances
    input: dict[str, Any]
    principal: Principal
    tx: Tx
    request_id: str
    settings: Settings
    source_ip: str = ""
    version: str = ""  # the API version the client asked for
    protocol: str = ""  # what the client speaks: ec2, query, json, …
    secure: bool = False  # whether it came by TLS
    tools: Tools | None = None
    header: Callable[[bytes], bytes | None] = _no_header  # one of the request's headers, by its name in small letters
    source_vpc: str = ""  # the VPC that it came from within; ``source_ip`` is then an address there
    prepared: Any = None  # what the function named by ``prepared_by`` found before the transaction
    proof: Proof | None = None  # of S3's calls: the signature that held
    headers: Sequence[tuple[bytes, bytes]] = ()  # all of the request's, by their names in small letters

    @property
    def vault(self) -> Vault:
        assert self.tools is not None
        return self.tools.vault

    @property
    def account_id(self) -> str:
        return self.principal.account_id

    @property
    def now(self) -> datetime.datetime:
        return self.tx.now

    @property
    def region(self) -> str:
        return self.settings.region

    def arn(self, resource: str, service: str | None = None) -> str:
        """The ARN of a resource of the caller's account; IAM's and S3's bear no region, S3's no account either."""
        service = service or self.service
        region = "" if service in _REGIONLESS else self.settings.region
        account = "" if service == "s3" else self.principal.account_id
        return f"arn:{self.settings.partition}:{service}:{region}:{account}:{resource}"


_REGIONLESS = frozenset({"iam", "s3", "sts", "route53", "cloudfront", "organizations", "mallee"})


class Kept(AwsError):
    """A refusal that leaves a trace: what the operation wrote before it raised this is committed. For what must be
    remembered of a failure, such as that a password was guessed wrongly; everything else is undone by a plain AwsError."""


@dataclass(frozen=True, slots=True)
class Outside:
    """What a ``prepare`` function returns when its work must hold no transaction at all, such as asking another server:
    ``work`` is called when the reading transaction is over, and what it returns is ``call.prepared``."""

    work: Callable[[], Any]


def prepared_by(prepare: Callable[[Call], Any]) -> Callable[[_F], _F]:
    """For operations with slow work (hashing a password, parsing a large document), which must not be done while the
    database waits: ``prepare(call)`` is called after the same authorization, with a reading transaction, before the one
    that writes, and what it returns is ``call.prepared`` there. What it read may have changed in between. Work that does not
    need the transaction either is returned as ``Outside``."""

    def mark(function: _F) -> _F:
        function.mallee_prepare = prepare  # type: ignore[attr-defined]
        return function

    return mark


@dataclass(frozen=True, slots=True)
class Later:
    """What an operation returns whose answer is ready when a commit elsewhere is done: the index of objects has a database of its own,
    and commits many calls at once. ``start(done)`` is called once, when the operation's own transaction is over, and calls ``done(output,
    error)`` once, from whatever thread."""

    start: Callable[[Callable[[Any, BaseException | None], None]], None]


def receives(admit: Callable[[Call], Any]) -> Callable[[_F], _F]:
    """For operations whose input streams: ``admit(call)`` is called after the authorization and before the body has come, with a reading
    transaction, and answers what takes the body in (``objects.receiving.Intake``). What that has received is ``call.prepared``."""

    def mark(function: _F) -> _F:
        function.mallee_admit = admit  # type: ignore[attr-defined]
        return function

    return mark


def reads(function: _F) -> _F:
    """Mark an operation as read-only although its name does not say so."""
    function.mallee_writes = False  # type: ignore[attr-defined]
    return function


def writes(function: _F) -> _F:
    """Mark an operation as one that writes although it is called describe, get, list or head."""
    function.mallee_writes = True  # type: ignore[attr-defined]
    return function


_READING = ("describe_", "get_", "list_", "head_")


def is_writing(function: Callable[..., Any]) -> bool:
    """Whether the operation needs a write transaction: its mark, else its name."""
    marked = getattr(function, "mallee_writes", None)
    return not function.__name__.startswith(_READING) if marked is None else bool(marked)
