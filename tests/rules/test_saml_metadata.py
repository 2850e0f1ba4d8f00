"""Metadata documents: what is read of them, and that no document is a weapon."""

from __future__ import annotations

import time

import pytest

from mallee.identity import saml_metadata
from mallee.identity.saml_metadata import Malformed
from tests.identity import certs
from tests.identity.certs import DAY, NOW

PEM = certs.certificate(certs.rsa_key(), end=NOW + 100 * DAY)


def test_what_a_document_says() -> None:
    found = saml_metadata.read(certs.metadata(PEM))
    assert found.entity_id == "https://idp.example.com/metadata"
    assert found.certificates == (PEM,)
    assert found.sign_on == ("https://idp.example.com/sso",)
    assert found.valid_until == NOW + 100 * DAY


def test_the_document_may_end_before_its_certificates() -> None:
    until = (NOW + 3 * DAY).isoformat().replace("+00:00", "Z")
    assert saml_metadata.read(certs.metadata(PEM, attributes=f'validUntil="{until}"')).valid_until == NOW + 3 * DAY
    later = (NOW + 9999 * DAY).isoformat()
    assert saml_metadata.read(certs.metadata(PEM, attributes=f'validUntil="{later}"')).valid_until == NOW + 100 * DAY
    for wrong in ("soon", "2026-13-01T00:00:00Z", "٢٠٢٦-01-01T00:00:00Z", "2026-01-01"):
        with pytest.raises(Malformed):
            saml_metadata.read(certs.metadata(PEM, attributes=f'validUntil="{wrong}"'))


def test_the_last_certificate_counts() -> None:
    longer = certs.certificate(certs.rsa_key(2048, 1), end=NOW + 500 * DAY)
    begin, end = certs.metadata(longer).index("<md:KeyDescriptor"), certs.metadata(longer).index("<md:NameIDFormat")
    found = saml_metadata.read(certs.metadata(PEM, inner=certs.metadata(longer)[begin:end]))
    assert found.certificates == (longer, PEM) and found.valid_until == NOW + 500 * DAY


@pytest.mark.parametrize(
    "change",
    [
        ("md:EntityDescriptor", "md:EntitiesDescriptor"),
        ("IDPSSODescriptor", "SPSSODescriptor"),
        ('entityID="https://idp.example.com/metadata"', ""),
        ("SAML:2.0:protocol", "SAML:1.1:protocol"),
        ("2000/09/xmldsig#", "2001/09/xmldsig#"),
        ("SAML:2.0:metadata", "SAML:3.0:metadata"),
        ('use="signing"', 'use="encryption"'),
        ("<ds:X509Certificate>", "<ds:X509Certificate>!"),
        ("</md:IDPSSODescriptor>", ""),
        ("X509Certificate>MI", "X509Certificate>MJ"),
    ],
)
def test_what_is_no_metadata(change: tuple[str, str]) -> None:
    text = certs.metadata(PEM)
    assert change[0] in text
    with pytest.raises(Malformed):
        saml_metadata.read(text.replace(*change))


def test_weapons() -> None:
    text = certs.metadata(PEM)
    head, rest = text.split("?>", 1)
    laughs = "".join(f'<!ENTITY a{n + 1} "{f"&a{n};" * 10}">' for n in range(9))
    began = time.perf_counter()
    weapons = [
        f'{head}?><!DOCTYPE x [<!ENTITY a0 "ha">{laughs}]>{rest.replace("https://idp", "&a9;https://idp")}',
        f'{head}?><!DOCTYPE x SYSTEM "file:///etc/passwd">{rest}',
        f'{head}?><!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]>{rest.replace("https://idp", "&f;")}',
        certs.metadata(PEM, inner="<a>" * 5000 + "</a>" * 5000),
        certs.metadata(PEM, inner="<a/>" * 1_500_000),
        certs.metadata(PEM, inner=certs.metadata(PEM).split('protocol">', 1)[1].split("<md:NameID", 1)[0] * 100),
        text.replace("<ds:X509Certificate>", "<ds:X509Certificate>" + "A" * 5_000_000),
        "\0" * 2000,
        "<" * 10_000_000,
        "é" * 2000,
        "\ud800" + text,
        text.encode().decode("utf-16-le", "replace"),
    ]
    for weapon in weapons:
        with pytest.raises(Malformed):
            saml_metadata.read(weapon)
    assert time.perf_counter() - began < 10


def test_another_encoding_in_the_declaration_changes_nothing() -> None:
    text = certs.metadata(PEM, entity="https://é.example.com").replace('encoding="UTF-8"', 'encoding="ISO-8859-1"')
    assert saml_metadata.read(text).entity_id == "https://é.example.com"
