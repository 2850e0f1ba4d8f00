"""STS for people from elsewhere: AssumeRoleWithWebIdentity and AssumeRoleWithSAML.

Nobody signs these calls: what the provider says of the caller is the proof. First the provider is found in the role's
account; then, without a transaction, its word is checked; then the role's trust policy is asked about the caller that the
provider vouches for. Where a role is missing, or does not trust the provider, the answer is one and the same.
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import re
from collections.abc import Mapping
from typing import Any

from mallee.identity import context, grants, issuing, sessions
from mallee.identity.access import Access
from mallee.identity.call import Call, Outside, Session, prepared_by, writes
from mallee.identity.federation import oidc, saml, web_identity
from mallee.identity.records import assertions, providers, roles
from mallee.identity.rules import principals
from mallee.identity.rules.context import Context
from mallee.identity.rules.evaluate import Grants, Question, decide
from mallee.identity.rules.policy import Kind
from mallee.wire.errors import AwsError

ACCESS = {
    "assume_role_with_web_identity": Access(open=True),
    "assume_role_with_saml": Access(open=True),
}

_ACCOUNT = re.compile(r"arn:[a-z-]+:iam::(\d{12}):", re.ASCII)
_NOBODY = Grants()
_MOST_METHODS = 10


def _denied(action: str) -> AwsError:
    return AwsError("AccessDenied", f"Not authorized to perform {action}", status=403)


def _account_of(arn: str) -> str:
    found = _ACCOUNT.match(arn)
    return found[1] if found else ""


# ------------------------------------------------------------------------------------------------------------ web identity


def _check_token(call: Call) -> Outside:
    """The provider that the token names, in the role's account."""
    account_id = _account_of(call.input["RoleArn"])
    if call.input.get("ProviderId") is not None:
        raise issuing.invalid("ProviderId is for providers of OAuth 2.0, which are not supported: give an OpenID Connect token.")
    return Outside(web_identity.checker(call, account_id, call.input["WebIdentityToken"]))


@writes
@prepared_by(_check_token)
def assume_role_with_web_identity(call: Call) -> dict[str, Any]:
    action = "sts:AssumeRoleWithWebIdentity"
    provider, claims = call.prepared
    if providers.oidc_provider(call.tx.of(provider.account_id), provider.account_id, provider.arn) != provider:
        raise oidc.invalid(f"No OpenIDConnect provider found in your account for {claims.issuer}")
    narrowing, tagged = issuing.narrowing(call), _tags(claims.tags, claims.transitive)
    if claims.source_identity is not None and not issuing.is_session_name(claims.source_identity):
        raise oidc.invalid("The source identity of the token must be 2 to 64 letters, digits and +=,.@_-")
    methods = claims.methods[:_MOST_METHODS]
    keys = {f"{provider.url}:aud": (claims.client,), f"{provider.url}:sub": (claims.subject,)}
    if methods:
        keys[f"{provider.url}:amr"] = methods
    name = call.input["RoleSessionName"]
    asked: dict[str, Any] = {key: values[0] if len(values) == 1 and not key.endswith(":amr") else values
                             for key, values in keys.items()}  # fmt: skip
    asked[f"{provider.url}:oaud"] = claims.audiences
    role = _trusting(call, action, provider.arn, provider.account_id, name, tagged, claims.source_identity, asked)
    seconds = issuing.duration(call, role)
    issuing.check_arns(call.tx, call.settings.partition, role.account_id, narrowing.arns)
    session = Session(
        sessions.ASSUMED_ROLE, role.account_id, role.id, name, call.now, sessions.ends(call.now, seconds),
        narrowing.documents, narrowing.arns, tagged.all, tagged.transitive, claims.source_identity, provider=provider.arn,
        keys=keys,
    )  # fmt: skip
    return issuing.assumed(call, role, session) | {
        "SubjectFromWebIdentityToken": claims.subject,
        "Provider": provider.arn,
        "Audience": claims.client,
    }


# -------------------------------------------------------------------------------------------------------------------- SAML


def _check_assertion(call: Call) -> Outside:
    """The provider that the caller names, in the role's account."""
    arn, account_id = call.input["PrincipalArn"], _account_of(call.input["PrincipalArn"])
    if not account_id or account_id != _account_of(call.input["RoleArn"]):
        raise oidc.invalid("The role and the SAML provider must be of one account.")
    provider = providers.saml_provider(call.tx.of(account_id), account_id, arn)
    if provider is None:
        raise oidc.invalid("Specified provider doesn't exist")
    private_keys = providers.saml_private_keys(call.tx.of(account_id), call.vault, account_id, arn)
    text, now, here = call.input["SAMLAssertion"], call.now, saml.Here(call.settings.region, call.settings.dns_suffix)

    def check() -> tuple[providers.SamlProvider, saml.Assertion]:
        return provider, saml.verify(text, provider, private_keys, here, now)

    return Outside(check)


@writes
@prepared_by(_check_assertion)
def assume_role_with_saml(call: Call) -> dict[str, Any]:
    action = "sts:AssumeRoleWithSAML"
    provider, found = call.prepared
    arn = call.input["RoleArn"]
    if providers.saml_provider(call.tx.of(provider.account_id), provider.account_id, provider.arn) != provider:
        raise oidc.invalid("Specified provider doesn't exist")
    if (arn, provider.arn) not in found.roles:
        raise _denied(action)
    if found.once and not assertions.use(call.tx, provider.arn, found.id, found.until):
        raise oidc.invalid("The assertion is for one use, and was used.")
    narrowing, tagged = issuing.narrowing(call), _tags(found.tags, found.transitive)
    keys = _saml_keys(found, provider)
    role = _trusting(
        call, action, provider.arn, provider.account_id, found.session_name, tagged, found.source_identity,
        keys | found.attributes,
    )  # fmt: skip
    seconds = _saml_seconds(call, role, found)
    issuing.check_arns(call.tx, call.settings.partition, role.account_id, narrowing.arns)
    session = Session(
        sessions.ASSUMED_ROLE, role.account_id, role.id, found.session_name, call.now, sessions.ends(call.now, seconds),
        narrowing.documents, narrowing.arns, tagged.all, tagged.transitive, found.source_identity, provider=provider.arn,
        keys={name: (str(keys[name]),) for name in ("saml:namequalifier", "saml:sub", "saml:sub_type")},
    )  # fmt: skip
    return issuing.assumed(call, role, session) | {
        "Subject": found.subject,
        "SubjectType": found.subject_type,
        "Issuer": found.issuer,
        "Audience": found.recipient,
        "NameQualifier": keys["saml:namequalifier"],
    }


def _saml_keys(found: saml.Assertion, provider: providers.SamlProvider) -> dict[str, Any]:
    named = f"{provider.account_id}/{provider.name}"
    qualifier = hashlib.sha1(f"{found.issuer}{named}".encode(), usedforsecurity=False).digest()
    return {
        "saml:aud": found.recipient,
        "saml:iss": found.issuer,
        "saml:sub": found.subject,
        "saml:sub_type": found.subject_type,
        "saml:doc": named,
        "saml:namequalifier": base64.b64encode(qualifier).decode(),
    }


def _saml_seconds(call: Call, role: roles.Role, found: saml.Assertion) -> int:
    """Not beyond the end of the session at the identity provider."""
    seconds = issuing.duration(call, role)
    if found.session_until is None:
        return seconds
    left = int((found.session_until - call.now) / datetime.timedelta(seconds=1))
    if left <= 0:
        raise AwsError("ExpiredTokenException", "The session at the identity provider has ended.", status=400)
    return min(seconds, left)


# ------------------------------------------------------------------------------------------------------------------- both


def _tags(given: tuple[tuple[str, str], ...], transitive: tuple[str, ...]) -> issuing.Tags:
    try:
        return issuing.with_transitive(issuing.checked_tags(given), transitive, {})
    except AwsError as refused:
        raise oidc.invalid(refused.message) from None


def _trusting(
    call: Call, action: str, provider_arn: str, account_id: str, name: str, tagged: issuing.Tags, source: str | None,
    keys: Mapping[str, Any],
) -> roles.Role:  # fmt: skip
    """The role, if its trust policy lets in whom the provider vouches for."""
    arn = call.input["RoleArn"]
    role = issuing.role_at(call.tx, call.settings.partition, arn)
    if role is None or role.account_id != account_id:
        raise _denied(action)
    trust = grants.compiled(role.trust_policy, Kind.TRUST, arn)
    values = {
        **keys,
        "sts:RoleSessionName": name,
        "sts:SourceIdentity": source,
        "sts:TransitiveTagKeys": tagged.transitive or None,
        "aws:FederatedProvider": provider_arn,
        "aws:RequestTag/": dict(tagged.asked),
        "aws:TagKeys": tuple(tagged.asked) or None,
        "aws:ResourceAccount": account_id,
    }
    known = Context(values, context.of(call))
    for each in (action, *(["sts:TagSession"] if tagged.asked else []), *(["sts:SetSourceIdentity"] if source else [])):
        question = Question(each, arn, known, principals.federated(provider_arn), trust, account_id)
        if not decide(question, _NOBODY).allowed:
            raise _denied(each)
    return role
