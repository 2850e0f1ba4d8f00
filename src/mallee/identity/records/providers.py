"""Identity providers outside the cloud, in whose word roles may trust: OpenID Connect and SAML.

STS looks them up for whoever comes with a token, in a transaction that belongs to no account: every reader therefore takes
the account. A provider is known by its ARN, which its tags are kept by too.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass, replace

from sqlalchemy import Column, Index, bindparam, select

from mallee.identity.records.names import one
from mallee.identity.vault import Vault
from mallee.store import Bytes, Json, Text, Timestamp, Tx, read_all, resource_table

oidc_providers = resource_table(
    "iam_oidc_providers",
    Column("arn", Text, primary_key=True),
    Column("url", Text, nullable=False),
    Column("client_ids", Json, nullable=False),
    Column("thumbprints", Json, nullable=False),
    Column("created_at", Timestamp, nullable=False),
)
Index("iam_oidc_providers_by_url", oidc_providers.c.account_id, oidc_providers.c.url, unique=True)

saml_providers = resource_table(
    "iam_saml_providers",
    Column("arn", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("folded_name", Text, nullable=False),
    Column("unique_id", Text, nullable=False),
    Column("document", Text, nullable=False),
    Column("entity_id", Text, nullable=False),
    Column("valid_until", Timestamp, nullable=False),
    Column("encryption", Text),
    Column("created_at", Timestamp, nullable=False),
)
Index("iam_saml_providers_by_name", saml_providers.c.account_id, saml_providers.c.folded_name, unique=True)

saml_keys = resource_table(
    "iam_saml_keys",
    Column("id", Text, primary_key=True),
    Column("provider_arn", Text, nullable=False),
    Column("secret", Bytes, nullable=False, info={"secret": True}),
    Column("created_at", Timestamp, nullable=False),
)
Index("iam_saml_keys_by_provider", saml_keys.c.provider_arn)


@dataclass(frozen=True, slots=True)
class OidcProvider:
    """``url`` bears no scheme, as IAM shows it: the issuer is ``https://`` and it. ``thumbprints``: SHA-1 of certificates
    by one of which the issuer must be known; empty when the machine's own authorities vouch for it."""

    arn: str
    account_id: str
    url: str
    client_ids: tuple[str, ...]
    thumbprints: tuple[str, ...]
    created_at: datetime.datetime

    @property
    def issuer(self) -> str:
        return f"https://{self.url}"


@dataclass(frozen=True, slots=True)
class SamlProvider:
    """``document`` is the metadata as it was given: ``identity.saml_metadata.read`` takes it apart. ``encryption``: Required
    or Allowed, None where assertions come in the clear."""

    arn: str
    account_id: str
    name: str
    unique_id: str
    document: str
    entity_id: str
    valid_until: datetime.datetime
    encryption: str | None
    created_at: datetime.datetime


@dataclass(frozen=True, slots=True)
class SamlKey:
    id: str
    account_id: str
    provider_arn: str
    secret: bytes
    created_at: datetime.datetime


_OIDC = select(oidc_providers).where(
    oidc_providers.c.account_id == bindparam("account_id"), oidc_providers.c.arn == bindparam("arn")
)
_OIDC_BY_URL = select(oidc_providers).where(
    oidc_providers.c.account_id == bindparam("account_id"), oidc_providers.c.url == bindparam("url")
)
_OIDC_IN = select(oidc_providers).where(oidc_providers.c.account_id == bindparam("account_id")).order_by(oidc_providers.c.arn)
_SAML = select(saml_providers).where(
    saml_providers.c.account_id == bindparam("account_id"), saml_providers.c.arn == bindparam("arn")
)
_SAML_IN = select(saml_providers).where(saml_providers.c.account_id == bindparam("account_id")).order_by(saml_providers.c.arn)
_SAML_KEYS = (
    select(saml_keys)
    .where(saml_keys.c.account_id == bindparam("account_id"), saml_keys.c.provider_arn == bindparam("arn"))
    .order_by(saml_keys.c.created_at, saml_keys.c.id)
)


def oidc_provider(tx: Tx, account_id: str, arn: str) -> OidcProvider | None:
    return _oidc(tx.first(_OIDC, account_id=account_id, arn=arn))


def oidc_provider_by_url(tx: Tx, account_id: str, url: str) -> OidcProvider | None:
    """``url`` without its scheme."""
    return _oidc(tx.first(_OIDC_BY_URL, account_id=account_id, url=url))


def oidc_providers_in(tx: Tx, account_id: str) -> list[OidcProvider]:
    return [found for row in tx.all(_OIDC_IN, account_id=account_id) if (found := _oidc(row)) is not None]


def _oidc(row: object) -> OidcProvider | None:
    found = one(OidcProvider, row)
    if found is None:
        return None
    return replace(found, client_ids=tuple(found.client_ids), thumbprints=tuple(found.thumbprints))


def saml_provider(tx: Tx, account_id: str, arn: str) -> SamlProvider | None:
    return one(SamlProvider, tx.first(_SAML, account_id=account_id, arn=arn))


def saml_providers_in(tx: Tx, account_id: str) -> list[SamlProvider]:
    return read_all(SamlProvider, tx.all(_SAML_IN, account_id=account_id))


def saml_keys_of(tx: Tx, account_id: str, arn: str) -> list[SamlKey]:
    """The keys that open encrypted assertions of the provider, the oldest first."""
    return read_all(SamlKey, tx.all(_SAML_KEYS, account_id=account_id, arn=arn))


def saml_private_keys(tx: Tx, vault: Vault, account_id: str, arn: str) -> list[str]:
    """The same in the clear, as PEM."""
    return [vault.open(key.id, key.secret) for key in saml_keys_of(tx, account_id, arn)]
