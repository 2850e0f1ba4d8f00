"""OpenID Connect tokens: whose they say they are, and whether that holds.

A token is believed when one of its issuer's own keys has signed it by an algorithm that this key is for (RSA or elliptic curves;
``none`` and shared secrets are nobody's signature), and when issuer, audience and times are right. Its claims are an
outsider's text even then: what goes on from here has been measured and has a type.

``claimed_issuer`` reads a token that nobody has verified yet, only to find out who should be asked.
"""

from __future__ import annotations

import base64
import binascii
import datetime
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from mallee.wire.errors import AwsError

MOST_SYMBOLS: Final = 20_000
MOST_VALUE: Final = 255
SKEW: Final = 300
_SMALLEST_RSA = 2048
_LARGEST_RSA = 8192
_TRIED = 10  # keys, for a token that names none

_CURVES = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}
ALGORITHMS: Final = frozenset({"RS256", "RS384", "RS512", *_CURVES})

_AWS = "https://aws.amazon.com"


@dataclass(frozen=True, slots=True)
class Claims:
    """What a provider says of somebody. ``client``: for whom the token was made, the ``azp`` where there is one.
    ``audiences``: all of ``aud``."""

    issuer: str
    subject: str
    client: str
    audiences: tuple[str, ...]
    methods: tuple[str, ...] = ()
    tags: tuple[tuple[str, str], ...] = ()
    transitive: tuple[str, ...] = ()
    source_identity: str | None = None
    all: Mapping[str, Any] = field(default_factory=dict, repr=False)


def invalid(message: str) -> AwsError:
    return AwsError("InvalidIdentityToken", message, status=400)


_UNREADABLE = "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)"


def claimed_issuer(token: str) -> tuple[str, str | None]:
    """The issuer and the key's id that a token claims. Raises InvalidIdentityToken."""
    header, claims = _peeked(token)
    issuer, kid = claims.get("iss"), header.get("kid")
    if _algorithm(header) is None:
        raise invalid("The ID Token must be signed with RS256, RS384, RS512, ES256, ES384 or ES512.")
    if not isinstance(issuer, str) or not 0 < len(issuer) <= 2048 or not (kid is None or isinstance(kid, str)):
        raise invalid(_UNREADABLE)
    return issuer, kid


def _peeked(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    parts = token.split(".")
    if len(token) > MOST_SYMBOLS or len(parts) != 3 or not token.isascii():
        raise invalid(_UNREADABLE)
    found = []
    for part in parts[:2]:
        try:
            value = json.loads(base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True))
        except (binascii.Error, ValueError, RecursionError):
            raise invalid(_UNREADABLE) from None
        if not isinstance(value, dict):
            raise invalid(_UNREADABLE)
        found.append(value)
    return found[0], found[1]


def verify(
    token: str, keys: Iterable[Mapping[str, Any]], issuer: str, clients: Iterable[str], now: datetime.datetime
) -> Claims:
    """What the token says, if ``issuer`` has signed it for one of ``clients`` and it holds ``now``."""
    claims = _signed(token, keys)
    if claims.get("iss") != issuer:
        raise invalid("The issuer of the token is not the provider's.")
    _check_times(claims, now)
    subject = _text(claims.get("sub"), "sub")
    client, audiences = _audience(claims, frozenset(clients))
    tags, transitive = _tags(claims)
    source = claims.get(f"{_AWS}/source_identity")
    return Claims(
        issuer, subject, client, audiences, _texts(claims.get("amr", ()), "amr"), tags, transitive,
        None if source is None else _text(source, "source_identity"), claims,
    )  # fmt: skip


# --------------------------------------------------------------------------------------------------------------- signature


def _signed(token: str, keys: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    import jwt

    header, _ = _peeked(token)
    algorithm, kid = _algorithm(header), header.get("kid")
    if algorithm is None or "crit" in header or header.get("b64", True) is not True:
        raise invalid("The ID Token is signed in a way that is not supported.")
    fitting = [key for key in keys if _fits(key, algorithm) and (kid is None or key.get("kid") == kid)]
    options: Any = {"verify_signature": True, "verify_exp": False, "verify_nbf": False, "verify_iat": False,
                    "verify_aud": False, "verify_iss": False, "verify_sub": False, "verify_jti": False}  # fmt: skip
    for key in fitting[:_TRIED]:
        try:
            public = jwt.PyJWK(dict(key), algorithm=algorithm).key
            if _is_strong(public):
                claims: dict[str, Any] = jwt.decode(token, public, algorithms=[algorithm], options=options)
                return claims
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError):
            continue
    raise invalid(
        "Couldn't retrieve verification key from your identity provider, please reference AssumeRoleWithWebIdentity "
        "documentation for requirements"
        if not fitting
        else "The signature of the token is not valid."
    )


def _algorithm(header: Mapping[str, Any]) -> str | None:
    found = header.get("alg")
    return found if isinstance(found, str) and found in ALGORITHMS else None


def _fits(key: Mapping[str, Any], algorithm: str) -> bool:
    """Whether the issuer has the key for signatures, and for this kind of them."""
    if key.get("use", "sig") != "sig" or key.get("alg", algorithm) != algorithm:
        return False
    operations = key.get("key_ops")
    if operations is not None and not (isinstance(operations, list) and "verify" in operations):
        return False
    if algorithm in _CURVES:
        return key.get("kty") == "EC" and key.get("crv") == _CURVES[algorithm]
    return key.get("kty") == "RSA"


def _is_strong(public: Any) -> bool:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

    if isinstance(public, RSAPublicKey):
        return _SMALLEST_RSA <= public.key_size <= _LARGEST_RSA and public.public_numbers().e < 1 << 33
    return isinstance(public, EllipticCurvePublicKey)


# ------------------------------------------------------------------------------------------------------------------ claims


def _check_times(claims: Mapping[str, Any], now: datetime.datetime) -> None:
    moment = now.timestamp()
    ends, begins, issued = (_number(claims, name) for name in ("exp", "nbf", "iat"))
    if ends is None or issued is None:
        raise invalid("The ID Token must have the claims exp and iat.")
    if moment >= ends:
        raise AwsError(
            "ExpiredTokenException", "Token expired: current date/time must be before the expiration date/time", status=400
        )
    if issued > moment + SKEW or (begins is not None and begins > moment + SKEW):
        raise invalid("The ID Token is not valid yet.")


def _number(claims: Mapping[str, Any], name: str) -> int | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1 << 53:
        raise invalid(f"The claim {name} of the token must be a whole number of seconds.")
    return int(value)


def _audience(claims: Mapping[str, Any], clients: frozenset[str]) -> tuple[str, tuple[str, ...]]:
    """One of the audiences must be a client of ours; where an authorized party is named, so must be that."""
    audiences = _texts(claims.get("aud"), "aud")
    party = claims.get("azp")
    ours = next((each for each in audiences if each in clients), None)
    if ours is None or not (party is None or (isinstance(party, str) and party in clients)):
        raise invalid("Incorrect token audience")
    return ours if party is None else party, audiences


def _tags(claims: Mapping[str, Any]) -> tuple[tuple[tuple[str, str], ...], tuple[str, ...]]:
    """Session tags in either of the two forms that AWS takes: nested, or one claim for each."""
    nested = claims.get(f"{_AWS}/tags", {})
    if not isinstance(nested, dict):
        raise invalid("The claim https://aws.amazon.com/tags cannot be read.")
    given = nested.get("principal_tags", {})
    if not isinstance(given, dict):
        raise invalid("The claim https://aws.amazon.com/tags cannot be read.")
    flat = f"{_AWS}/tags/principal_tags/"
    found = [*given.items(), *((name.removeprefix(flat), value) for name, value in claims.items() if name.startswith(flat))]
    tags = []
    for key, value in found:
        values = _texts(value, "tags", longest=1024)
        if len(values) != 1:
            raise invalid(f"The session tag {key[:128]} must have one value.")
        tags.append((key, values[0]))
    transitive = nested.get("transitive_tag_keys", claims.get(f"{_AWS}/tags/transitive_tag_keys", ()))
    return tuple(tags), _texts(transitive, "transitive_tag_keys")


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= MOST_VALUE:
        raise invalid(f"The claim {name} of the token must be a text of 1 to {MOST_VALUE} characters.")
    return value


def _texts(value: Any, name: str, longest: int = MOST_VALUE) -> tuple[str, ...]:
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list | tuple) or len(values) > 50:
        raise invalid(f"The claim {name} of the token cannot be read.")
    for each in values:
        if not isinstance(each, str) or len(each) > longest:
            raise invalid(f"The claim {name} of the token cannot be read.")
    return tuple(values)
