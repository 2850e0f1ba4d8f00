"""A SAML provider of our own: metadata, assertions, signatures and encryption, right and wrong."""

from __future__ import annotations

import base64
import datetime
import os
from typing import Any
from xml.sax.saxutils import escape

from cryptography import x509
from cryptography.hazmat.primitives import hashes, padding, serialization
from cryptography.hazmat.primitives.asymmetric import padding as asymmetric
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from lxml import etree
from signxml.algorithms import CanonicalizationMethod
from signxml.signer import XMLSigner

from tests.cloud import idp

P = "urn:oasis:names:tc:SAML:2.0:protocol"
A = "urn:oasis:names:tc:SAML:2.0:assertion"
AWS = "https://aws.amazon.com/SAML/Attributes"
RECIPIENT = "https://signin.aws.amazon.com/saml"
ENC = "http://www.w3.org/2001/04/xmlenc#"


def stamp(at: datetime.datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


class Provider:
    """``key`` and ``certificate`` are in the metadata."""

    def __init__(self, entity_id: str = "https://idp.example.com/saml") -> None:
        self.entity_id = entity_id
        self.key = rsa.generate_private_key(65537, 2048)
        self.certificate = idp.certificate("saml", self.key)

    @property
    def metadata(self) -> str:
        body = base64.b64encode(self.certificate.public_bytes(serialization.Encoding.DER)).decode()
        return (
            f'<EntityDescriptor xmlns="urn:oasis:names:tc:SAML:2.0:metadata" entityID="{self.entity_id}">'
            f'<IDPSSODescriptor protocolSupportEnumeration="{P}"><KeyDescriptor use="signing">'
            f'<KeyInfo xmlns="http://www.w3.org/2000/09/xmldsig#"><X509Data><X509Certificate>{body}</X509Certificate></X509Data>'
            f"</KeyInfo></KeyDescriptor>"
            f'<SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST" Location="https://idp.example.com/s"/>'
            f"</IDPSSODescriptor></EntityDescriptor>" + " " * 1000
        )

    def assertion(self, now: datetime.datetime, roles: tuple[tuple[str, str], ...], **more: Any) -> str:
        """Unsigned. ``more`` replaces parts: see the defaults. ``attributes`` are further ones by name."""
        part = {
            "id": "_a" + os.urandom(8).hex(),
            "issuer": self.entity_id,
            "subject": "alice@example.com",
            "format": "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent",
            "recipient": RECIPIENT,
            "audience": "urn:amazon:webservices",
            "issued": stamp(now),
            "begins": stamp(now - datetime.timedelta(seconds=60)),
            "ends": stamp(now + datetime.timedelta(seconds=240)),
            "confirmed_until": stamp(now + datetime.timedelta(seconds=240)),
            "session_until": stamp(now + datetime.timedelta(hours=8)),
            "method": "urn:oasis:names:tc:SAML:2.0:cm:bearer",
            "conditions": "",
            "session_name": "alice",
            "attributes": {},
        } | more
        attributes: dict[str, Any] = {f"{AWS}/Role": [",".join(pair) for pair in roles]}
        if part["session_name"] is not None:
            attributes[f"{AWS}/RoleSessionName"] = [part["session_name"]]
        attributes |= part["attributes"]
        told = "".join(
            f'<saml:Attribute Name="{escape(name)}">'
            + "".join(f"<saml:AttributeValue>{value if value.startswith('<') else escape(value)}</saml:AttributeValue>" for value in values)
            + "</saml:Attribute>"
            for name, values in attributes.items()
        )  # fmt: skip
        subject = part["subject"] if "<" in part["subject"] else escape(part["subject"])
        audience = "" if part["audience"] is None else (
            f"<saml:AudienceRestriction><saml:Audience>{part['audience']}</saml:Audience></saml:AudienceRestriction>"
        )  # fmt: skip
        return (
            f'<saml:Assertion xmlns:saml="{A}" ID="{part["id"]}" Version="2.0" IssueInstant="{part["issued"]}">'
            f"<saml:Issuer>{part['issuer']}</saml:Issuer>"
            f'<saml:Subject><saml:NameID Format="{part["format"]}">{subject}</saml:NameID>'
            f'<saml:SubjectConfirmation Method="{part["method"]}"><saml:SubjectConfirmationData '
            f'NotOnOrAfter="{part["confirmed_until"]}" Recipient="{part["recipient"]}"/></saml:SubjectConfirmation></saml:Subject>'
            f'<saml:Conditions NotBefore="{part["begins"]}" NotOnOrAfter="{part["ends"]}">{audience}{part["conditions"]}</saml:Conditions>'
            f'<saml:AuthnStatement AuthnInstant="{part["issued"]}" SessionNotOnOrAfter="{part["session_until"]}"/>'
            f"<saml:AttributeStatement>{told}</saml:AttributeStatement></saml:Assertion>"
        )

    def signed(self, text: str, key: Any = None, certificate: x509.Certificate | None = None, **options: Any) -> str:
        """The element with a signature of its own, where SAML puts it: after the issuer."""
        c14n = CanonicalizationMethod.EXCLUSIVE_XML_CANONICALIZATION_1_0
        signer = XMLSigner(c14n_algorithm=c14n, **options)
        root = etree.fromstring(text.encode())
        signature = "{http://www.w3.org/2000/09/xmldsig#}Signature"
        place = etree.SubElement(root, signature, Id="placeholder", nsmap={"ds": signature[1:-10]})
        issuer = root.find(f"{{{A}}}Issuer")
        root.remove(place)
        root.insert(0 if issuer is None else root.index(issuer) + 1, place)
        encoding = serialization.Encoding.PEM
        shown = (certificate or self.certificate).public_bytes(encoding).decode()
        made = signer.sign(root, key=key or self.key, cert=shown, reference_uri=root.get("ID"), id_attribute="ID")
        return etree.tostring(made).decode()


def response(
    *inside: str, status: str = "urn:oasis:names:tc:SAML:2.0:status:Success", issuer: str = "https://idp.example.com/saml"
) -> str:
    return (
        f'<samlp:Response xmlns:samlp="{P}" xmlns:saml="{A}" ID="_r{os.urandom(8).hex()}" Version="2.0" '
        f'Destination="{RECIPIENT}"><saml:Issuer>{issuer}</saml:Issuer>'
        f'<samlp:Status><samlp:StatusCode Value="{status}"/></samlp:Status>{"".join(inside)}</samlp:Response>'
    )


def encoded(text: str | bytes) -> str:
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


def encrypted(text: str, to: Any, algorithm: str = "aes256-gcm", wrap: str = "oaep") -> str:
    """An EncryptedAssertion for the public key ``to``."""
    key = os.urandom(int(algorithm[3:6]) // 8)
    nonce = os.urandom(12 if algorithm.endswith("gcm") else 16)
    if algorithm.endswith("gcm"):
        uri = f"http://www.w3.org/2009/xmlenc11#{algorithm}"
        sealed = nonce + AESGCM(key).encrypt(nonce, text.encode(), None)
    else:
        uri = f"{ENC}{algorithm}"
        padder = padding.PKCS7(128).padder()
        plain = padder.update(text.encode()) + padder.finalize()
        sealer = Cipher(algorithms.AES(key), modes.CBC(nonce)).encryptor()
        sealed = nonce + sealer.update(plain) + sealer.finalize()
    if wrap == "oaep":
        form: Any = asymmetric.OAEP(asymmetric.MGF1(hashes.SHA1()), hashes.SHA1(), None)
        method = f'<xenc:EncryptionMethod Algorithm="{ENC}rsa-oaep-mgf1p"/>'
    elif wrap == "oaep-sha256":
        form = asymmetric.OAEP(asymmetric.MGF1(hashes.SHA256()), hashes.SHA256(), None)
        method = (
            '<xenc:EncryptionMethod Algorithm="http://www.w3.org/2009/xmlenc11#rsa-oaep">'
            f'<ds:DigestMethod Algorithm="{ENC}sha256"/>'
            '<x:MGF xmlns:x="http://www.w3.org/2009/xmlenc11#" Algorithm="http://www.w3.org/2009/xmlenc11#mgf1sha256"/>'
            "</xenc:EncryptionMethod>"
        )
    else:
        form, method = asymmetric.PKCS1v15(), f'<xenc:EncryptionMethod Algorithm="{ENC}rsa-1_5"/>'
    wrapped = encoded(to.encrypt(key, form))
    return (
        f'<saml:EncryptedAssertion xmlns:saml="{A}" xmlns:xenc="{ENC}" xmlns:ds="http://www.w3.org/2000/09/xmldsig#">'
        f'<xenc:EncryptedData Type="{ENC}Element"><xenc:EncryptionMethod Algorithm="{uri}"/><ds:KeyInfo><xenc:EncryptedKey>{method}'
        f"<xenc:CipherData><xenc:CipherValue>{wrapped}</xenc:CipherValue></xenc:CipherData></xenc:EncryptedKey></ds:KeyInfo>"
        f"<xenc:CipherData><xenc:CipherValue>{encoded(sealed)}</xenc:CipherValue></xenc:CipherData></xenc:EncryptedData>"
        "</saml:EncryptedAssertion>"
    )
