"""What Swift keeps of accounts and containers: a configuration of the kind ``swift``, of the bucket or under the account's id in the place of one.

``metadata`` is by names in small letters. ``keys`` are those of temporary URLs: each sealed, and with the access key of whoever set it, by whose
rights such a URL is answered, as long as that access key is good.
"""

from __future__ import annotations

import base64
from typing import Any, Final

from sqlalchemy import bindparam, select

from mallee.identity.vault import Vault, VaultError
from mallee.objects.records import CONFIGURATIONS, Bucket, Document
from mallee.store import Tx

KIND: Final = "swift"
EXPIRING: Final = "swift-expiring"
"""A bucket with this has had objects that expire by X-Delete-At."""
KEYS: Final = ("temp-url-key", "temp-url-key-2")
MOST_NAME, MOST_VALUE, MOST, MOST_ALL = 128, 256, 90, 4096

_OF_ACCOUNT = (
    select(CONFIGURATIONS.c.document)
    .where(CONFIGURATIONS.c.bucket_id == bindparam("account"))
    .where(CONFIGURATIONS.c.kind == KIND)
    .where(CONFIGURATIONS.c.id == "")
)


def of_account(tx: Tx, account_id: str) -> Document:
    row = tx.everyone().first(_OF_ACCOUNT, account=account_id)
    return {} if row is None else dict(row.document)


def of_bucket(bucket: Bucket) -> Document:
    return bucket.configuration(KIND) or {}


def set_for_account(tx: Tx, account_id: str, document: Document) -> None:
    key = {"bucket_id": account_id, "kind": KIND, "id": ""}
    tx.everyone().put(CONFIGURATIONS, **key, account_id=account_id, document=document, changed_at=tx.now)


def changed(
    document: Document, sets: dict[str, str], removes: set[str], vault: Vault, scope: str, access_key_id: str
) -> Document:
    """The document with metadata set and removed. ``scope``: the account's or bucket's id, which keys are bound to."""
    metadata = {name: value for name, value in document.get("metadata", {}).items() if name not in removes}
    keys: dict[str, Any] = {name: value for name, value in document.get("keys", {}).items() if name not in removes}
    for name, value in sets.items():
        if name in KEYS:
            sealed = vault.seal_bytes(f"swift-temp-url {scope}", value.encode("utf-8", "surrogateescape"))
            keys[name] = {"sealed": base64.b64encode(sealed).decode("ascii"), "by": access_key_id}
        else:
            metadata[name] = value
    return {"metadata": metadata, "keys": keys}


def keys(document: Document, vault: Vault, scope: str) -> list[tuple[bytes, str]]:
    """The keys of temporary URLs, each with the access key by whose rights it opens."""
    found = []
    for each in document.get("keys", {}).values():
        try:
            found.append((vault.open_bytes(f"swift-temp-url {scope}", base64.b64decode(each["sealed"])), each["by"]))
        except VaultError:
            continue
    return found
