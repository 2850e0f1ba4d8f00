"""OpenID Connect providers: issuers of tokens that roles may trust, known by their URL.

Unlike AWS, which looks at the issuer's certificate when it is given no thumbprints, nothing is fetched here: without
thumbprints the issuer must be known to the machine's own authorities when a token comes.
"""

from __future__ import annotations

import re
from typing import Any

from mallee.identity import iam, quotas
from mallee.identity.access import Access, On
from mallee.identity.call import Call
from mallee.identity.records import providers as records
from mallee.identity.records.tags import remove_tags
from mallee.identity.resources import NEW_OIDC_PROVIDER, OIDC_PROVIDER

MOST_CLIENTS = 100
MOST_THUMBPRINTS = 5

_IT = On(OIDC_PROVIDER, "OpenIDConnectProviderArn")

ACCESS = {
    "create_open_id_connect_provider": Access(On(NEW_OIDC_PROVIDER)),
    "get_open_id_connect_provider": Access(_IT),
    "list_open_id_connect_providers": Access(),
    "delete_open_id_connect_provider": Access(_IT),
    "add_client_id_to_open_id_connect_provider": Access(_IT),
    "remove_client_id_from_open_id_connect_provider": Access(_IT),
    "update_open_id_connect_provider_thumbprint": Access(_IT),
    "tag_open_id_connect_provider": Access(_IT),
    "untag_open_id_connect_provider": Access(_IT),
    "list_open_id_connect_provider_tags": Access(_IT),
}

_HOST = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*(:[1-9][0-9]{0,4})?"
_URL = re.compile(rf"https://({_HOST}(/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*)?)")
_THUMBPRINT = re.compile(r"[0-9A-Fa-f]{40}")


def create_open_id_connect_provider(call: Call) -> dict[str, Any]:
    url = _url(call.input["Url"])
    clients = list(dict.fromkeys(call.input.get("ClientIDList") or ()))
    if len(clients) > MOST_CLIENTS:
        raise _too_many_clients()
    thumbprints = _thumbprints(call.input.get("ThumbprintList") or [])
    tags = iam.read_tags(call.input.get("Tags"))
    if records.oidc_provider_by_url(call.tx, call.account_id, url) is not None:
        raise iam.exists("oidc-provider", f"https://{url}")
    quotas.require(
        call, quotas.OIDC_PROVIDERS, error=lambda most: iam.limit("OpenIDConnectProvidersPerAccount", most)
    )  # fmt: skip
    arn = call.arn(f"oidc-provider/{url}")
    with iam.creating("oidc-provider", f"https://{url}"):
        call.tx.insert(records.oidc_providers, arn=arn, url=url, client_ids=clients, thumbprints=thumbprints, created_at=call.now)
    iam.tag(call, arn, "OpenIDConnectProvider", tags)
    return {"OpenIDConnectProviderArn": arn, "Tags": iam.tags_or_none(call, arn)}


def get_open_id_connect_provider(call: Call) -> dict[str, Any]:
    found = _the_provider(call)
    return {
        "Url": found.url,
        "ClientIDList": list(found.client_ids),
        "ThumbprintList": list(found.thumbprints),
        "CreateDate": found.created_at,
        "Tags": iam.tags_or_none(call, found.arn),
    }


def list_open_id_connect_providers(call: Call) -> dict[str, Any]:
    found = records.oidc_providers_in(call.tx, call.account_id)
    return {"OpenIDConnectProviderList": [{"Arn": each.arn} for each in found]}


def delete_open_id_connect_provider(call: Call) -> None:
    """Roles that name it stay, and trust in nobody by it."""
    found = _the_provider(call)
    remove_tags(call.tx, found.arn)
    call.tx.remove(records.oidc_providers, found.arn)


def add_client_id_to_open_id_connect_provider(call: Call) -> None:
    found = _the_provider(call)
    clients = list(dict.fromkeys([*found.client_ids, call.input["ClientID"]]))
    if len(clients) > MOST_CLIENTS:
        raise _too_many_clients()
    call.tx.change(records.oidc_providers, found.arn, client_ids=clients)


def remove_client_id_from_open_id_connect_provider(call: Call) -> None:
    found = _the_provider(call)
    clients = [client for client in found.client_ids if client != call.input["ClientID"]]
    call.tx.change(records.oidc_providers, found.arn, client_ids=clients)


def update_open_id_connect_provider_thumbprint(call: Call) -> None:
    found = _the_provider(call)
    call.tx.change(records.oidc_providers, found.arn, thumbprints=_thumbprints(call.input["ThumbprintList"]))


def tag_open_id_connect_provider(call: Call) -> None:
    iam.tag(call, _the_provider(call).arn, "OpenIDConnectProvider", iam.read_tags(call.input["Tags"]))


def untag_open_id_connect_provider(call: Call) -> None:
    iam.untag(call, _the_provider(call).arn, call.input["TagKeys"])


def list_open_id_connect_provider_tags(call: Call) -> dict[str, Any]:
    return iam.list_tags(call, _the_provider(call).arn)


def _the_provider(call: Call) -> records.OidcProvider:
    arn = call.input["OpenIDConnectProviderArn"]
    found = records.oidc_provider(call.tx, call.account_id, arn)
    if found is None:
        raise iam.no_such("oidc-provider", arn)
    return found


def _url(given: str) -> str:
    """Without scheme, in the one spelling in which a token's issuer is compared with it: a host in small letters, perhaps a
    port, perhaps a path; no user, query or fragment."""
    if not given.startswith("https://"):
        raise iam.invalid("Invalid Open ID Connect Provider URL")
    found = _URL.fullmatch(given)
    port = given.removeprefix("https://").partition("/")[0].partition(":")[2]
    if found is None or "/../" in f"{given}/" or "/./" in f"{given}/" or (port and int(port) > 65535):
        raise iam.invalid("Invalid Open ID Connect Provider URL")
    return found.group(1)


def _thumbprints(given: list[str]) -> list[str]:
    if len(given) > MOST_THUMBPRINTS:
        raise iam.invalid_input("Thumbprint list must contain fewer than 5 entries.")
    if not all(_THUMBPRINT.fullmatch(each) for each in given):
        raise iam.invalid_input("Thumbprint must be a SHA-1 fingerprint of 40 hexadecimal characters.")
    return list(dict.fromkeys(each.lower() for each in given))


def _too_many_clients() -> Exception:
    return iam.limit("ClientIdsPerOpenIdConnectProvider", MOST_CLIENTS)
