"""Certificates, keys and metadata documents for tests, made here and nowhere trusted."""

from __future__ import annotations

import datetime
import functools
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

NOW = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
DAY = datetime.timedelta(days=1)
_PLAIN = serialization.NoEncryption()


def name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


@functools.cache
def rsa_key(bits: int = 2048, number: int = 0) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


@functools.cache
def ec_key(number: int = 0) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def certificate(
    key: Any,
    subject: str = "www.example.com",
    issuer: str | None = None,
    signer: Any = None,
    *,
    start: datetime.datetime | None = None,
    end: datetime.datetime | None = None,
    authority: bool = False,
) -> str:
    signer = signer or key
    made = (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name(issuer or subject))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start or datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC))
        .not_valid_after(end or NOW + 3650 * DAY)
        .add_extension(x509.BasicConstraints(authority, None), critical=True)
        .sign(signer, None if isinstance(signer, ed25519.Ed25519PrivateKey) else hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM).decode()


def private(key: Any, form: Any = serialization.PrivateFormat.PKCS8, password: bytes | None = None) -> str:
    sealed = serialization.BestAvailableEncryption(password) if password else _PLAIN
    return key.private_bytes(serialization.Encoding.PEM, form, sealed).decode()


def ssh_line(key: Any) -> str:
    return key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode()


def public_pem(key: Any) -> str:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, form).decode()


def metadata(
    certificate_pem: str,
    entity: str = "https://idp.example.com/metadata",
    attributes: str = "",
    inner: str = "",
    use: str = "signing",
) -> str:
    """A SAML metadata document, longer than the thousand characters that IAM asks for."""
    body = "".join(line for line in certificate_pem.splitlines() if "-----" not in line)
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<!-- {"made for a test " * 40} -->
<md:EntityDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata" entityID="{entity}" {attributes}>
  <md:IDPSSODescriptor WantAuthnRequestsSigned="false" protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol">
    {inner}
    <md:KeyDescriptor use="{use}">
      <ds:KeyInfo xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><ds:X509Data>
        <ds:X509Certificate>{body}</ds:X509Certificate>
      </ds:X509Data></ds:KeyInfo>
    </md:KeyDescriptor>
    <md:NameIDFormat>urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress</md:NameIDFormat>
    <md:SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect" Location="https://idp.example.com/sso"/>
  </md:IDPSSODescriptor>
</md:EntityDescriptor>
"""
