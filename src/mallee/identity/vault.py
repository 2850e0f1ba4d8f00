"""Secrets at rest: AES-256-GCM under a master key that lives in a file beside the database, never in it.

Every sealed value is bound to the name it was sealed for (the row's id), so that one row's secret pasted into another
row does not open. The first byte says which form it has; there is one so far. All cloud processes of an installation
hold the same key file; whoever has only the database has no secret.
"""

from __future__ import annotations

import base64
import binascii
import os
import secrets
from pathlib import Path
from typing import Final

FILE: Final = "master.key"
_FORM: Final = b"\x01"
_NONCE: Final = 12


class VaultError(Exception):
    """The master key is missing, damaged, or not the one that sealed. The text is a sentence for the operator."""


class Vault:
    def __init__(self, key: bytes) -> None:
        if len(key) != 32:
            raise VaultError("The master key must have 32 bytes.")
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self._cipher = AESGCM(key)

    def seal(self, name: str, secret: str) -> bytes:
        return self.seal_bytes(name, secret.encode())

    def seal_bytes(self, name: str, secret: bytes) -> bytes:
        nonce = os.urandom(_NONCE)
        return _FORM + nonce + self._cipher.encrypt(nonce, secret, name.encode())

    def open(self, name: str, sealed: bytes) -> str:
        return self.open_bytes(name, sealed).decode()

    def open_bytes(self, name: str, sealed: bytes) -> bytes:
        from cryptography.exceptions import InvalidTag

        if sealed[:1] != _FORM:
            raise VaultError(f"The secret of {name} is in a form that this version does not know.")
        try:
            return self._cipher.decrypt(sealed[1 : 1 + _NONCE], sealed[1 + _NONCE :], name.encode())
        except (InvalidTag, ValueError):
            raise VaultError(f"The master key does not open the secret of {name}: it is not the key that sealed it.") from None


def at(folder: Path, *, create: bool = False) -> Vault:
    """The vault whose key is ``folder/master.key``. The key is made only when ``create`` allows it: a key that has gone
    missing must be noticed, not replaced."""
    path = folder / FILE
    if create and not path.exists():
        _make(path)
    try:
        return Vault(base64.b64decode(path.read_bytes().strip(), validate=True))
    except FileNotFoundError:
        raise VaultError(f"The master key {path} is missing: without it no secret in the database can be read.") from None
    except (binascii.Error, ValueError):
        raise VaultError(f"The master key {path} is damaged: it must be 32 bytes in base64.") from None
    except OSError as reason:
        raise VaultError(f"The master key {path} cannot be read: {reason.strerror}.") from None


def _make(path: Path) -> None:
    """Written to a file of its own and linked into place, so that two processes that start at once agree on one key."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{FILE}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(base64.b64encode(os.urandom(32)) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(partial, path)
        except FileExistsError:
            pass
    finally:
        os.unlink(partial)
