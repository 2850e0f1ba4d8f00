"""Signing in by a token of an identity provider that the account allows for it: a real issuer on loopback."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cloud import idp
from tests.cloud.conftest import _empty_database  # noqa: F401
from tests.cloud.harness import TestCloud, refused
from tests.cloud.test_federation_web_identity import _issuer, cloud, issuer, provider  # noqa: F401
from tests.directory.test_sign_in import FAILED, who

# ruff: noqa: F811


@pytest.fixture
def arn(cloud: TestCloud, issuer: idp.Issuer) -> str:
    """The issuer's provider in the administrator's account, allowed for sign-in by the claim ``preferred_username``."""
    made = provider(cloud, issuer)
    cloud.client("iam").create_user(UserName="carol")
    cloud.client("mallee").put_sign_in_provider(ProviderArn=made, UserNameClaim="preferred_username")
    return made


def enter(cloud: TestCloud, token: str, account: str = "mallee", **more: Any) -> dict[str, Any]:
    return dict(cloud.client("mallee").sign_in(Account=account, WebIdentityToken=token, **more))


def token(cloud: TestCloud, issuer: idp.Issuer, **claims: Any) -> str:
    return issuer.token(cloud.clock.now(), **{"preferred_username": "carol", **claims})


def test_a_token_signs_in(cloud: TestCloud, issuer: idp.Issuer, arn: str) -> None:
    answer = enter(cloud, token(cloud, issuer))
    assert answer["UserArn"].endswith(":user/carol")
    assert who(cloud, answer).client("sts").get_caller_identity()["Arn"] == answer["UserArn"]
    assert enter(cloud, token(cloud, issuer), UserName="carol")["UserArn"] == answer["UserArn"]


@pytest.mark.parametrize(
    "claims", [{"preferred_username": "nobody"}, {"preferred_username": None}, {"preferred_username": ["carol"]}, {"aud": "other"}]
)
def test_claims_that_name_nobody(cloud: TestCloud, issuer: idp.Issuer, arn: str, claims: dict[str, Any]) -> None:
    with refused(FAILED):
        enter(cloud, token(cloud, issuer, **claims))


def test_only_what_the_account_allows(cloud: TestCloud, issuer: idp.Issuer, arn: str) -> None:
    for account in ("nowhere", cloud.account("other-one").id):
        with refused(FAILED):
            enter(cloud, token(cloud, issuer), account=account)
    with refused(FAILED):
        enter(cloud, token(cloud, issuer), UserName="somebody-else")
    with refused(FAILED):
        enter(cloud, "not.a.token")
    mallee = cloud.client("mallee")
    assert [each["ProviderArn"] for each in mallee.list_sign_in_providers()["SignInProviders"]] == [arn]
    mallee.delete_sign_in_provider(ProviderArn=arn)
    with refused(FAILED):
        enter(cloud, token(cloud, issuer))
    with refused("SignInProviderNotFoundException"):
        mallee.delete_sign_in_provider(ProviderArn=arn)


def test_a_provider_that_is_gone(cloud: TestCloud, issuer: idp.Issuer, arn: str) -> None:
    cloud.client("iam").delete_open_id_connect_provider(OpenIDConnectProviderArn=arn)
    with refused(FAILED):
        enter(cloud, token(cloud, issuer))
