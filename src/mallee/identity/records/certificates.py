"""Server certificates of the account, with their sealed private keys, and the signing certificates of users.

A load balancer names a server certificate by its ARN and gets the private key by ``server_certificate_key``. Rooms above
that use certificates say so (``@used_by``), so that one in use is not deleted.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Column, Index, bindparam, func, select

from mallee.identity.records.names import folded, one
from mallee.identity.vault import Vault
from mallee.store import Bytes, Text, Timestamp, Tx, read_all, resource_table

server_certificates = resource_table(
    "iam_server_certificates",
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("folded_name", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("chain", Text),
    Column("secret", Bytes, nullable=False, info={"secret": True}),
    Column("uploaded_at", Timestamp, nullable=False),
    Column("expires_at", Timestamp, nullable=False),
)
Index("iam_server_certificates_by_name", server_certificates.c.account_id, server_certificates.c.folded_name, unique=True)

signing_certificates = resource_table(
    "iam_signing_certificates",
    Column("id", Text, primary_key=True),
    Column("user_id", Text),
    Column("body", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("uploaded_at", Timestamp, nullable=False),
)
Index("iam_signing_certificates_by_digest", signing_certificates.c.account_id, signing_certificates.c.digest, unique=True)
Index("iam_signing_certificates_by_user", signing_certificates.c.account_id, signing_certificates.c.user_id)


@dataclass(frozen=True, slots=True)
class ServerCertificate:
    id: str
    account_id: str
    name: str
    path: str
    body: str
    chain: str | None
    secret: bytes
    uploaded_at: datetime.datetime
    expires_at: datetime.datetime

    def arn(self, partition: str) -> str:
        return f"arn:{partition}:iam::{self.account_id}:server-certificate{self.path}{self.name}"


@dataclass(frozen=True, slots=True)
class SigningCertificate:
    """``user_id`` is None for the account's root. ``digest``: SHA-256 of the certificate itself."""

    id: str
    account_id: str
    user_id: str | None
    body: str
    digest: str
    status: str
    uploaded_at: datetime.datetime


_SERVER = select(server_certificates).where(server_certificates.c.id == bindparam("id"))
_SERVER_BY_NAME = select(server_certificates).where(
    server_certificates.c.account_id == bindparam("account_id"),
    server_certificates.c.folded_name == bindparam("folded_name"),
)
_SERVERS = (
    select(server_certificates)
    .where(server_certificates.c.account_id == bindparam("account_id"))
    .order_by(server_certificates.c.folded_name)
)
_SERVER_COUNT = (
    select(func.count()).select_from(server_certificates).where(server_certificates.c.account_id == bindparam("account_id"))
)
_SIGNING_OF = (
    select(signing_certificates)
    .where(signing_certificates.c.account_id == bindparam("account_id"), signing_certificates.c.user_id == bindparam("user_id"))
    .order_by(signing_certificates.c.uploaded_at, signing_certificates.c.id)
)
_SIGNING_OF_ROOT = (
    select(signing_certificates)
    .where(signing_certificates.c.account_id == bindparam("account_id"), signing_certificates.c.user_id.is_(None))
    .order_by(signing_certificates.c.uploaded_at, signing_certificates.c.id)
)


def server_certificate(tx: Tx, certificate_id: str) -> ServerCertificate | None:
    return one(ServerCertificate, tx.first(_SERVER, id=certificate_id))


def server_certificate_by_name(tx: Tx, account_id: str, name: str) -> ServerCertificate | None:
    return one(ServerCertificate, tx.first(_SERVER_BY_NAME, account_id=account_id, folded_name=folded(name)))


def server_certificate_by_arn(tx: Tx, account_id: str, arn: str) -> ServerCertificate | None:
    """The account's certificate of exactly this ARN, path and all."""
    partition = arn.split(":", 2)[1] if arn.count(":") >= 5 else ""
    found = server_certificate_by_name(tx, account_id, arn.rpartition("/")[2])
    return found if found is not None and found.arn(partition) == arn else None


def server_certificates_in(tx: Tx, account_id: str) -> list[ServerCertificate]:
    return read_all(ServerCertificate, tx.all(_SERVERS, account_id=account_id))


def count_server_certificates_in(tx: Tx, account_id: str) -> int:
    return int(tx.value(_SERVER_COUNT, account_id=account_id))


def server_certificate_key(vault: Vault, certificate: ServerCertificate) -> str:
    """The private key, as PEM: for what terminates TLS, and for no answer."""
    return vault.open(certificate.id, certificate.secret)


def signing_certificates_of(tx: Tx, account_id: str, user_id: str | None) -> list[SigningCertificate]:
    """The user's, or the root's for None; the oldest first."""
    if user_id is None:
        return read_all(SigningCertificate, tx.all(_SIGNING_OF_ROOT, account_id=account_id))
    return read_all(SigningCertificate, tx.all(_SIGNING_OF, account_id=account_id, user_id=user_id))


# ------------------------------------------------------------------------------------------------------------ who uses it

User = Callable[[Tx, ServerCertificate], str | None]
_users: list[User] = []


def used_by(function: User) -> User:
    """Registers ``function(tx, certificate)``, which answers the ARN of something that uses the certificate, or None."""
    _users.append(function)
    return function


def user_of(tx: Tx, certificate: ServerCertificate) -> str | None:
    """The ARN of something that uses the certificate."""
    return next((arn for function in _users if (arn := function(tx, certificate)) is not None), None)
