"""Signing in, and by whose tokens an account lets its users do so."""

from __future__ import annotations

from typing import Any

from mallee.identity import sign_in as signing_in
from mallee.identity.access import Access
from mallee.identity.call import Call, prepared_by
from mallee.identity.records.providers import oidc_provider
from mallee.identity.records.sign_in import SignInProvider, sign_in_provider, sign_in_providers, sign_in_providers_of
from mallee.wire.errors import AwsError

ACCESS = {
    "sign_in": Access(open=True),
    "put_sign_in_provider": Access(),
    "list_sign_in_providers": Access(),
    "delete_sign_in_provider": Access(),
}


@prepared_by(signing_in.prove)
def sign_in(call: Call) -> dict[str, Any]:
    return signing_in.complete(call, call.prepared)


def put_sign_in_provider(call: Call) -> dict[str, Any]:
    arn = call.input["ProviderArn"]
    if oidc_provider(call.tx, call.account_id, arn) is None:
        raise _no_such(arn)
    old = sign_in_provider(call.tx, call.account_id, arn)
    made = call.now if old is None else old.created_at
    call.tx.put(
        sign_in_providers, provider_arn=arn, account_id=call.account_id, claim=call.input["UserNameClaim"], created_at=made
    )
    return {"SignInProvider": _described(SignInProvider(arn, call.account_id, call.input["UserNameClaim"], made))}


def list_sign_in_providers(call: Call) -> dict[str, Any]:
    return {"SignInProviders": [_described(each) for each in sign_in_providers_of(call.tx, call.account_id)]}


def delete_sign_in_provider(call: Call) -> None:
    arn = call.input["ProviderArn"]
    if sign_in_provider(call.tx, call.account_id, arn) is None:
        raise _no_such(arn)
    call.tx.remove(sign_in_providers, arn)


def _no_such(arn: str) -> AwsError:
    return AwsError("SignInProviderNotFoundException", f"The account has no provider {arn}.", status=400)


def _described(provider: SignInProvider) -> dict[str, Any]:
    return {
        "ProviderArn": provider.provider_arn,
        "UserNameClaim": provider.claim,
        "CreatedAt": provider.created_at,
    }
