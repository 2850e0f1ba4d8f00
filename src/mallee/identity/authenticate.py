"""Who sent this request? Every API call passes through ``Authenticator.principal``.

It finds the claim (header, presigned query, or version 2's query; S3 has a version 2 of its own, in the header too, and forms of
browsers), checks that the claim is for this region, service and time, finds the key, computes the signature, and returns the
principal; or raises the error that the service spoken to answers. Nothing of the request's body has been interpreted before.

S3 is asked by anybody: a request without any signature is ``ANONYMOUS``'s, and one with a wrong signature nobody's.

An access key that is unknown, inactive or whose token is not ours takes the same way as a good one, with a secret that nobody
knows, and is refused after its signature was computed; and no signature is found wrong without the key having been looked
up in the database. So the time that an answer takes does not tell whether a key exists.
"""

from __future__ import annotations

import datetime
import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mallee.identity import sessions
from mallee.identity.call import ANONYMOUS, Principal
from mallee.identity.keys import Credential, Keyring
from mallee.identity.signature import s3v2, sigv2, sigv4
from mallee.identity.signature.chunks import FORMS
from mallee.identity.signature.refusals import (
    BAD_TOKEN,
    BODY,
    EXPIRED_TOKEN,
    INCOMPLETE,
    MISMATCH,
    MISSING,
    UNKNOWN_KEY,
    UNSUPPORTED,
    Refused,
    family,
    to_error,
)
from mallee.settings import Settings
from mallee.wire.errors import AwsError
from mallee.wire.message import Request
from mallee.wire.model import Operation
from mallee.wire.paths import virtual_bucket

MINUTES = 5
S3_MINUTES = 15
GLOBAL_REGION = "us-east-1"
GLOBAL_SERVICES = frozenset({"iam", "sts", "route53", "organizations", "cloudfront"})

_OF_PARAMETERS = frozenset({"ec2", "query"})
_S3 = frozenset({"s3", "s3control"})

_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_DIGEST = re.compile(r"[0-9a-fA-F]{64}")


def utc_now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


@dataclass(slots=True)
class Proof:
    """A signature that held. ``payload`` is what was signed for the body: for S3 that body is still to be compared
    (``check_body``) or taken apart (``chunks.Decoder`` with ``claim`` and ``key``). ``claim`` is None of whoever signs nothing."""

    principal: Principal
    claim: sigv4.Claim | sigv2.Claim | s3v2.Claim | None
    key: bytes = b""
    payload: str = sigv4.UNSIGNED
    form: bool = False  # it came with a browser's form

    @property
    def how(self) -> str | None:
        """``s3:authType``."""
        if self.claim is None:
            return None
        return "POST" if self.form else "REST-QUERY-STRING" if getattr(self.claim, "presigned", False) else "REST-HEADER"

    @property
    def version(self) -> str | None:
        """``s3:signatureversion``."""
        if self.claim is None:
            return None
        return sigv4.ALGORITHM if isinstance(self.claim, sigv4.Claim) else "AWS"

    @property
    def signed_at(self) -> datetime.datetime | None:
        """When it was signed, if it says so: version 2's query does not."""
        return self.claim.at if isinstance(self.claim, sigv4.Claim) else None


class Authenticator:
    def __init__(self, keyring: Keyring, settings: Settings, now: Callable[[], datetime.datetime] = utc_now) -> None:
        self._keyring = keyring
        self._region = settings.region
        self._also = frozenset(settings.signing_regions)
        self._also_global = self._also | {GLOBAL_REGION}
        self._s3_domains = settings.s3_domains
        self._now = now

    def now(self) -> datetime.datetime:
        """The time that claims are compared with."""
        return self._now()

    def holder(self, access_key_id: str, secret: str | None = None) -> Principal | None:
        """Who has a permanent access key, None if it opens nothing; with ``secret``, if that is the key's. For what vouches for keys in another way
        than by signatures: Swift's tokens."""
        found = self._keyring.find(access_key_id)
        if secret is None:
            return found.principal
        given = secret.encode("utf-8", "surrogateescape")
        if not hmac.compare_digest(found.secret.encode(), given) and not found.fresh:
            found = self._keyring.find(access_key_id, anew=True)
        return found.principal if hmac.compare_digest(found.secret.encode(), given) else None

    def principal(
        self, request: Request, service: str, scopes: tuple[str, ...], protocol: str, operation: Operation | None = None
    ) -> Principal:
        """The principal of a request whose body is here. ``scopes`` are the names by which signatures may call the
        service. Raises ``AwsError``. Nobody signs an operation whose model says so: what it is given proves who asks."""
        if operation is not None and operation.unsigned:
            return ANONYMOUS
        now = self._now()
        try:
            if service in _S3:
                proof = self._prove_s3(request, scopes, now)
                check_body(proof, request.body)
            else:
                proof = self._prove(request, service, scopes, protocol, now)
            principal = proof.principal
            if principal.session is not None and operation is not None:
                _check_reach(principal, service, operation.name)
        except Refused as refused:
            raise to_error(refused, family(service, protocol), now) from None
        return principal

    def proof(self, request: Request, service: str, scopes: tuple[str, ...], protocol: str) -> Proof:
        """The same before S3's body has come: the caller owes ``check_body`` or a decoder."""
        now = self._now()
        try:
            if service in _S3:
                return self._prove_s3(request, scopes, now)
            return self._prove(request, service, scopes, protocol, now)
        except Refused as refused:
            raise to_error(refused, family(service, protocol), now) from None

    def verify_post(self, fields: Mapping[str, str]) -> Proof:
        """Whose form a browser sends to S3: it signs the policy that it brings (``objects.rules.post_policy``), and nothing else; that
        policy says what the form may hold. A form without a policy is anonymous. ``fields`` by their names in any case."""
        now = self._now()
        try:
            return self._prove_form({name.lower(): value for name, value in fields.items()})
        except Refused as refused:
            raise to_error(refused, family("s3", "rest-xml"), now) from None

    def _prove(self, request: Request, service: str, scopes: tuple[str, ...], protocol: str, now: datetime.datetime) -> Proof:
        headers = sigv4.folded(request.headers)
        query = request.raw_query
        presigned = bool(query) and sigv4.is_presigned(query)
        if "authorization" in headers:
            if presigned:
                raise Refused(INCOMPLETE, "Only one auth mechanism allowed")
            claim = sigv4.from_header(headers)
            pairs = sigv4.decoded_pairs(query) if query else []
        elif presigned:
            pairs = sigv4.decoded_pairs(query)
            claim = sigv4.from_query(pairs, headers)
        else:
            return self._prove_v2(request, protocol, headers, now)
        others = self._also_global if service in GLOBAL_SERVICES else self._also
        sigv4.check_scope(claim, self._region, others, scopes)
        sigv4.check_signed_headers(claim)
        sigv4.check_time(claim, now, MINUTES)
        payload = hashlib.sha256(request.body).hexdigest()
        return self._prove_v4(request, claim, pairs, payload, s3=False)

    def _prove_v4(self, request: Request, claim: sigv4.Claim, pairs: sigv4.Pairs, payload: str, *, s3: bool) -> Proof:
        credential = self._keyring.find(claim.access_key_id, claim.token)
        canonical = sigv4.canonical_request(claim, request.method, request.raw_path, pairs, payload, s3=s3)

        def check(credential: Credential) -> bytes:
            key = credential.signing_key(claim.day, claim.region, claim.service)
            sigv4.check_signature(claim, key, canonical)
            return key

        principal, key = self._believe(credential, claim, check)
        return Proof(principal, claim, key, payload)

    # ------------------------------------------------------------------------------------------------------------------- S3

    def _prove_s3(self, request: Request, scopes: tuple[str, ...], now: datetime.datetime) -> Proof:
        headers = sigv4.folded(request.headers)
        query = request.raw_query
        pairs = sigv4.decoded_pairs(query) if query else []
        authorization = headers.get("authorization")
        presigned = bool(pairs) and sigv4.is_presigned(query)
        old = bool(pairs) and not presigned and s3v2.is_presigned(pairs)
        if authorization is not None:
            if presigned or old:
                raise Refused(INCOMPLETE, _ONE_ONLY, argument=("Authorization", authorization))
            if s3v2.is_header(authorization):
                return self._prove_s3v2(request, pairs, now, presigned=False)
            if not authorization.startswith("AWS4-"):
                raise Refused(INCOMPLETE, "Unsupported Authorization Type", argument=("Authorization", authorization))
            claim = sigv4.from_header(headers)
        elif presigned:
            claim = sigv4.from_query(pairs, headers)
        elif old:
            return self._prove_s3v2(request, pairs, now, presigned=True)
        else:
            return Proof(ANONYMOUS, None, b"", _plain_payload(headers))
        sigv4.check_scope(claim, self._region, self._also, scopes)
        sigv4.check_signed_headers(claim)
        sigv4.check_time(claim, now, S3_MINUTES)
        proof = self._prove_v4(request, claim, pairs, _s3_payload(claim, pairs), s3=True)
        if presigned:
            _hoist(request, pairs, without=frozenset({b"x-amz-security-token"}))
        return proof

    def _prove_s3v2(self, request: Request, pairs: sigv4.Pairs, now: datetime.datetime, *, presigned: bool) -> Proof:
        if presigned:
            _hoist(request, pairs, s3v2.STANDARD)
        headers = sigv4.folded(request.headers, squeeze=False)
        claim = s3v2.from_query(pairs, headers) if presigned else s3v2.from_header(headers)
        s3v2.check_time(claim, now, S3_MINUTES)
        payload = _plain_payload(headers)
        credential = self._keyring.find(claim.access_key_id, claim.token)
        bucket = virtual_bucket(request.header(b"host"), self._s3_domains)
        to_sign = s3v2.string_to_sign(claim, request.method, bucket, request.raw_path, pairs)

        def check(credential: Credential) -> bytes:
            s3v2.check_signature(claim, credential.secret, to_sign)
            return b""

        principal, _ = self._believe(credential, claim, check)
        return Proof(principal, claim, payload=payload)

    def _prove_form(self, fields: dict[str, str]) -> Proof:
        if "x-amz-signature" in fields or "x-amz-credential" in fields or "x-amz-algorithm" in fields:
            return self._prove_form_v4(fields)
        if "signature" not in fields and "awsaccesskeyid" not in fields:
            if "policy" in fields:
                raise _no_field("AWSAccessKeyId")
            return Proof(ANONYMOUS, None, form=True)
        for name in ("AWSAccessKeyId", "policy", "signature"):
            if not fields.get(name.lower()):
                raise _no_field(name)
        token, policy = fields.get("x-amz-security-token"), fields["policy"].encode()
        claim = s3v2.Claim(fields["awsaccesskeyid"], fields["signature"], "", self._now(), token, headers={})

        def check(credential: Credential) -> bytes:
            s3v2.check_signature(claim, credential.secret, policy)
            return b""

        principal, _ = self._believe(self._keyring.find(claim.access_key_id, token), claim, check)
        return Proof(principal, claim, form=True)

    def _prove_form_v4(self, fields: dict[str, str]) -> Proof:
        for name in ("policy", "X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Signature"):
            if not fields.get(name.lower()):
                raise _no_field(name)
        claim = sigv4.from_form(fields)
        sigv4.check_scope(claim, self._region, self._also, ("s3",))
        policy = fields["policy"].encode()

        def check(credential: Credential) -> bytes:
            key = credential.signing_key(claim.day, claim.region, claim.service)
            sigv4.check_text(claim, key, policy)
            return key

        principal, key = self._believe(self._keyring.find(claim.access_key_id, claim.token), claim, check)
        return Proof(principal, claim, key, form=True)

    # ---------------------------------------------------------------------------------------------------------------------

    def _prove_v2(self, request: Request, protocol: str, headers: dict[str, str], now: datetime.datetime) -> Proof:
        """It covers parameters and nothing else: it is good for nothing that is asked by other means, and for all parameters
        that will be read."""
        pairs = sigv4.decoded_pairs(request.raw_query)
        if request.is_form:
            pairs += sigv4.decoded_pairs(request.body)
        if protocol not in _OF_PARAMETERS or not sigv2.is_signed(pairs):
            raise Refused(MISSING)
        claim = sigv2.from_query(pairs)
        sigv2.check_time(claim, now, MINUTES)
        credential = self._keyring.find(claim.access_key_id, claim.token)
        to_sign = sigv2.string_to_sign(request.method, headers.get("host", ""), request.raw_path, pairs)

        def check(credential: Credential) -> bytes:
            sigv2.check_signature(claim, credential.secret, to_sign)
            return b""

        principal, _ = self._believe(credential, claim, check)
        return Proof(principal, claim)

    def _believe(
        self, credential: Credential, claim: sigv4.Claim | sigv2.Claim | s3v2.Claim, check: Callable[[Credential], bytes]
    ) -> tuple[Principal, bytes]:
        """The principal, and what ``check`` answers when the signature holds. A signature that does not hold with a key
        that is remembered is compared with the key as it is now."""
        key = b""
        try:
            key = check(credential)
        except Refused as wrong:
            if not credential.fresh:
                credential = self._keyring.find(claim.access_key_id, claim.token, anew=True)
                key = check(credential) if credential.principal is not None else key
            elif credential.principal is not None or wrong.reason != MISMATCH:
                raise
        principal = credential.principal
        if principal is None:
            reason = UNKNOWN_KEY if claim.token is None else BAD_TOKEN
            raise Refused(reason, access_key_id=claim.access_key_id, token=claim.token)
        if principal.session is not None and credential.expired(self._keyring.now()):
            raise Refused(EXPIRED_TOKEN, token=claim.token)
        return principal, key


# what sessions cannot call, whatever policies allow
_STS_OF_USERS = frozenset({"AssumeRole", "GetCallerIdentity"})
_STS_OF_FEDERATED = frozenset({"GetCallerIdentity"})
_NOT_OF_ROLES = frozenset({"GetSessionToken", "GetFederationToken"})


def _check_reach(principal: Principal, service: str, operation: str) -> None:
    """GetSessionToken's credentials reach IAM only with MFA, those of federated users not at all; neither makes further
    credentials by itself."""
    session = principal.session
    assert session is not None
    if service == "iam":
        if session.kind == sessions.FEDERATED_USER or (session.kind == sessions.SESSION and session.mfa_at is None):
            raise Refused(BAD_TOKEN)
    elif service == "sts":
        if session.kind == sessions.ASSUMED_ROLE:
            allowed = operation not in _NOT_OF_ROLES
        else:
            allowed = operation in (_STS_OF_FEDERATED if session.kind == sessions.FEDERATED_USER else _STS_OF_USERS)
        if not allowed:
            raise AwsError("AccessDenied", f"Cannot call {operation} with session credentials", status=403)


_ONE_ONLY = (
    "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string parameter or the "
    "Authorization header should be specified"
)


def _no_field(name: str) -> Refused:
    text = f"Bucket POST must contain a field named '{name}'.  If it is specified, please check the order of the fields."
    return Refused(INCOMPLETE, text, argument=(name, ""))


def _hoist(
    request: Request, pairs: sigv4.Pairs, besides: frozenset[bytes] = frozenset(), without: frozenset[bytes] = frozenset()
) -> None:
    """Whoever presigns an address may put headers into its query (``x-amz-acl``), which then count as if they had been sent; what was sent
    as a header stands. Raises Refused for what could not be sent as one."""
    for raw_name, value in pairs:
        name = raw_name.lower()
        if (
            (name.startswith(b"x-amz-") and name not in _OF_SIGNATURE and name not in without) or name in besides
        ) and request.header(name) is None:
            if _CONTROL.search(value):  # as no header could have it: version 2 would not tell it from two headers
                text = f"The value of {name.decode('latin-1')} cannot stand in a header."
                raise Refused(INCOMPLETE, text, argument=(name.decode("latin-1"), value.decode("utf-8", "replace")))
            request.add_header(name, value)


_OF_SIGNATURE = frozenset({
    b"x-amz-algorithm", b"x-amz-credential", b"x-amz-date", b"x-amz-expires", b"x-amz-signedheaders", b"x-amz-signature",
    b"x-amz-content-sha256",
})  # fmt: skip


def _plain_payload(headers: dict[str, str]) -> str:
    """What a request says of its body whose signature does not cover it: it holds all the same."""
    payload = headers.get("x-amz-content-sha256", sigv4.UNSIGNED)
    if payload in (sigv4.UNSIGNED, sigv4.STREAMING_UNSIGNED_TRAILER) or _DIGEST.fullmatch(payload):
        return payload
    raise _odd_payload()


def _odd_payload() -> Refused:
    text = "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, "
    return Refused(UNSUPPORTED, f"{text}STREAMING-AWS4-HMAC-SHA256-PAYLOAD or a valid sha256 value.")


def _s3_payload(claim: sigv4.Claim, pairs: sigv4.Pairs) -> str:
    payload = claim.headers.get("x-amz-content-sha256")
    if payload is None and claim.presigned:
        given = [value.decode("latin-1") for name, value in pairs if name == b"X-Amz-Content-Sha256"]
        return given[0] if given else sigv4.UNSIGNED
    if payload is None:
        raise Refused(UNSUPPORTED, "Missing required header for this request: x-amz-content-sha256")
    if payload != sigv4.UNSIGNED and payload not in FORMS and not _DIGEST.fullmatch(payload):
        raise _odd_payload()
    return payload


def check_body(proof: Proof, body: bytes) -> None:
    """The body must be the one whose digest was signed, unless the signature says that it covers none."""
    claimed = proof.payload
    if claimed == sigv4.UNSIGNED:
        return
    if claimed in FORMS:
        raise Refused(UNSUPPORTED, "The request's body comes in chunks where no chunks are taken.")
    computed = hashlib.sha256(body).hexdigest()
    if not hmac.compare_digest(computed, claimed.lower()):
        raise Refused(BODY, claimed=claimed, computed=computed)
