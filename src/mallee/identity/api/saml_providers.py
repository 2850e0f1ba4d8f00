"""SAML providers: issuers of assertions that roles may trust, described by their own metadata document.

The document is read before the transaction that writes; what it says of itself (who, by which certificates, until when) is what
STS believes. Up to two private keys open assertions that come encrypted.
"""

from __future__ import annotations

from typing import Any

from mallee.identity import certificates, iam, quotas, saml_metadata
from mallee.identity.access import Access, On
from mallee.identity.call import Call, prepared_by
from mallee.identity.records import providers as records
from mallee.identity.records.names import folded, unique
from mallee.identity.records.tags import remove_tags
from mallee.identity.resources import NEW_SAML_PROVIDER, SAML_PROVIDER
from mallee.identity.saml_metadata import Metadata

MOST_KEYS = 2
REQUIRED = "Required"

_IT = On(SAML_PROVIDER, "SAMLProviderArn")

ACCESS = {
    "create_saml_provider": Access(On(NEW_SAML_PROVIDER)),
    "get_saml_provider": Access(_IT),
    "list_saml_providers": Access(),
    "update_saml_provider": Access(_IT),
    "delete_saml_provider": Access(_IT),
    "tag_saml_provider": Access(_IT),
    "untag_saml_provider": Access(_IT),
    "list_saml_provider_tags": Access(_IT),
}


def _read(call: Call) -> Metadata | None:
    key = call.input.get("AddPrivateKey")
    try:
        if key is not None:
            certificates.private_key(key)
        document = call.input.get("SAMLMetadataDocument")
        return None if document is None else saml_metadata.read(document)
    except (certificates.Bad, saml_metadata.Malformed) as bad:
        raise iam.invalid_input(str(bad)) from None


@prepared_by(_read)
def create_saml_provider(call: Call) -> dict[str, Any]:
    name, metadata = call.input["Name"], call.prepared
    tags = iam.read_tags(call.input.get("Tags"))
    arn = call.arn(f"saml-provider/{name}")
    quotas.require(call, quotas.SAML_PROVIDERS, error=lambda most: iam.limit("SAMLProvidersPerAccount", most))
    encryption = call.input.get("AssertionEncryptionMode")
    free = call.tx.insert_if_free(
        records.saml_providers,
        arn=arn,
        name=name,
        folded_name=folded(name),
        unique_id=unique("ASMP", 18),
        document=call.input["SAMLMetadataDocument"],
        entity_id=metadata.entity_id,
        valid_until=metadata.valid_until,
        encryption=encryption,
        created_at=call.now,
    )
    if not free:
        raise iam.exists("saml-provider", name)
    _change_keys(call, arn, encryption)
    iam.tag(call, arn, "SAMLProvider", tags)
    return {"SAMLProviderArn": arn, "Tags": iam.tags_or_none(call, arn)}


def get_saml_provider(call: Call) -> dict[str, Any]:
    found = _the_provider(call)
    keys = records.saml_keys_of(call.tx, call.account_id, found.arn)
    return {
        "SAMLProviderUUID": found.unique_id,
        "SAMLMetadataDocument": found.document,
        "CreateDate": found.created_at,
        "ValidUntil": found.valid_until,
        "AssertionEncryptionMode": found.encryption,
        "PrivateKeyList": [{"KeyId": key.id, "Timestamp": key.created_at} for key in keys] or None,
        "Tags": iam.tags_or_none(call, found.arn),
    }


def list_saml_providers(call: Call) -> dict[str, Any]:
    found = records.saml_providers_in(call.tx, call.account_id)
    shown = [{"Arn": each.arn, "ValidUntil": each.valid_until, "CreateDate": each.created_at} for each in found]
    return {"SAMLProviderList": shown}


@prepared_by(_read)
def update_saml_provider(call: Call) -> dict[str, Any]:
    found, metadata = _the_provider(call), call.prepared
    values: dict[str, Any] = {}
    if metadata is not None:
        values = {
            "document": call.input["SAMLMetadataDocument"],
            "entity_id": metadata.entity_id,
            "valid_until": metadata.valid_until,
        }
    encryption = call.input.get("AssertionEncryptionMode", found.encryption)
    call.tx.change(records.saml_providers, found.arn, encryption=encryption, **values)
    _change_keys(call, found.arn, encryption)
    return {"SAMLProviderArn": found.arn}


def delete_saml_provider(call: Call) -> None:
    """Roles that name it stay, and trust in nobody by it."""
    found = _the_provider(call)
    remove_tags(call.tx, found.arn)
    call.tx.remove_all(records.saml_keys, records.saml_keys.c.provider_arn == found.arn)
    call.tx.remove(records.saml_providers, found.arn)


def tag_saml_provider(call: Call) -> None:
    iam.tag(call, _the_provider(call).arn, "SAMLProvider", iam.read_tags(call.input["Tags"]))


def untag_saml_provider(call: Call) -> None:
    iam.untag(call, _the_provider(call).arn, call.input["TagKeys"])


def list_saml_provider_tags(call: Call) -> dict[str, Any]:
    return iam.list_tags(call, _the_provider(call).arn)


def _change_keys(call: Call, arn: str, encryption: str | None) -> None:
    there = {key.id for key in records.saml_keys_of(call.tx, call.account_id, arn)}
    gone, given = call.input.get("RemovePrivateKey"), call.input.get("AddPrivateKey")
    if gone is not None:
        if gone not in there:
            raise iam.invalid_input(f"The SAML provider has no private key {gone}.")
        call.tx.remove(records.saml_keys, gone)
        there.remove(gone)
    if given is not None:
        if len(there) >= MOST_KEYS:
            raise iam.limit("PrivateKeysPerSAMLProvider", MOST_KEYS)
        id = unique("", 26)
        sealed = call.vault.seal(id, given)
        call.tx.insert(records.saml_keys, id=id, provider_arn=arn, secret=sealed, created_at=call.now)
        there.add(id)
    if encryption == REQUIRED and not there:
        raise iam.invalid_input("A SAML provider that requires encrypted assertions needs a private key.")


def _the_provider(call: Call) -> records.SamlProvider:
    arn = call.input["SAMLProviderArn"]
    found = records.saml_provider(call.tx, call.account_id, arn)
    if found is None:
        raise iam.no_such("saml-provider", arn)
    return found
