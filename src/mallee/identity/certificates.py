"""X.509 certificates, private keys and SSH public keys as IAM takes them: read, bounded, and checked against each other. Pure.

Everything that comes in is text of at most a few kilobytes (a chain: two megabytes) and hostile: it is counted before it
is parsed, keys beyond the sizes in use are refused before anything is computed with them, and whatever the parser does not
like is one of the errors below.
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import re
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cryptography import x509

MOST_IN_CHAIN = 20
RSA_BITS = range(1024, 4097)
SSH_RSA_BITS = range(2048, 16385)
CURVES = frozenset({"secp256r1", "secp384r1", "secp521r1"})

_BEGIN = "-----BEGIN "
_LABEL = re.compile(r"-----BEGIN ([A-Z0-9 ]{1,40})-----")
_CERTIFICATES = frozenset({"CERTIFICATE", "X509 CERTIFICATE"})
_PRIVATE_KEYS = frozenset({"PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"})


class Bad(ValueError):
    """The text is not what it should be; the message is a sentence for its sender."""


class Mismatch(Bad):
    """The private key is not the certificate's."""


class Expired(Bad):
    """The certificate's time is over, or has not come."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """``digest``: SHA-256 of the DER form, in hex."""

    digest: str
    not_before: datetime.datetime
    not_after: datetime.datetime


NOT_PEM = "Unable to parse certificate. Please ensure the certificate is in PEM format."
NOT_A_KEY = "Unable to parse private key. Please ensure the private key is in PEM format and unencrypted."
NO_CHAIN = (
    "Unable to validate certificate chain. The certificate chain must start with the immediate signing certificate, followed by "
    "any intermediaries in order. The index within the chain of the invalid certificate is: "
)
NO_MATCH = "Public Key Certificate doesn't match Private Key."


def certificate(text: str, now: datetime.datetime | None = None) -> Certificate:
    """The one certificate of a PEM text. Raises ``Bad``; with ``now``, ``Expired`` unless it is valid then."""
    return _facts(_certificates(text, 1)[0], now)


def server_certificate(body: str, key: str, chain: str | None, now: datetime.datetime) -> Certificate:
    """A certificate, the private key that belongs to it, and those who vouch for it in order: the next one signs the one
    before. Raises ``Bad``, ``Mismatch``, ``Expired``."""
    leaf = _certificates(body, 1)[0]
    _check_pair(leaf, _private_key(key))
    if chain is not None:
        _check_chain(leaf, _certificates(chain, MOST_IN_CHAIN))
    return _facts(leaf, now)


def private_key(text: str) -> None:
    """Raises ``Bad`` unless it is the PEM of one unencrypted private key of a usable size."""
    _private_key(text)


def _facts(found: x509.Certificate, now: datetime.datetime | None) -> Certificate:
    from cryptography.hazmat.primitives.hashes import SHA256

    try:
        start, end = found.not_valid_before_utc, found.not_valid_after_utc
    except ValueError:
        raise Bad(NOT_PEM) from None
    if now is not None and now > end:
        raise Expired("The certificate has expired.")
    if now is not None and now < start:
        raise Expired("The certificate is not yet valid.")
    return Certificate(found.fingerprint(SHA256()).hex(), start, end)


def _certificates(text: str, most: int) -> list[x509.Certificate]:
    from cryptography import x509

    labels = _labels(text)
    if not labels or len(labels) > most or not _CERTIFICATES.issuperset(labels):
        raise Bad(NOT_PEM)
    try:
        with warnings.catch_warnings():  # certificates of old authorities have serials and versions that RFC 5280 forbids
            warnings.simplefilter("ignore")
            found = x509.load_pem_x509_certificates(text.encode("utf-8"))
            for each in found:
                _check_public(each.public_key())
    except Bad:
        raise
    except Exception:  # the parser's many: ValueError, TypeError, UnsupportedAlgorithm, InvalidVersion, …
        raise Bad(NOT_PEM) from None
    if len(found) != len(labels):
        raise Bad(NOT_PEM)
    return found


def _labels(text: str) -> list[str]:
    """What the text's PEM blocks say they are; a beginning that says nothing known counts too."""
    labels = _LABEL.findall(text)
    return labels if len(labels) == text.count(_BEGIN) else [*labels, "?"]


def _check_public(key: Any) -> None:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    if isinstance(key, rsa.RSAPublicKey) and key.key_size in RSA_BITS:
        return
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in CURVES:
        return
    if isinstance(key, ed25519.Ed25519PublicKey):
        return
    raise Bad("The certificate's key must be RSA of 1024 to 4096 bits, ECDSA on P-256, P-384 or P-521, or Ed25519.")


def _private_key(text: str) -> Any:
    """RSA keys are taken without the library's own check, which takes seconds for large primes; ``_check_pair`` finds what
    it would."""
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    labels = _labels(text)
    known = [label for label in labels if label in _PRIVATE_KEYS]
    if len(known) != 1 or set(labels) - _PRIVATE_KEYS - {"EC PARAMETERS"} or "Proc-Type: 4,ENCRYPTED" in text:
        raise Bad(NOT_A_KEY)
    try:
        # what OpenSSL writes before an EC key says nothing that the key does not
        begin = text.index(f"{_BEGIN}{known[0]}-----")
        found: Any = load_pem_private_key(text[begin:].encode("utf-8"), None, unsafe_skip_rsa_key_validation=True)
        _check_public(found.public_key())
    except Bad:
        raise
    except Exception:
        raise Bad(NOT_A_KEY) from None
    return found


def _check_pair(leaf: x509.Certificate, key: Any) -> None:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    public: Any = leaf.public_key()
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    try:
        if public.public_bytes(*form) != key.public_key().public_bytes(*form):
            raise Mismatch(NO_MATCH)
        proof = b"the key signs what the certificate believes"
        if isinstance(key, rsa.RSAPrivateKey):
            public.verify(key.sign(proof, padding.PKCS1v15(), hashes.SHA256()), proof, padding.PKCS1v15(), hashes.SHA256())
        elif isinstance(key, ec.EllipticCurvePrivateKey):
            public.verify(key.sign(proof, ec.ECDSA(hashes.SHA256())), proof, ec.ECDSA(hashes.SHA256()))
        else:
            public.verify(key.sign(proof), proof)
    except Bad:
        raise
    except Exception:  # numbers that are no key: signing or verifying fails in the library's ways
        raise Mismatch(NO_MATCH) from None


def _check_chain(leaf: x509.Certificate, chain: list[x509.Certificate]) -> None:
    below = leaf
    for index, issuer in enumerate(chain):
        try:
            below.verify_directly_issued_by(issuer)
        except Exception:  # names that differ, signatures that don't hold, algorithms that are unknown
            raise Bad(f"{NO_CHAIN}{index}") from None
        below = issuer


# --------------------------------------------------------------------------------------------------------- SSH public keys


class Unrecognized(Bad):
    """In no encoding that is known."""


@dataclass(frozen=True, slots=True)
class SshKey:
    """``line``: ``ssh-rsa …`` without a comment. ``fingerprint``: MD5 of the key, in pairs with colons."""

    line: str
    fingerprint: str


def ssh_public_key(text: str) -> SshKey:
    """An RSA key as an OpenSSH line or as PEM. Raises ``Unrecognized`` or ``Bad``."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    text = text.strip()
    if text.startswith("ssh-rsa ") and "\n" not in text:
        load: Any = serialization.load_ssh_public_key
        data = " ".join(text.split()[:2])
    elif text.startswith(_BEGIN) and _labels(text) in (["PUBLIC KEY"], ["RSA PUBLIC KEY"]):
        load, data = serialization.load_pem_public_key, text
    else:
        raise Unrecognized("The public key encoding format is unsupported or unrecognized.")
    try:
        found = load(data.encode("utf-8"))
    except Exception:
        found = None
    if not isinstance(found, rsa.RSAPublicKey) or found.key_size not in SSH_RSA_BITS:
        raise Bad("The public key must be an RSA key of at least 2048 bits.")
    line = found.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode("ascii")
    digest = hashlib.md5(base64.b64decode(line.split()[1]), usedforsecurity=False).digest()
    return SshKey(line, digest.hex(":"))


def ssh_key_as_pem(line: str) -> str:
    from cryptography.hazmat.primitives import serialization

    found = serialization.load_ssh_public_key(line.encode("ascii"))
    return found.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode("ascii")
