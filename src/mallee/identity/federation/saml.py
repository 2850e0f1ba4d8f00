"""SAML 2.0 assertions: what a provider says of somebody who signed in to it, and whether that holds.

The response is an outsider's XML. It is read without document types, entities or comments, within bounds of size and depth, and
what counts is only the tree that the signature covers: not the document that came, but the canonical bytes that were
verified, parsed again. So an assertion that was wrapped around, put beside or moved below a signed one is never seen. The
key is one of the provider's metadata; what the signature says of its own key counts for nothing.

Every way in which opening or verifying fails is told in the same words, so that nobody learns from them what an
encrypted assertion contains.
"""

from __future__ import annotations

import base64
import binascii
import datetime
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from mallee.identity import saml_metadata
from mallee.identity.federation import saml_encryption
from mallee.identity.records.providers import SamlProvider
from mallee.wire.errors import AwsError

PROTOCOL: Final = "{urn:oasis:names:tc:SAML:2.0:protocol}"
ASSERTION: Final = "{urn:oasis:names:tc:SAML:2.0:assertion}"
SIGNATURE: Final = "{http://www.w3.org/2000/09/xmldsig#}"
SUCCESS: Final = "urn:oasis:names:tc:SAML:2.0:status:Success"
BEARER: Final = "urn:oasis:names:tc:SAML:2.0:cm:bearer"
FORMAT: Final = "urn:oasis:names:tc:SAML:2.0:nameid-format:"
ATTRIBUTES: Final = "https://aws.amazon.com/SAML/Attributes/"

MOST_SYMBOLS: Final = 100_000
MOST_LEVELS: Final = 40
MOST_ELEMENTS: Final = 3000
MOST_VALUE: Final = 255
SKEW: Final = datetime.timedelta(minutes=5)
REDEEMED_WITHIN: Final = datetime.timedelta(minutes=5)

_ROLE = re.compile(r"arn:[a-z-]+:iam::\d{12}:role/[!-~]+", re.ASCII)
_PROVIDER = re.compile(r"arn:[a-z-]+:iam::\d{12}:saml-provider/[!-~]+", re.ASCII)
_NAME = re.compile(r"[\w+=,.@-]{2,64}", re.ASCII)
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z", re.ASCII)

# attributes of directories that policies know by a condition key
KEYS: Final = {
    "urn:oid:1.3.6.1.4.1.5923.1.1.1.1": "saml:eduPersonAffiliation",
    "urn:oid:1.3.6.1.4.1.5923.1.1.1.2": "saml:eduPersonNickname",
    "urn:oid:1.3.6.1.4.1.5923.1.1.1.3": "saml:eduPersonOrgDN",
    "urn:oid:1.3.6.1.4.1.5923.1.1.1.4": "saml:eduPersonOrgUnitDN",
    "urn:oid:1.3.6.1.4.1.5923.1.1.1.5": "saml:eduPersonPrimaryAffiliation",
    "urn:oid:1.3.6.1.4.1.5923.1.1.1.6": "saml:eduPersonPrincipalName",
    "urn:oid:1.3.6.1.4.1.5923.1.1.1.7": "saml:eduPersonEntitlement",
    "urn:oid:1.3.6.1.4.1.5923.1.1.1.8": "saml:eduPersonPrimaryOrgUnitDN",
    "urn:oid:1.3.6.1.4.1.5923.1.1.1.9": "saml:eduPersonScopedAffiliation",
    "urn:oid:1.3.6.1.4.1.5923.1.1.1.10": "saml:eduPersonTargetedID",
    "urn:oid:1.3.6.1.4.1.5923.1.1.1.11": "saml:eduPersonAssurance",
    "urn:oid:1.3.6.1.4.1.5923.1.2.1.2": "saml:eduOrgHomePageURI",
    "urn:oid:1.3.6.1.4.1.5923.1.2.1.3": "saml:eduOrgIdentityAuthNPolicyURI",
    "urn:oid:1.3.6.1.4.1.5923.1.2.1.4": "saml:eduOrgLegalName",
    "urn:oid:1.3.6.1.4.1.5923.1.2.1.5": "saml:eduOrgSuperiorURI",
    "urn:oid:1.3.6.1.4.1.5923.1.2.1.6": "saml:eduOrgWhitePagesURI",
    "urn:oid:2.5.4.3": "saml:cn",
    "urn:oid:2.5.4.4": "saml:surname",
    "urn:oid:2.5.4.41": "saml:name",
    "urn:oid:2.5.4.42": "saml:givenName",
    "urn:oid:2.5.4.45": "saml:x500UniqueIdentifier",
    "urn:oid:0.9.2342.19200300.100.1.1": "saml:uid",
    "urn:oid:0.9.2342.19200300.100.1.3": "saml:mail",
    "urn:oid:0.9.2342.19200300.100.1.45": "saml:organizationStatus",
    "http://schemas.xmlsoap.org/claims/CommonName": "saml:commonName",
    "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/name": "saml:name",
    "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/surname": "saml:surname",
    "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/givenname": "saml:givenName",
    "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress": "saml:mail",
    "http://schemas.microsoft.com/ws/2008/06/identity/claims/primarygroupsid": "saml:primaryGroupSID",
}


@dataclass(frozen=True, slots=True)
class Here:
    """Where assertions are sent to: the addresses that AWS's own documents give to identity providers, and this region's."""

    region: str
    dns_suffix: str

    def recipients(self, provider: SamlProvider) -> frozenset[str]:
        own = f"https://signin.{self.region}.{self.dns_suffix}/saml"
        places = [own, "https://signin.aws.amazon.com/saml", f"https://{self.region}.signin.aws.amazon.com/saml"]
        return frozenset([*places, *(f"{place}/acs/{provider.unique_id}" for place in places)])

    def audiences(self, provider: SamlProvider) -> frozenset[str]:
        return self.recipients(provider) | {"urn:amazon:webservices"}


@dataclass(frozen=True, slots=True)
class Assertion:
    """What the provider says. ``roles``: pairs of a role's and a provider's ARN. ``until``: when the assertion can no longer be
    used; ``once``: it can be used one time. ``attributes``: condition keys."""

    id: str
    issuer: str
    subject: str
    subject_type: str
    recipient: str
    roles: frozenset[tuple[str, str]]
    session_name: str
    until: datetime.datetime
    session_until: datetime.datetime | None = None
    once: bool = False
    tags: tuple[tuple[str, str], ...] = ()
    transitive: tuple[str, ...] = ()
    source_identity: str | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)


def invalid(message: str) -> AwsError:
    return AwsError("InvalidIdentityToken", message, status=400)


def expired(message: str) -> AwsError:
    return AwsError("ExpiredTokenException", message, status=400)


_UNREADABLE = "The SAML response cannot be read."
_BAD_SIGNATURE = "Response signature invalid"


def verify(
    text: str, provider: SamlProvider, private_keys: Sequence[str], here: Here, now: datetime.datetime
) -> Assertion:
    """What a response (base64) says, if the provider has signed it for us and it holds ``now``."""
    if provider.valid_until <= now:
        raise invalid("The metadata of the SAML provider has expired.")
    response = _parsed(_decoded(text))
    if response.tag != f"{PROTOCOL}Response":
        raise invalid("The SAML response must be a Response.")
    certificates = saml_metadata.read(provider.document).certificates
    assertion = _verified(response, certificates, provider, private_keys, now)
    return _read(assertion, provider, here, now)


# ---------------------------------------------------------------------------------------------------------------- reading


def _decoded(text: str) -> bytes:
    if len(text) > MOST_SYMBOLS:
        raise invalid(_UNREADABLE)
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise invalid(_UNREADABLE) from None


def _parsed(document: bytes) -> Any:
    """The root element. Nothing but elements, attributes and text is in it."""
    from lxml import etree

    parser = etree.XMLParser(
        resolve_entities=False, load_dtd=False, no_network=True, huge_tree=False, remove_comments=False, remove_pis=False
    )
    if b"\0" in document:
        raise invalid(_UNREADABLE)
    try:
        document.decode()
        root = etree.fromstring(document, parser)
    except (etree.XMLSyntaxError, ValueError):
        raise invalid(_UNREADABLE) from None
    info = root.getroottree().docinfo
    if info.doctype or info.internalDTD is not None or (info.encoding or "UTF-8").upper() not in ("UTF-8", "UTF8", "ASCII"):
        raise invalid(_UNREADABLE)
    if root.getprevious() is not None or root.getnext() is not None:
        raise invalid(_UNREADABLE)
    count, level, ids = 0, 0, set()
    for event, element in etree.iterwalk(root, events=("start", "end", "comment", "pi")):
        if event == "end":
            level -= 1
            continue
        count, level = count + 1, level + 1
        if event != "start" or not isinstance(element.tag, str) or count > MOST_ELEMENTS or level > MOST_LEVELS:
            raise invalid(_UNREADABLE)
        for name in ("ID", "Id", "id", "{http://www.w3.org/XML/1998/namespace}id"):
            found = element.get(name)
            if found is not None:
                if found in ids:
                    raise invalid(_UNREADABLE)
                ids.add(found)
    return root


# -------------------------------------------------------------------------------------------------------------- signature


def _verified(
    response: Any, certificates: Iterable[str], provider: SamlProvider, private_keys: Sequence[str], now: datetime.datetime
) -> Any:
    """The one assertion, as it was signed: itself, or with the response around it. An encrypted one is opened first."""
    plain, sealed = _all(response, f"{ASSERTION}Assertion"), _all(response, f"{ASSERTION}EncryptedAssertion")
    if len(plain) + len(sealed) != 1:
        raise invalid("The SAML response must have one assertion.")
    if plain and provider.encryption == "Required":
        raise invalid("The SAML provider requires that assertions are encrypted.")
    whole = _signed(response, "./", certificates, now) if response.find(f"{SIGNATURE}Signature") is not None else None
    if whole is not None:
        if whole.tag != response.tag or whole.get("ID") != response.get("ID"):
            raise invalid(_BAD_SIGNATURE)
        response = whole
    _check_status(response)
    if sealed:
        opened = saml_encryption.opened(_only(response, f"{ASSERTION}EncryptedAssertion"), private_keys)
        if opened is None:
            raise invalid(_BAD_SIGNATURE)
        try:
            assertion = _parsed(opened)
        except AwsError:
            raise invalid(_BAD_SIGNATURE) from None
        place = "./"
    else:
        assertion = _only(response, f"{ASSERTION}Assertion")
        place = f"./{ASSERTION}Assertion/"
    if assertion.tag != f"{ASSERTION}Assertion" or not assertion.get("ID"):
        raise invalid(_BAD_SIGNATURE)
    if assertion.find(f"{SIGNATURE}Signature") is None:
        if whole is None:
            raise invalid(_BAD_SIGNATURE)
        return assertion
    found = _signed(assertion if sealed else response, place, certificates, now)
    if found.tag != assertion.tag or found.get("ID") != assertion.get("ID"):
        raise invalid(_BAD_SIGNATURE)
    return found


def _all(root: Any, tag: str) -> list[Any]:
    """Wherever in the document: one that is not in its place is too many."""
    return list(root.iter(tag))


def _only(parent: Any, tag: str) -> Any:
    found = parent.findall(tag)
    if len(found) != 1:
        raise invalid("The SAML response must have one assertion.")
    return found[0]


def _signed(root: Any, place: str, certificates: Iterable[str], now: datetime.datetime) -> Any:
    """What the signature at ``place`` covers, by a key of the provider's."""
    from lxml import etree
    from signxml.algorithms import DigestAlgorithm, SignatureMethod
    from signxml.exceptions import SignXMLException
    from signxml.verifier import SignatureConfiguration, XMLVerifier

    methods = [SignatureMethod[f"{kind}_SHA{bits}"] for kind in ("RSA", "ECDSA") for bits in (256, 384, 512)]
    methods += [SignatureMethod[f"SHA{bits}_RSA_MGF1"] for bits in (256, 384, 512)]
    expected = SignatureConfiguration(
        require_x509=True, location=place, expect_references=1, signature_methods=frozenset(methods),
        digest_algorithms=frozenset(DigestAlgorithm[f"SHA{bits}"] for bits in (256, 384, 512)),
        ignore_ambiguous_key_info=True, verification_time=now,
    )  # fmt: skip
    for certificate in certificates:
        try:
            found = XMLVerifier().verify(etree.tostring(root), x509_cert=certificate, expect_config=expected)
        except (SignXMLException, etree.LxmlError, ValueError, KeyError, TypeError, AttributeError, NotImplementedError):
            continue
        signed = found.signed_xml  # type: ignore[union-attr]
        if signed is not None:
            return signed
    raise invalid(_BAD_SIGNATURE)


def _check_status(response: Any) -> None:
    codes = response.findall(f"{PROTOCOL}Status/{PROTOCOL}StatusCode")
    if len(codes) != 1 or codes[0].get("Value") != SUCCESS:
        raise AwsError("IDPRejectedClaim", "The identity provider reported that authentication failed.", status=403)


# -------------------------------------------------------------------------------------------------------------- statements


def _read(assertion: Any, provider: SamlProvider, here: Here, now: datetime.datetime) -> Assertion:
    issuer = _one_text(assertion, f"{ASSERTION}Issuer")
    if issuer != provider.entity_id:
        raise invalid("Issuer not present in specified provider")
    issued = _moment(assertion.get("IssueInstant"))
    if issued is None or issued > now + SKEW:
        raise invalid("The assertion is not valid yet.")
    if now > issued + REDEEMED_WITHIN:
        raise expired("Token must be redeemed within 5 minutes of issuance")
    conditions_until, once = _conditions(assertion, here.audiences(provider), now)
    name = assertion.findall(f"{ASSERTION}Subject/{ASSERTION}NameID")
    if len(name) != 1:
        raise invalid("The assertion must have a NameID.")
    recipient, subject_until = _confirmed(assertion, here.recipients(provider), now)
    given = _attributes(assertion)
    tags = [
        (key.removeprefix(f"{ATTRIBUTES}PrincipalTag:"), _single(values, key))
        for key, values in given.items()
        if key.startswith(f"{ATTRIBUTES}PrincipalTag:")
    ]
    source = given.get(f"{ATTRIBUTES}SourceIdentity")
    return Assertion(
        id=assertion.get("ID"),
        issuer=issuer,
        subject=_bounded(_text(name[0]), "NameID"),
        subject_type=_bounded(name[0].get("Format", "unspecified"), "NameID").removeprefix(FORMAT),
        recipient=recipient,
        roles=_roles(given.get(f"{ATTRIBUTES}Role", [])),
        session_name=_named(given, "RoleSessionName"),
        until=min([subject_until, *([conditions_until] if conditions_until else []), issued + REDEEMED_WITHIN]),
        session_until=_session_end(assertion),
        once=once,
        tags=tuple(tags),
        transitive=tuple(given.get(f"{ATTRIBUTES}TransitiveTagKeys", ())),
        source_identity=None if source is None else _named(given, "SourceIdentity"),
        attributes={KEYS[key]: tuple(values) for key, values in given.items() if key in KEYS and values},
    )


def _conditions(
    assertion: Any, audiences: frozenset[str], now: datetime.datetime
) -> tuple[datetime.datetime | None, bool]:
    found = assertion.findall(f"{ASSERTION}Conditions")
    if len(found) != 1:
        raise invalid("The assertion must have conditions.")
    until = _within(found[0], now)
    restrictions = found[0].findall(f"{ASSERTION}AudienceRestriction")
    if not restrictions:
        raise invalid("Audience is invalid")
    for restriction in restrictions:
        if not audiences & {_text(each) for each in restriction.findall(f"{ASSERTION}Audience")}:
            raise invalid("Audience is invalid")
    return until, found[0].find(f"{ASSERTION}OneTimeUse") is not None


def _confirmed(assertion: Any, recipients: frozenset[str], now: datetime.datetime) -> tuple[str, datetime.datetime]:
    """By whoever bears it, sent to us, and still in time."""
    late = False
    for confirmation in assertion.findall(f"{ASSERTION}Subject/{ASSERTION}SubjectConfirmation"):
        data = confirmation.find(f"{ASSERTION}SubjectConfirmationData")
        if confirmation.get("Method") != BEARER or data is None or data.get("Recipient") not in recipients:
            continue
        try:
            until = _within(data, now)
        except AwsError:
            late = True
            continue
        if until is not None:
            return data.get("Recipient"), until
    if late:
        raise expired("Response has expired")
    raise invalid("Recipient is invalid, or the confirmation of the subject has no end.")


def _within(element: Any, now: datetime.datetime) -> datetime.datetime | None:
    """Between NotBefore and NotOnOrAfter; the latter."""
    begins, ends = _moment(element.get("NotBefore")), _moment(element.get("NotOnOrAfter"))
    if begins is not None and begins > now + SKEW:
        raise invalid("The assertion is not valid yet.")
    if ends is not None and now >= ends:
        raise expired("Response has expired")
    return ends


def _attributes(assertion: Any) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for attribute in assertion.findall(f"{ASSERTION}AttributeStatement/{ASSERTION}Attribute"):
        values = [_text(value) for value in attribute.findall(f"{ASSERTION}AttributeValue")]
        found.setdefault(attribute.get("Name", ""), []).extend(values)
    return found


def _roles(values: Iterable[str]) -> frozenset[tuple[str, str]]:
    """Each value is a role and a provider, in either order."""
    pairs = set()
    for value in values:
        parts = [part.strip() for part in value.split(",")]
        if len(parts) == 2 and _PROVIDER.fullmatch(parts[0]):
            parts.reverse()
        if len(parts) == 2 and _ROLE.fullmatch(parts[0]) and _PROVIDER.fullmatch(parts[1]):
            pairs.add((parts[0], parts[1]))
    if not pairs:
        raise invalid("The attribute Role of the assertion must name a role and a provider.")
    return frozenset(pairs)


def _named(given: Mapping[str, list[str]], name: str) -> str:
    values = given.get(f"{ATTRIBUTES}{name}", [])
    if len(values) != 1:
        raise invalid(f"{name} is required in AuthnResponse")
    if not _NAME.fullmatch(values[0]):
        raise invalid(f"{name} in AuthnResponse must match [a-zA-Z_0-9+=,.@-]{{2,64}}")
    return values[0]


def _single(values: Sequence[str], key: str) -> str:
    if len(values) != 1:
        raise invalid(f"The attribute {key[:200]} must have one value.")
    return values[0]


def _session_end(assertion: Any) -> datetime.datetime | None:
    ends = [
        moment
        for statement in assertion.findall(f"{ASSERTION}AuthnStatement")
        if (moment := _moment(statement.get("SessionNotOnOrAfter"))) is not None
    ]
    return min(ends, default=None)


def _text(element: Any) -> str:
    """All of it: text that something splits is put together again, never cut."""
    return "".join(element.itertext()).strip()


def _one_text(parent: Any, tag: str) -> str:
    found = parent.findall(tag)
    return _text(found[0]) if len(found) == 1 else ""


def _bounded(text: str, what: str) -> str:
    if not 0 < len(text) <= MOST_VALUE:
        raise invalid(f"The {what} of the assertion must have 1 to {MOST_VALUE} characters.")
    return text


def _moment(text: str | None) -> datetime.datetime | None:
    if text is None:
        return None
    if not _MOMENT.fullmatch(text):
        raise invalid("A moment of the assertion cannot be read.")
    try:
        return datetime.datetime.fromisoformat(text)
    except ValueError:
        raise invalid("A moment of the assertion cannot be read.") from None
