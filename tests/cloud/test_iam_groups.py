"""Groups and their members."""

from __future__ import annotations

from mallee.identity import quotas
from tests.cloud.harness import ADMIN, TestCloud, refused
from tests.cloud.iam import allow, at_once


def test_a_group_lives(cloud: TestCloud) -> None:
    iam = cloud.client("iam")
    made = iam.create_group(GroupName="Staff", Path="/a/")["Group"]
    assert made["Arn"] == f"arn:aws:iam::{ADMIN}:group/a/Staff" and made["GroupId"].startswith("AGPA")
    found = iam.get_group(GroupName="sTAFF")
    assert found["Group"] == made and found["Users"] == [] and found["IsTruncated"] is False
    assert iam.list_groups()["Groups"] == [made]
    iam.update_group(GroupName="Staff", NewGroupName="crew", NewPath="/b/")
    renamed = iam.get_group(GroupName="crew")["Group"]
    assert renamed["GroupId"] == made["GroupId"] and renamed["Arn"] == f"arn:aws:iam::{ADMIN}:group/b/crew"
    iam.delete_group(GroupName="crew")
    with refused("NoSuchEntity", 404) as told:
        iam.get_group(GroupName="crew")
    assert told() == "The group with name crew cannot be found."


def test_names_are_unique_without_case(cloud: TestCloud) -> None:
    iam = cloud.client("iam")
    iam.create_group(GroupName="a")
    iam.create_group(GroupName="b")
    with refused("EntityAlreadyExists", 409) as told:
        iam.create_group(GroupName="A")
    assert told() == "Group with name A already exists."
    with refused("EntityAlreadyExists", 409):
        iam.update_group(GroupName="b", NewGroupName="A")
    cloud.account().client("iam").create_group(GroupName="a")
    assert [group["GroupName"] for group in iam.list_groups()["Groups"]] == ["a", "b"]


def test_members_come_and_go(cloud: TestCloud) -> None:
    iam = cloud.client("iam")
    for name in ("carol", "Alice", "bob"):
        iam.create_user(UserName=name)
    iam.create_group(GroupName="staff")
    for name in ("carol", "alice", "bob", "ALICE"):
        iam.add_user_to_group(GroupName="staff", UserName=name)
    assert [user["UserName"] for user in iam.get_group(GroupName="staff")["Users"]] == ["Alice", "bob", "carol"]
    first = iam.get_group(GroupName="staff", MaxItems=2)
    assert first["IsTruncated"]
    rest = iam.get_group(GroupName="staff", MaxItems=2, Marker=first["Marker"])
    assert [user["UserName"] for user in rest["Users"]] == ["carol"] and not rest["IsTruncated"]
    assert [group["GroupName"] for group in iam.list_groups_for_user(UserName="bob")["Groups"]] == ["staff"]
    with refused("DeleteConflict", 409) as told:
        iam.delete_group(GroupName="staff")
    assert told() == "Cannot delete entity, must remove users from group first."
    for name in ("carol", "alice", "bob"):
        iam.remove_user_from_group(GroupName="staff", UserName=name)
    with refused("NoSuchEntity", 404):
        iam.remove_user_from_group(GroupName="staff", UserName="bob")
    iam.delete_group(GroupName="staff")


def test_membership_follows_a_rename_and_not_a_name(cloud: TestCloud) -> None:
    iam = cloud.client("iam")
    iam.create_user(UserName="alice")
    iam.create_group(GroupName="staff")
    iam.add_user_to_group(GroupName="staff", UserName="alice")
    iam.update_user(UserName="alice", NewUserName="alice2")
    iam.update_group(GroupName="staff", NewGroupName="crew")
    iam.create_user(UserName="alice")
    assert iam.list_groups_for_user(UserName="alice")["Groups"] == []
    assert [group["GroupName"] for group in iam.list_groups_for_user(UserName="alice2")["Groups"]] == ["crew"]


def test_neither_groups_nor_users_of_others(cloud: TestCloud) -> None:
    mine, theirs = cloud.client("iam"), cloud.account().client("iam")
    theirs.create_group(GroupName="theirs")
    theirs.create_user(UserName="foreign")
    mine.create_group(GroupName="mine")
    mine.create_user(UserName="own")
    with refused("NoSuchEntity", 404):
        mine.add_user_to_group(GroupName="theirs", UserName="own")
    with refused("NoSuchEntity", 404) as told:
        mine.add_user_to_group(GroupName="mine", UserName="foreign")
    assert told() == "The user with name foreign cannot be found."


def test_ten_groups_per_user(sqlite_cloud: TestCloud) -> None:
    iam = sqlite_cloud.client("iam")
    iam.create_user(UserName="alice")
    for number in range(11):
        iam.create_group(GroupName=f"g{number}")
    for number in range(10):
        iam.add_user_to_group(GroupName=f"g{number}", UserName="alice")
    with refused("LimitExceeded", 409) as told:
        iam.add_user_to_group(GroupName="g10", UserName="alice")
    assert told() == "Cannot exceed quota for GroupsPerUser: 10"
    iam.add_user_to_group(GroupName="g3", UserName="alice")
    found = iam.list_groups_for_user(UserName="alice", MaxItems=6)
    assert len(found["Groups"]) == 6 and found["IsTruncated"]
    assert len(iam.list_groups_for_user(UserName="alice", MaxItems=6, Marker=found["Marker"])["Groups"]) == 4


def test_as_many_groups_as_the_quota(sqlite_cloud: TestCloud) -> None:
    allow(sqlite_cloud, quotas.GROUPS, 1)
    iam = sqlite_cloud.client("iam")
    iam.create_group(GroupName="a")
    with refused("LimitExceeded", 409) as told:
        iam.create_group(GroupName="b")
    assert told() == "Cannot exceed quota for GroupsPerAccount: 1"


def test_the_tenth_group_is_given_once(cloud: TestCloud) -> None:
    iam = cloud.client("iam")
    iam.create_user(UserName="alice")
    for number in range(13):
        iam.create_group(GroupName=f"g{number}")
    for number in range(9):
        iam.add_user_to_group(GroupName=f"g{number}", UserName="alice")
    free = [f"g{number}" for number in range(9, 13)]
    answers = at_once(cloud, 4, lambda client: client.add_user_to_group(GroupName=free.pop(), UserName="alice"))
    assert answers == ["LimitExceeded"] * 3 + ["done"]
