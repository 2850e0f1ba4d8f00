"""Encrypted SAML assertions (XML Encryption), opened with the keys that the SAML provider was given for it.

The content's key comes by RSA-OAEP; the older padding of PKCS #1 v1.5, which tells its secrets to whoever may ask often, is not
taken. Content in CBC, which most providers send, tells by its padding too; so the caller answers every failure, here and of
the signature after it, in the same words. Nothing that is opened here is believed: the assertion bears a signature.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Any, Final

ENC: Final = "{http://www.w3.org/2001/04/xmlenc#}"
SIGNATURE: Final = "{http://www.w3.org/2000/09/xmldsig#}"

_OAEP = "http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p"
_OAEP_11 = "http://www.w3.org/2009/xmlenc11#rsa-oaep"
_CBC = {f"http://www.w3.org/2001/04/xmlenc#aes{bits}-cbc": bits // 8 for bits in (128, 192, 256)}
_GCM = {f"http://www.w3.org/2009/xmlenc11#aes{bits}-gcm": bits // 8 for bits in (128, 192, 256)}
_DIGESTS = {
    "http://www.w3.org/2000/09/xmldsig#sha1": "SHA1",
    "http://www.w3.org/2001/04/xmlenc#sha256": "SHA256",
    "http://www.w3.org/2001/04/xmldsig-more#sha384": "SHA384",
    "http://www.w3.org/2001/04/xmlenc#sha512": "SHA512",
}
_MASKS = {f"http://www.w3.org/2009/xmlenc11#mgf1sha{bits}": f"SHA{bits}" for bits in (1, 256, 384, 512)}
_MOST_KEYS = 3


def opened(element: Any, private_keys: Sequence[str]) -> bytes | None:
    """What an EncryptedAssertion holds, in the clear; None when no key opens it or it is not in a form that is known."""
    data = element.findall(f"{ENC}EncryptedData")
    wrapped = [*element.findall(f"{ENC}EncryptedKey"), *element.findall(f"{ENC}EncryptedData/{SIGNATURE}KeyInfo/{ENC}EncryptedKey")]
    if len(data) != 1 or not 1 <= len(wrapped) <= _MOST_KEYS:
        return None
    found = None
    for private_key in private_keys:
        for each in wrapped:
            found = _content(data[0], _unwrapped(each, private_key)) or found
    return found


def _unwrapped(wrapped: Any, private_key: str) -> bytes | None:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding, rsa
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    method = wrapped.find(f"{ENC}EncryptionMethod")
    algorithm = None if method is None else method.get("Algorithm")
    if algorithm not in (_OAEP, _OAEP_11) or method.find(f"{ENC}OAEPparams") is not None:
        return None
    digest = _DIGESTS.get(_algorithm(method, f"{SIGNATURE}DigestMethod") or "http://www.w3.org/2000/09/xmldsig#sha1")
    mask = "SHA1"
    if algorithm == _OAEP_11:
        named = _algorithm(method, "{http://www.w3.org/2009/xmlenc11#}MGF")
        mask = _MASKS.get(named or "http://www.w3.org/2009/xmlenc11#mgf1sha1", "")
    key = load_pem_private_key(private_key.encode(), None)
    if digest is None or not mask or not isinstance(key, rsa.RSAPrivateKey):
        return None
    kind: Callable[[str], hashes.HashAlgorithm] = lambda name: getattr(hashes, name)()  # noqa: E731
    form = padding.OAEP(padding.MGF1(kind(mask)), kind(digest), None)
    try:
        return key.decrypt(_value(wrapped), form)
    except ValueError:
        return None


def _content(data: Any, key: bytes | None) -> bytes | None:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    algorithm = _algorithm(data, f"{ENC}EncryptionMethod")
    sealed = _value(data)
    if key is None or len(key) != (_GCM | _CBC).get(algorithm or ""):
        return None
    if algorithm in _GCM:
        try:
            return AESGCM(key).decrypt(sealed[:12], sealed[12:], None)
        except (InvalidTag, ValueError):
            return None
    if len(sealed) < 32 or len(sealed) % 16:
        return None
    opener = Cipher(algorithms.AES(key), modes.CBC(sealed[:16])).decryptor()
    plain = opener.update(sealed[16:]) + opener.finalize()
    return plain[: -plain[-1]] if 1 <= plain[-1] <= 16 else None


def _algorithm(parent: Any, tag: str) -> str | None:
    found = parent.find(tag)
    return None if found is None else found.get("Algorithm")


def _value(parent: Any) -> bytes:
    text = parent.findtext(f"{ENC}CipherData/{ENC}CipherValue") or ""
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        return b""
