"""Users: their lives, names, paths, boundaries, and what AWS refuses."""

from __future__ import annotations

from typing import Any

import pytest

from mallee.identity import quotas
from tests.cloud.harness import ADMIN, TestCloud, refused
from tests.cloud.iam import READ_ONLY, allow, at_once


def names(found: dict[str, Any]) -> list[str]:
    return [user["UserName"] for user in found["Users"]]


def test_a_user_lives(cloud: TestCloud) -> None:
    iam = cloud.client("iam")
    made = iam.create_user(UserName="Alice", Path="/staff/north/", Tags=[{"Key": "Cost", "Value": "7"}])["User"]
    assert made["Arn"] == f"arn:aws:iam::{ADMIN}:user/staff/north/Alice"
    assert made["UserId"].startswith("AIDA") and len(made["UserId"]) == 21
    assert made["Tags"] == [{"Key": "Cost", "Value": "7"}] and made["CreateDate"] == cloud.clock.now()
    assert "PermissionsBoundary" not in made and "PasswordLastUsed" not in made
    assert iam.get_user(UserName="aLICE")["User"] == made
    listed = iam.list_users()
    assert not listed["IsTruncated"] and "Marker" not in listed
    assert listed["Users"] == [{name: value for name, value in made.items() if name != "Tags"}]
    iam.delete_user(UserName="ALICE")
    with refused("NoSuchEntity", 404) as told:
        iam.get_user(UserName="Alice")
    assert told() == "The user with name Alice cannot be found."


def test_names_are_unique_without_case(cloud: TestCloud) -> None:
    iam = cloud.client("iam")
    iam.create_user(UserName="alice", Path="/a/")
    with refused("EntityAlreadyExists", 409) as told:
        iam.create_user(UserName="Alice", Path="/b/")
    assert told() == "User with name Alice already exists."
    iam.create_user(UserName="bob")
    with refused("EntityAlreadyExists", 409):
        iam.update_user(UserName="bob", NewUserName="ALICE")
    iam.update_user(UserName="alice", NewUserName="Alice")
    assert iam.get_user(UserName="alice")["User"]["Arn"].endswith(":user/a/Alice")


def test_a_rename_keeps_the_user_and_changes_its_arn(cloud: TestCloud) -> None:
    iam = cloud.client("iam")
    made = iam.create_user(UserName="old", Path="/a/")["User"]
    key = iam.create_access_key(UserName="old")["AccessKey"] if hasattr(iam, "create_access_key") else None
    iam.update_user(UserName="old", NewUserName="new", NewPath="/b/c/")
    found = iam.get_user(UserName="new")["User"]
    assert found["UserId"] == made["UserId"] and found["Arn"] == f"arn:aws:iam::{ADMIN}:user/b/c/new"
    assert key is None or iam.list_access_keys(UserName="new")["AccessKeyMetadata"][0]["UserName"] == "new"
    with refused("NoSuchEntity", 404):
        iam.get_user(UserName="old")
    iam.create_user(UserName="old")
    iam.update_user(UserName="new")
    assert iam.get_user(UserName="new")["User"] == found


def test_two_accounts_have_users_of_the_same_name(cloud: TestCloud) -> None:
    other = cloud.account()
    mine, theirs = cloud.client("iam"), other.client("iam")
    first = mine.create_user(UserName="alice")["User"]
    second = theirs.create_user(UserName="alice", Path="/x/")["User"]
    assert first["UserId"] != second["UserId"]
    mine.delete_user(UserName="alice")
    assert theirs.get_user(UserName="alice")["User"] == second
    with refused("NoSuchEntity", 404):
        mine.update_user(UserName="alice", NewUserName="bob")
    assert names(mine.list_users()) == []


@pytest.mark.parametrize(
    ("member", "value", "message"),
    [
        ("UserName", "a/b", "It must contain only alphanumeric characters and/or the following: +=,.@_-"),
        ("UserName", "../alice", "It must contain only alphanumeric characters and/or the following: +=,.@_-"),
        ("UserName", "arn:aws:iam::aws:user/x", "It must contain only alphanumeric characters and/or the following: +=,.@_-"),
        ("UserName", "*", "It must contain only alphanumeric characters and/or the following: +=,.@_-"),
        ("UserName", "a\u200bb", "It must contain only alphanumeric characters and/or the following: +=,.@_-"),
        ("UserName", "a" * 65, "Member must have length less than or equal to 64"),
        ("Path", "staff/", "It must begin and end with / and contain only alphanumeric characters and/or / characters."),
        ("Path", "/staff", "It must begin and end with / and contain only alphanumeric characters and/or / characters."),
        ("Path", "/with space/", "It must begin and end with / and contain only alphanumeric characters and/or / characters."),
        ("Path", "/é/", "It must begin and end with / and contain only alphanumeric characters and/or / characters."),
        ("Path", "/" + "a" * 511 + "/", "Member must have length less than or equal to 512"),
    ],
)
def test_bad_names_and_paths(sqlite_cloud: TestCloud, member: str, value: str, message: str) -> None:
    iam = sqlite_cloud.client("iam")
    with refused("ValidationError", 400) as told:
        iam.create_user(**{"UserName": "alice", member: value})
    assert told().endswith(message)
    assert names(iam.list_users()) == []


def test_every_allowed_character(sqlite_cloud: TestCloud) -> None:
    iam = sqlite_cloud.client("iam")
    odd = "+=,.@_-aZ9"
    iam.create_user(UserName=odd, Path="/!$&()*,-.:;=?@_[]{}~|/")
    assert iam.get_user(UserName=odd)["User"]["Arn"] == f"arn:aws:iam::{ADMIN}:user/!$&()*,-.:;=?@_[]{{}}~|/{odd}"


def test_pages_go_on_where_they_ended_while_users_come_and_go(cloud: TestCloud) -> None:
    iam = cloud.client("iam")
    for number in range(7):
        iam.create_user(UserName=f"User{number}", Path="/a_b/")
    iam.create_user(UserName="elsewhere", Path="/aXb/")
    first = iam.list_users(PathPrefix="/a_b", MaxItems=3)
    assert names(first) == ["User0", "User1", "User2"] and first["IsTruncated"]
    assert len(first["Marker"]) <= 320
    iam.delete_user(UserName="User2")
    iam.delete_user(UserName="User3")
    iam.create_user(UserName="user0a", Path="/a_b/")
    rest = iam.list_users(PathPrefix="/a_b", MaxItems=3, Marker=first["Marker"])
    assert names(rest) == ["User4", "User5", "User6"] and not rest["IsTruncated"]
    with refused("ValidationError", 400):
        iam.list_users(PathPrefix="/", Marker=first["Marker"])
    with refused("ValidationError", 400):
        iam.list_groups(PathPrefix="/a_b", Marker=first["Marker"])
    with refused("ValidationError", 400):
        cloud.account().client("iam").list_users(PathPrefix="/a_b", Marker=first["Marker"])
    with refused("ValidationError", 400) as told:
        iam.list_users(PathPrefix="/a_b", Marker="bm90IG91cnM")
    assert told() == "Invalid Marker: bm90IG91cnM"


def test_lists_have_a_hundred_by_default(sqlite_cloud: TestCloud) -> None:
    iam = sqlite_cloud.client("iam")
    wanted = sorted(f"u{number}" for number in range(101))
    for name in wanted:
        iam.create_user(UserName=name)
    found = iam.list_users()
    assert names(found) == wanted[:100] and found["IsTruncated"]
    everyone = iam.get_paginator("list_users").paginate(PaginationConfig={"PageSize": 7})
    assert [user["UserName"] for page in everyone for user in page["Users"]] == wanted


@pytest.mark.parametrize("prefix", ["a", "*", " /", "é"])
def test_bad_path_prefixes(sqlite_cloud: TestCloud, prefix: str) -> None:
    with refused("ValidationError", 400) as told:
        sqlite_cloud.client("iam").list_users(PathPrefix=prefix)
    assert told() == (
        "The specified value for pathPrefix is invalid. It must begin with the / character and contain only alphanumeric "
        "characters and/or / characters."
    )


def test_a_path_prefix_is_no_pattern(sqlite_cloud: TestCloud) -> None:
    iam = sqlite_cloud.client("iam")
    iam.create_user(UserName="a", Path="/x%y/")
    iam.create_user(UserName="b", Path="/xzy/")
    iam.create_user(UserName="c", Path="/X%Y/")
    assert names(iam.list_users(PathPrefix="/x%")) == ["a"]
    assert names(iam.list_users(PathPrefix="/x_")) == []


# ------------------------------------------------------------------------------------------------------------- boundaries


def test_boundaries(cloud: TestCloud) -> None:
    iam = cloud.client("iam")
    made = iam.create_user(UserName="alice", PermissionsBoundary=READ_ONLY)["User"]
    assert made["PermissionsBoundary"] == {"PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": READ_ONLY}
    assert "PermissionsBoundary" not in iam.list_users()["Users"][0]
    iam.delete_user_permissions_boundary(UserName="alice")
    assert "PermissionsBoundary" not in iam.get_user(UserName="alice")["User"]
    iam.put_user_permissions_boundary(UserName="alice", PermissionsBoundary=READ_ONLY)
    assert iam.get_user(UserName="alice")["User"]["PermissionsBoundary"]["PermissionsBoundaryArn"] == READ_ONLY


@pytest.mark.parametrize(
    ("arn", "code"),
    [
        ("arn:aws:iam::aws:policy/NoSuchPolicyAtAll", "NoSuchEntity"),
        ("arn:aws:iam::aws:policy/wrong-path/ReadOnlyAccess", "NoSuchEntity"),
        ("arn:aws-cn:iam::aws:policy/ReadOnlyAccess", "NoSuchEntity"),
        (f"arn:aws:iam::{ADMIN}:policy/ReadOnlyAccess", "NoSuchEntity"),
        ("arn:aws:iam::999999999999:policy/boundary", "NoSuchEntity"),
        ("arn:aws:iam::aws:user/ReadOnlyAccess", "InvalidInput"),
        ("ReadOnlyAccess-without-arn", "InvalidInput"),
        ("arn:aws:iam::aws:policy/aws-service-role/AutoScalingServiceRolePolicy", "PolicyNotAttachable"),
    ],
)
def test_bad_boundaries(sqlite_cloud: TestCloud, arn: str, code: str) -> None:
    iam = sqlite_cloud.client("iam")
    with refused(code):
        iam.create_user(UserName="alice", PermissionsBoundary=arn)
    iam.create_user(UserName="alice")
    with refused(code) as told:
        iam.put_user_permissions_boundary(UserName="alice", PermissionsBoundary=arn)
    if code == "NoSuchEntity":
        assert told() == f"Scope ARN: {arn} does not exist or is not attachable."
    assert "PermissionsBoundary" not in iam.get_user(UserName="alice")["User"]


# --------------------------------------------------------------------------------------------------- who asks without a name


def test_without_a_name_the_caller_is_meant(sqlite_cloud: TestCloud) -> None:
    root = sqlite_cloud.client("iam").get_user()["User"]
    assert root["Arn"] == f"arn:aws:iam::{ADMIN}:root" and root["UserId"] == ADMIN and "UserName" not in root


# ------------------------------------------------------------------------------------------------------------------- limits


def test_as_many_users_as_the_quota(sqlite_cloud: TestCloud) -> None:
    allow(sqlite_cloud, quotas.USERS, 2)
    iam = sqlite_cloud.client("iam")
    iam.create_user(UserName="a")
    iam.create_user(UserName="b")
    with refused("LimitExceeded", 409) as told:
        iam.create_user(UserName="c")
    assert told() == "Cannot exceed quota for UsersPerAccount: 2"
    iam.delete_user(UserName="a")
    iam.create_user(UserName="c")


def test_the_same_name_at_the_same_moment(cloud: TestCloud) -> None:
    """One wins, the others are told that it exists; nobody gets an internal error."""
    answers = at_once(cloud, 6, lambda iam: iam.create_user(UserName="popular"))
    assert answers == ["EntityAlreadyExists"] * 5 + ["done"]


def test_two_renames_to_one_name(cloud: TestCloud) -> None:
    iam = cloud.client("iam")
    free = [f"u{number}" for number in range(4)]
    for name in free:
        iam.create_user(UserName=name)
    answers = at_once(cloud, 4, lambda client: client.update_user(UserName=free.pop(), NewUserName="Popular"))
    assert answers == ["EntityAlreadyExists"] * 3 + ["done"]
    assert len(names(iam.list_users())) == 4


def test_the_last_place_is_given_once(cloud: TestCloud) -> None:
    allow(cloud, quotas.USERS, 3)
    free = [f"u{number}" for number in range(6)]
    answers = at_once(cloud, 6, lambda client: client.create_user(UserName=free.pop()))
    assert answers == ["LimitExceeded"] * 3 + ["done"] * 3


# ----------------------------------------------------------------------------------------------------------------- deletion


def test_a_user_in_a_group_is_not_deleted(cloud: TestCloud) -> None:
    iam = cloud.client("iam")
    iam.create_user(UserName="alice")
    iam.create_group(GroupName="staff")
    iam.add_user_to_group(GroupName="staff", UserName="alice")
    with refused("DeleteConflict", 409) as told:
        iam.delete_user(UserName="alice")
    assert told() == "Cannot delete entity, must remove users from group first."
    iam.remove_user_from_group(GroupName="staff", UserName="alice")
    iam.delete_user(UserName="alice")


def test_whoever_gets_the_name_later_has_nothing_of_the_first(cloud: TestCloud) -> None:
    iam = cloud.client("iam")
    first = iam.create_user(UserName="alice", Tags=[{"Key": "a", "Value": "b"}], PermissionsBoundary=READ_ONLY)["User"]
    iam.delete_user(UserName="alice")
    second = iam.create_user(UserName="alice")["User"]
    assert second["UserId"] != first["UserId"] and "Tags" not in second and "PermissionsBoundary" not in second
