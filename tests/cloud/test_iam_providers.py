"""OpenID Connect and SAML providers through boto3."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mallee.identity.records import providers
from mallee.store.tables import journal
from tests.cloud import people
from tests.cloud.harness import TestCloud, refused
from tests.identity import certs

THUMBPRINT = "9E99A48A9960B14926BB7F3B02E22DA2B0AB7280"

# ------------------------------------------------------------------------------------------------------------------ OIDC


def test_an_oidc_provider_lives(cloud: TestCloud) -> None:
    iam = cloud.client("iam")
    made = iam.create_open_id_connect_provider(
        Url="https://id.example.com/realms/x", ClientIDList=["app", "app", "other"], ThumbprintList=[THUMBPRINT],
        Tags=[{"Key": "k", "Value": "v"}],
    )  # fmt: skip
    arn = made["OpenIDConnectProviderArn"]
    assert arn == f"arn:aws:iam::{cloud.admin.id}:oidc-provider/id.example.com/realms/x"
    found = iam.get_open_id_connect_provider(OpenIDConnectProviderArn=arn)
    assert found["Url"] == "id.example.com/realms/x" and found["ClientIDList"] == ["app", "other"]
    assert found["ThumbprintList"] == [THUMBPRINT.lower()] and found["CreateDate"] == cloud.clock.now()
    assert found["Tags"] == made["Tags"] == [{"Key": "k", "Value": "v"}]
    assert iam.list_open_id_connect_providers()["OpenIDConnectProviderList"] == [{"Arn": arn}]
    with refused("EntityAlreadyExists", 409) as told:
        iam.create_open_id_connect_provider(Url="https://id.example.com/realms/x")
    assert told() == "Provider with url https://id.example.com/realms/x already exists."
    for _ in range(2):
        iam.add_client_id_to_open_id_connect_provider(OpenIDConnectProviderArn=arn, ClientID="third")
        iam.remove_client_id_from_open_id_connect_provider(OpenIDConnectProviderArn=arn, ClientID="app")
    iam.update_open_id_connect_provider_thumbprint(OpenIDConnectProviderArn=arn, ThumbprintList=["a" * 40, "b" * 40])
    found = iam.get_open_id_connect_provider(OpenIDConnectProviderArn=arn)
    assert found["ClientIDList"] == ["other", "third"] and found["ThumbprintList"] == ["a" * 40, "b" * 40]
    iam.delete_open_id_connect_provider(OpenIDConnectProviderArn=arn)
    with refused("NoSuchEntity", 404) as told:
        iam.get_open_id_connect_provider(OpenIDConnectProviderArn=arn)
    assert told() == f"OpenIDConnect Provider not found for arn {arn}"


@pytest.mark.parametrize(
    "url",
    [
        "http://id.example.com", "id.example.com", "https://", "https:///path", "https://ID.example.com", "https://id.example.com?x=1",
        "https://id.example.com#x", "https://user@id.example.com", "https://id.example.com:0", "https://id.example.com:99999",
        "https://id.example.com/a b", "https://id.example.com/../x", "https://id.example.com/x/./y", "https://id.exämple.com",
        "https://-id.example.com", "https://id..example.com", "https://id.example.com\n", "https://id.example.com/\x7f", "HTTPS://id.example.com",
        "https://[::1]/", "javascript:alert(1)", "https://id.example.com/*\"'<>",
    ],
)  # fmt: skip
def test_urls_that_are_none(sqlite_cloud: TestCloud, url: str) -> None:
    with refused("ValidationError", 400):
        sqlite_cloud.client("iam", validate=False).create_open_id_connect_provider(Url=url)


@pytest.mark.parametrize("url", ["localhost:8443", "id.example.com/", "127.0.0.1:9000/oidc", "a.b-c.d/x~y/%20?"[:-1]])
def test_urls(sqlite_cloud: TestCloud, url: str) -> None:
    arn = sqlite_cloud.client("iam").create_open_id_connect_provider(Url=f"https://{url}")["OpenIDConnectProviderArn"]
    assert arn.endswith(f":oidc-provider/{url}")
    with sqlite_cloud.database.reading() as tx:
        found = providers.oidc_provider_by_url(tx, sqlite_cloud.admin.id, url)
        assert found is not None and found.issuer == f"https://{url}" and found.client_ids == () == found.thumbprints
        assert providers.oidc_provider(tx, "999999999999", arn) is None


def test_the_limits_of_an_oidc_provider(sqlite_cloud: TestCloud) -> None:
    iam, raw = sqlite_cloud.client("iam"), sqlite_cloud.client("iam", validate=False)
    many = [f"app{number}" for number in range(101)]
    with refused("LimitExceeded", 409):
        iam.create_open_id_connect_provider(Url="https://a.example.com", ClientIDList=many)
    arn = iam.create_open_id_connect_provider(Url="https://a.example.com", ClientIDList=many[:100])["OpenIDConnectProviderArn"]
    with refused("LimitExceeded", 409):
        iam.add_client_id_to_open_id_connect_provider(OpenIDConnectProviderArn=arn, ClientID="one more")
    iam.add_client_id_to_open_id_connect_provider(OpenIDConnectProviderArn=arn, ClientID="app7")
    for wrong in ([f"{number:040}" for number in range(6)], ["x" * 40], ["é" * 40]):
        with refused("InvalidInput", 400):
            iam.update_open_id_connect_provider_thumbprint(OpenIDConnectProviderArn=arn, ThumbprintList=wrong)
    for wrong in (["a" * 39], ["a" * 41]):
        with refused("ValidationError", 400):
            raw.update_open_id_connect_provider_thumbprint(OpenIDConnectProviderArn=arn, ThumbprintList=wrong)


# ------------------------------------------------------------------------------------------------------------------ SAML


def document(cloud: TestCloud, days: int = 100, **more: Any) -> str:
    end = cloud.clock.now().replace(microsecond=0) + days * certs.DAY
    return certs.metadata(certs.certificate(certs.rsa_key(), end=end), **more)


def test_a_saml_provider_lives(cloud: TestCloud) -> None:
    iam, text = cloud.client("iam"), document(cloud)
    made = iam.create_saml_provider(Name="Corp", SAMLMetadataDocument=text, Tags=[{"Key": "k", "Value": "v"}])
    arn = made["SAMLProviderArn"]
    assert arn == f"arn:aws:iam::{cloud.admin.id}:saml-provider/Corp" and made["Tags"] == [{"Key": "k", "Value": "v"}]
    found = iam.get_saml_provider(SAMLProviderArn=arn)
    until = cloud.clock.now().replace(microsecond=0) + 100 * certs.DAY
    assert found["SAMLMetadataDocument"] == text and found["ValidUntil"] == until and found["CreateDate"] == cloud.clock.now()
    assert 22 <= len(found["SAMLProviderUUID"]) <= 64 and found["Tags"] == made["Tags"] and "PrivateKeyList" not in found
    with refused("EntityAlreadyExists", 409) as told:
        iam.create_saml_provider(Name="corp", SAMLMetadataDocument=text)
    assert told() == "SAMLProvider with name corp already exists."
    other = document(cloud, 200, entity="https://other.example.com")
    assert iam.update_saml_provider(SAMLProviderArn=arn, SAMLMetadataDocument=other)["SAMLProviderArn"] == arn
    (listed,) = iam.list_saml_providers()["SAMLProviderList"]
    assert listed["Arn"] == arn and listed["ValidUntil"] == until + 100 * certs.DAY
    with cloud.database.reading() as tx:
        kept = providers.saml_provider(tx, cloud.admin.id, arn)
        assert kept is not None and kept.entity_id == "https://other.example.com" and kept.document == other
    iam.delete_saml_provider(SAMLProviderArn=arn)
    with refused("NoSuchEntity", 404) as told:
        iam.delete_saml_provider(SAMLProviderArn=arn)
    assert told() == f"Manifest not found for arn {arn}"


def test_documents_that_are_none(sqlite_cloud: TestCloud) -> None:
    iam, text = sqlite_cloud.client("iam"), document(sqlite_cloud)
    entity = '<!DOCTYPE x [<!ENTITY a "b">]>'
    for wrong in ("x" * 1000, text.replace("IDPSSO", "SPSSO"), text.replace("?>", "?>" + entity, 1), "<a/>" + " " * 1000):
        with refused("InvalidInput", 400):
            iam.create_saml_provider(Name="corp", SAMLMetadataDocument=wrong)
    with refused("ValidationError", 400):
        sqlite_cloud.client("iam", validate=False).create_saml_provider(Name="corp", SAMLMetadataDocument="<a/>")
    for name in ("a b", "a/b", "a*", "ａ", "", "a+b"):
        with refused("ValidationError", 400):
            sqlite_cloud.client("iam", validate=False).create_saml_provider(Name=name, SAMLMetadataDocument=text)
    assert iam.list_saml_providers()["SAMLProviderList"] == []


def test_keys_that_open_assertions(cloud: TestCloud) -> None:
    iam, text = cloud.client("iam"), document(cloud)
    first, second = (certs.private(certs.rsa_key(2048, number)) for number in range(2))
    with refused("InvalidInput", 400):  # nothing could be opened
        iam.create_saml_provider(Name="corp", SAMLMetadataDocument=text, AssertionEncryptionMode="Required")
    with refused("InvalidInput", 400):
        iam.create_saml_provider(Name="corp", SAMLMetadataDocument=text, AddPrivateKey=certs.public_pem(certs.rsa_key()))
    arn = iam.create_saml_provider(
        Name="corp", SAMLMetadataDocument=text, AssertionEncryptionMode="Required", AddPrivateKey=first
    )["SAMLProviderArn"]  # fmt: skip
    (key,) = iam.get_saml_provider(SAMLProviderArn=arn)["PrivateKeyList"]
    with refused("InvalidInput", 400):
        iam.update_saml_provider(SAMLProviderArn=arn, RemovePrivateKey=key["KeyId"])
    iam.update_saml_provider(SAMLProviderArn=arn, AddPrivateKey=second)
    with refused("LimitExceeded", 409):
        iam.update_saml_provider(SAMLProviderArn=arn, AddPrivateKey=second)
    iam.update_saml_provider(SAMLProviderArn=arn, RemovePrivateKey=key["KeyId"])
    with refused("InvalidInput", 400):
        iam.update_saml_provider(SAMLProviderArn=arn, RemovePrivateKey=key["KeyId"])
    shown = iam.get_saml_provider(SAMLProviderArn=arn)
    assert len(shown["PrivateKeyList"]) == 1 and shown["AssertionEncryptionMode"] == "Required"
    with cloud.database.reading() as tx:
        assert providers.saml_private_keys(tx, cloud.cloud.vault, cloud.admin.id, arn) == [second]
        entries = json.dumps([[row.before, row.after] for row in tx.all(journal.select()) if row.kind == "iam_saml_keys"])
    assert "PRIVATE" not in entries and "PRIVATE" not in str(shown)
    iam.delete_saml_provider(SAMLProviderArn=arn)
    with cloud.database.reading() as tx:
        assert providers.saml_keys_of(tx, cloud.admin.id, arn) == []


# ------------------------------------------------------------------------------------------------------------------ both


def test_tags_of_providers(sqlite_cloud: TestCloud) -> None:
    iam = sqlite_cloud.client("iam")
    oidc = {
        "OpenIDConnectProviderArn": iam.create_open_id_connect_provider(Url="https://a.example.com")["OpenIDConnectProviderArn"]
    }
    text = document(sqlite_cloud)
    saml = {"SAMLProviderArn": iam.create_saml_provider(Name="corp", SAMLMetadataDocument=text)["SAMLProviderArn"]}
    for asked, tag, untag, listed in (
        (oidc, iam.tag_open_id_connect_provider, iam.untag_open_id_connect_provider, iam.list_open_id_connect_provider_tags),
        (saml, iam.tag_saml_provider, iam.untag_saml_provider, iam.list_saml_provider_tags),
    ):
        tag(**asked, Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
        untag(**asked, TagKeys=["b"])
        assert listed(**asked)["Tags"] == [{"Key": "a", "Value": "1"}]


def test_another_accounts_providers_are_missing(sqlite_cloud: TestCloud) -> None:
    cloud, iam = sqlite_cloud, sqlite_cloud.client("iam")
    other = people.user(cloud, "eve", "*", account=cloud.account()).client("iam")
    oidc = iam.create_open_id_connect_provider(Url="https://a.example.com")["OpenIDConnectProviderArn"]
    saml = iam.create_saml_provider(Name="corp", SAMLMetadataDocument=document(cloud))["SAMLProviderArn"]
    for act, member, arn in (
        (other.get_open_id_connect_provider, "OpenIDConnectProviderArn", oidc),
        (other.delete_open_id_connect_provider, "OpenIDConnectProviderArn", oidc),
        (other.get_saml_provider, "SAMLProviderArn", saml),
        (other.delete_saml_provider, "SAMLProviderArn", saml),
    ):
        told = []
        for each in (arn, arn + "2"):
            with refused("NoSuchEntity", 404) as message:
                act(**{member: each})
            told.append(message().replace(each, "<arn>"))
        assert told[0] == told[1]
    assert other.list_saml_providers()["SAMLProviderList"] == []
    assert other.list_open_id_connect_providers()["OpenIDConnectProviderList"] == []
    other.create_open_id_connect_provider(Url="https://a.example.com")
