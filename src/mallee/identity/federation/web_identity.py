"""From a token to the account's provider that vouches for it, and to what it says of somebody."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable

from mallee.identity.call import Call
from mallee.identity.federation import oidc
from mallee.identity.federation.fetching import Policy, Unreachable, Unusable
from mallee.identity.federation.jwks import Issuer
from mallee.identity.records import providers
from mallee.wire.errors import AwsError


def checker(call: Call, account_id: str, token: str) -> Callable[[], tuple[providers.OidcProvider, oidc.Claims]]:
    """Finds the account's provider for the token, now, and returns what checks the token by the provider's keys: to be called when no
    transaction is open, since the provider may have to be asked. Both raise AwsError."""
    issuer, kid = oidc.claimed_issuer(token)
    url = issuer.removeprefix("https://")
    provider = providers.oidc_provider_by_url(call.tx.of(account_id), account_id, url) if account_id and url != issuer else None
    if provider is None:
        raise oidc.invalid(f"No OpenIDConnect provider found in your account for {issuer}")
    assert call.tools is not None
    issuers, now = call.tools.issuers, call.now
    networks = tuple(ipaddress.ip_network(each) for each in call.settings.federation_networks)
    asked = Issuer(account_id, issuer, Policy(networks, provider.thumbprints))

    def check() -> tuple[providers.OidcProvider, oidc.Claims]:
        try:
            keys = issuers.keys(asked, kid)
        except Unreachable:
            raise AwsError(
                "IDPCommunicationError", "The identity provider could not be reached: try again.", status=400
            ) from None
        except Unusable:
            raise oidc.invalid(
                "Couldn't retrieve verification key from your identity provider, please reference AssumeRoleWithWebIdentity "
                "documentation for requirements"
            ) from None
        return provider, oidc.verify(token, keys, issuer, provider.client_ids, now)

    return check
