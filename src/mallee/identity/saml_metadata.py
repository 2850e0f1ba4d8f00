"""The metadata document of a SAML identity provider: who it is, and by which certificates its word is known. Pure.

The document is an outsider's XML of up to ten megabytes. It is read as a stream of events, so that no tree is built; a document
type ends it at once (no entities, nothing external), and so do depth and number beyond anything in use.
"""

from __future__ import annotations

import base64
import datetime
import re
from dataclasses import dataclass, field
from typing import Any

from mallee.identity import certificates

METADATA = "{urn:oasis:names:tc:SAML:2.0:metadata}"
SIGNATURE = "{http://www.w3.org/2000/09/xmldsig#}"
PROTOCOL = "urn:oasis:names:tc:SAML:2.0:protocol"

MOST_LEVELS = 32
MOST_ELEMENTS = 20_000
MOST_CERTIFICATES = 20


class Malformed(ValueError):
    """The document is none that IAM takes; the message is a sentence for its sender."""


@dataclass(frozen=True, slots=True)
class Metadata:
    """``certificates``: the PEM texts of the keys that sign assertions. ``valid_until``: when the provider's word ends, by the
    document or by the last of its certificates, whichever comes first."""

    entity_id: str
    certificates: tuple[str, ...]
    sign_on: tuple[str, ...]
    valid_until: datetime.datetime


def read(document: str) -> Metadata:
    """Raises ``Malformed``."""
    from lxml import etree

    target = _Target()
    make: Any = etree.XMLParser
    parser = make(target=target, encoding="utf-8", resolve_entities=False, load_dtd=False, no_network=True, huge_tree=False)
    if "<!DOCTYPE" in document or "\0" in document:
        raise Malformed("Could not parse metadata: a document type is not allowed.")
    try:
        etree.fromstring(document.encode("utf-8"), parser)
    except (etree.XMLSyntaxError, UnicodeEncodeError):
        raise Malformed("Could not parse metadata") from None
    return target.result()


@dataclass(slots=True)
class _Target:
    """What lxml calls for each event. Only elements in the places that the specification gives them count."""

    entity_id: str = ""
    until: str = ""
    sign_on: list[str] = field(default_factory=list)
    found: list[str] = field(default_factory=list)
    _path: list[str] = field(default_factory=list)
    _count: int = 0
    _text: list[str] | None = None
    _signs: bool = False
    _is_saml2: bool = False

    def start(self, tag: str, attributes: Any) -> None:
        self._count += 1
        if len(self._path) >= MOST_LEVELS or self._count > MOST_ELEMENTS:
            raise Malformed("Could not parse metadata: it is too deep or too long.")
        self._path.append(tag)
        place = tuple(self._path)
        if place == _ENTITY:
            self.entity_id, self.until = attributes.get("entityID", ""), attributes.get("validUntil", "")
        elif place == _PROVIDER:
            self._is_saml2 = self._is_saml2 or PROTOCOL in attributes.get("protocolSupportEnumeration", "").split()
        elif place == _SIGN_ON:
            self.sign_on.append(attributes.get("Location", ""))
        elif place == _KEY:
            self._signs = attributes.get("use", "signing") == "signing"
        elif place == _CERTIFICATE and self._signs:
            self._text = []

    def data(self, text: str) -> None:
        if self._text is not None:
            self._text.append(text)

    def end(self, tag: str) -> None:
        self._path.pop()
        if self._text is not None:
            self.found.append("".join(self._text))
            self._text = None
            if len(self.found) > MOST_CERTIFICATES:
                raise Malformed("Could not parse metadata: it has too many certificates.")

    def doctype(self, *_: Any) -> None:
        raise Malformed("Could not parse metadata: a document type is not allowed.")

    def close(self) -> None:
        """lxml's word for the end."""

    def result(self) -> Metadata:
        if not self.entity_id or len(self.entity_id) > 1024 or not self._is_saml2:
            raise Malformed("Could not parse metadata: it must describe one identity provider of SAML 2.0.")
        if not self.found:
            raise Malformed("Could not parse metadata: it must have a certificate to verify signatures by.")
        texts = tuple(_pem(text) for text in self.found)
        try:
            last = max(certificates.certificate(text).not_after for text in texts)
        except certificates.Bad as bad:
            raise Malformed(f"Could not parse metadata: {bad}") from None
        until = _moment(self.until) if self.until else None
        return Metadata(self.entity_id, texts, tuple(self.sign_on), last if until is None else min(until, last))


_ENTITY = (f"{METADATA}EntityDescriptor",)
_PROVIDER = (*_ENTITY, f"{METADATA}IDPSSODescriptor")
_SIGN_ON = (*_PROVIDER, f"{METADATA}SingleSignOnService")
_KEY = (*_PROVIDER, f"{METADATA}KeyDescriptor")
_CERTIFICATE = (*_KEY, f"{SIGNATURE}KeyInfo", f"{SIGNATURE}X509Data", f"{SIGNATURE}X509Certificate")


def _pem(text: str) -> str:
    joined = "".join(text.split())
    if len(joined) > 16384:
        raise Malformed("Could not parse metadata: a certificate is too long.")
    try:
        base64.b64decode(joined, validate=True)
    except ValueError:
        raise Malformed("Could not parse metadata: a certificate is not in base64.") from None
    lines = [joined[at : at + 64] for at in range(0, len(joined), 64)]
    return "\n".join(["-----BEGIN CERTIFICATE-----", *lines, "-----END CERTIFICATE-----", ""])


_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)?", re.ASCII)


def _moment(text: str) -> datetime.datetime:
    if not _MOMENT.fullmatch(text):
        raise Malformed("Could not parse metadata: validUntil is no moment.")
    try:
        found = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise Malformed("Could not parse metadata: validUntil is no moment.") from None
    return found if found.tzinfo is not None else found.replace(tzinfo=datetime.UTC)
