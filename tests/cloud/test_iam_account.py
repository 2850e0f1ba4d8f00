"""The account's alias, its summary and its preferences."""

from __future__ import annotations

import pytest

from mallee.identity import quotas
from tests.cloud.harness import TestCloud, refused
from tests.cloud.iam import EC2, allow, at_once


def test_an_alias_is_the_accounts_alone(cloud: TestCloud) -> None:
    first, second = cloud.account(), cloud.account()
    mine, theirs = first.client("iam"), second.client("iam")
    assert mine.list_account_aliases()["AccountAliases"] == []
    mine.create_account_alias(AccountAlias="red-gum")
    assert mine.list_account_aliases()["AccountAliases"] == ["red-gum"] and theirs.list_account_aliases()["AccountAliases"] == []
    for client in (mine, theirs):
        with refused("EntityAlreadyExists", 409) as told:
            client.create_account_alias(AccountAlias="red-gum")
        assert told() == "The account alias red-gum already exists."
    with refused("NoSuchEntity", 404):
        theirs.delete_account_alias(AccountAlias="red-gum")
    mine.create_account_alias(AccountAlias="blue-gum")
    assert mine.list_account_aliases()["AccountAliases"] == ["blue-gum"]
    theirs.create_account_alias(AccountAlias="red-gum")
    with refused("NoSuchEntity", 404):
        mine.delete_account_alias(AccountAlias="red-gum")
    mine.delete_account_alias(AccountAlias="blue-gum")
    assert mine.list_account_aliases()["AccountAliases"] == []


@pytest.mark.parametrize("alias", ["ab", "a" * 64, "Upper", "a--b", "-ab", "ab-", "a_b", "a.b", "\u00e4bc"])
def test_bad_aliases(sqlite_cloud: TestCloud, alias: str) -> None:
    with refused("ValidationError", 400):
        sqlite_cloud.client("iam", validate=False).create_account_alias(AccountAlias=alias)


def test_an_alias_is_no_account_id(sqlite_cloud: TestCloud) -> None:
    with refused("InvalidInput", 400):
        sqlite_cloud.client("iam").create_account_alias(AccountAlias="123456789013")


def test_one_alias_wanted_by_many(cloud: TestCloud) -> None:
    answers = at_once(cloud, 4, lambda client: client.create_account_alias(AccountAlias="river-red-gum"))
    assert answers == ["EntityAlreadyExists"] * 3 + ["done"]


def test_the_summary_counts(cloud: TestCloud) -> None:
    iam, other = cloud.client("iam"), cloud.account().client("iam")
    empty = iam.get_account_summary()["SummaryMap"]
    assert empty["Users"] == empty["Groups"] == empty["Roles"] == empty["InstanceProfiles"] == 0
    assert empty["UsersQuota"] == 5000 and empty["GroupsQuota"] == 300 and empty["RolesQuota"] == 1000
    assert empty["AssumeRolePolicySizeQuota"] == 2048 and empty["AccountAccessKeysPresent"] == 1
    assert empty["AccountMFAEnabled"] == 0 and empty["GlobalEndpointTokenVersion"] == 1
    for name in ("a", "b"):
        iam.create_user(UserName=name)
        other.create_user(UserName=name + "2")
    iam.create_group(GroupName="a")
    iam.create_role(RoleName="a", AssumeRolePolicyDocument=EC2)
    iam.create_instance_profile(InstanceProfileName="a")
    iam.create_virtual_mfa_device(VirtualMFADeviceName="phone")
    iam.set_security_token_service_preferences(GlobalEndpointTokenVersion="v2Token")
    found = iam.get_account_summary()["SummaryMap"]
    changed = {name: found[name] for name in found if found[name] != empty[name]}
    assert changed == {
        "Users": 2, "Groups": 1, "Roles": 1, "InstanceProfiles": 1, "MFADevices": 1, "GlobalEndpointTokenVersion": 2,
    }  # fmt: skip
    assert other.get_account_summary()["SummaryMap"]["Users"] == 2


def test_the_summary_has_every_key_that_aws_names(sqlite_cloud: TestCloud) -> None:
    iam = sqlite_cloud.client("iam")
    known = set(iam.meta.service_model.shape_for("summaryKeyType").enum)
    assert set(iam.get_account_summary()["SummaryMap"]) == known


def test_the_summary_shows_quotas_as_they_are(sqlite_cloud: TestCloud) -> None:
    allow(sqlite_cloud, quotas.USERS, 7)
    assert sqlite_cloud.client("iam").get_account_summary()["SummaryMap"]["UsersQuota"] == 7
