"""Key pairs as bytes: making, reading and naming them exactly as EC2 does. No database here.

``PublicKey.line`` is the OpenSSH form without a comment, the only form that is kept. Private keys are made, handed
out once and forgotten.

Fingerprints, as EC2 computes them (they differ by origin, so that a user can check either against the own file):

* RSA made by EC2: SHA-1 of the private key's PKCS#8 DER, colon-separated hex;
* RSA imported: MD5 of the public key's SubjectPublicKeyInfo DER, colon-separated hex;
* Ed25519, however it came: SHA-256 of the OpenSSH key blob, base64.

Making an RSA key costs some fifty milliseconds of arithmetic, too long for a database transaction, which is where
an operation runs. ``spare_rsa`` therefore takes one that a background thread made before, and makes one in place
only when keys are asked for faster than they can be made. A spare is as good as a fresh one: it is used once and
exists nowhere else.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import queue
import struct
import threading
from dataclasses import dataclass

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

RSA_BITS = 2048
IMPORTABLE_RSA_BITS = (1024, 2048, 3072, 4096)
SPARES = 2

_DER, _PEM = serialization.Encoding.DER, serialization.Encoding.PEM
_PLAIN = serialization.NoEncryption()


class BadKey(ValueError):
    """The material is not a public key that EC2 takes. The text is the message for the user."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    kind: str  # rsa | ed25519
    line: str  # ssh-rsa AAAA… without a comment
    fingerprint: str


# ------------------------------------------------------------------------------------------------------------ making


class _Spares:
    """A few RSA keys made in advance by one daemon thread, which sleeps while the shelf is full."""

    def __init__(self, size: int) -> None:
        self._shelf: queue.Queue[rsa.RSAPrivateKey] = queue.Queue(size)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._fill, name="spare-keys", daemon=True)
                self._thread.start()

    def _fill(self) -> None:
        while True:
            self._shelf.put(_make_rsa())

    def take(self) -> rsa.RSAPrivateKey:
        self.start()
        try:
            return self._shelf.get_nowait()
        except queue.Empty:
            return _make_rsa()


def _make_rsa() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, RSA_BITS)


_spares = _Spares(SPARES)
spare_rsa = _spares.take


def make(kind: str, form: str, comment: str) -> tuple[PublicKey, str]:
    """A new key pair: the public half as kept, the private half as text (``form`` pem or ppk) for the user's file."""
    key: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey
    if kind == "ed25519":
        key = ed25519.Ed25519PrivateKey.generate()
        fingerprint = _sha256_of_blob(_line(key.public_key()))
    else:
        key = spare_rsa()
        fingerprint = _colons(hashlib.sha1(key.private_bytes(_DER, serialization.PrivateFormat.PKCS8, _PLAIN)).digest())
    public = PublicKey(kind, _line(key.public_key()), fingerprint)
    return public, _ppk(key, public, comment) if form == "ppk" else _pem(key)


def _pem(key: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey) -> str:
    """RSA as PKCS#1 without the last line break, as EC2 sends it; Ed25519 in OpenSSH's own form with it, for ssh reads none without."""
    openssh = isinstance(key, ed25519.Ed25519PrivateKey)
    form = serialization.PrivateFormat.OpenSSH if openssh else serialization.PrivateFormat.TraditionalOpenSSL
    text = key.private_bytes(_PEM, form, _PLAIN).decode("ascii")
    return text if openssh else text.rstrip("\n")


def _ppk(key: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey, public: PublicKey, comment: str) -> str:
    """PuTTY's private key file, version 2 (read by every release), unencrypted."""
    algorithm, encoded = public.line.split()
    blob = base64.b64decode(encoded)
    if isinstance(key, rsa.RSAPrivateKey):
        numbers = key.private_numbers()
        secret = b"".join(map(_mpint, (numbers.d, numbers.p, numbers.q, numbers.iqmp)))
    else:
        secret = _string(key.private_bytes(serialization.Encoding.Raw, serialization.PrivateFormat.Raw, _PLAIN))
    signed = b"".join(map(_string, (algorithm.encode(), b"none", comment.encode(), blob, secret)))
    mac = hmac.new(hashlib.sha1(b"putty-private-key-file-mac-key").digest(), signed, hashlib.sha1).hexdigest()
    public_lines, private_lines = _lines(blob), _lines(secret)
    return "\r\n".join(
        [
            f"PuTTY-User-Key-File-2: {algorithm}",
            "Encryption: none",
            f"Comment: {comment}",
            f"Public-Lines: {len(public_lines)}",
            *public_lines,
            f"Private-Lines: {len(private_lines)}",
            *private_lines,
            f"Private-MAC: {mac}",
        ]
    )


def _string(value: bytes) -> bytes:
    return struct.pack(">I", len(value)) + value


def _mpint(value: int) -> bytes:
    return _string(value.to_bytes(value.bit_length() // 8 + 1, "big"))


def _lines(value: bytes) -> list[str]:
    text = base64.b64encode(value).decode("ascii")
    return [text[at : at + 64] for at in range(0, len(text), 64)]


# ----------------------------------------------------------------------------------------------------------- reading

NOT_A_KEY = "Key is not in valid OpenSSH public key format"


def read_public(material: bytes) -> PublicKey:
    """An imported key: an OpenSSH line, an RFC 4716 block or base64 of a DER public key; raises ``BadKey``."""
    try:
        text = material.decode("ascii").strip()
    except UnicodeDecodeError:
        raise BadKey(NOT_A_KEY) from None
    if text.startswith("---- BEGIN SSH2 PUBLIC KEY ----"):
        key = _parse_line(_blob_of_rfc4716(text))
    elif text.startswith(("ssh-", "ecdsa-", "sk-")):
        if "\n" in text:
            raise BadKey(NOT_A_KEY)
        key = _parse_line(text)
    else:
        key = _parse_der(text)
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size not in IMPORTABLE_RSA_BITS:
            raise BadKey(f"Unsupported RSA key length: {key.key_size}. Supported lengths are 1024, 2048, 3072 and 4096")
        der = key.public_bytes(_DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        return PublicKey("rsa", _line(key), _colons(hashlib.md5(der, usedforsecurity=False).digest()))
    if isinstance(key, ed25519.Ed25519PublicKey):
        line = _line(key)
        return PublicKey("ed25519", line, _sha256_of_blob(line))
    raise BadKey(NOT_A_KEY)


def _parse_line(line: str) -> object:
    try:
        return serialization.load_ssh_public_key(line.encode("ascii"))
    except (ValueError, UnsupportedAlgorithm):
        raise BadKey(NOT_A_KEY) from None


def _parse_der(text: str) -> object:
    try:
        der = base64.b64decode("".join(text.split()), validate=True)
        return serialization.load_der_public_key(der)
    except (ValueError, binascii.Error, UnsupportedAlgorithm):
        raise BadKey(NOT_A_KEY) from None


def _blob_of_rfc4716(text: str) -> str:
    """The OpenSSH line of an RFC 4716 block: headers (a backslash continues one) dropped, the body joined."""
    body: list[str] = []
    in_header = False
    for line in text.splitlines()[1:]:
        if line.startswith("---- END SSH2 PUBLIC KEY ----"):
            break
        if in_header or ":" in line:
            in_header = line.endswith("\\")
        else:
            body.append(line.strip())
    else:
        raise BadKey(NOT_A_KEY)
    encoded = "".join(body)
    try:
        blob = base64.b64decode(encoded, validate=True)
        (length,) = struct.unpack(">I", blob[:4])
        algorithm = blob[4 : 4 + length].decode("ascii")
    except (ValueError, struct.error, binascii.Error):
        raise BadKey(NOT_A_KEY) from None
    return f"{algorithm} {encoded}"


# ------------------------------------------------------------------------------------------------------------ naming


def _line(key: rsa.RSAPublicKey | ed25519.Ed25519PublicKey) -> str:
    return key.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode("ascii")


def _sha256_of_blob(line: str) -> str:
    return base64.b64encode(hashlib.sha256(base64.b64decode(line.split()[1])).digest()).decode("ascii")


def _colons(digest: bytes) -> str:
    return digest.hex(":")
