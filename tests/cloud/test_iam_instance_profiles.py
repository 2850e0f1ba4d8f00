"""Instance profiles and the role in each."""

from __future__ import annotations

from mallee.identity import quotas
from tests.cloud.harness import ADMIN, TestCloud, refused
from tests.cloud.iam import EC2, allow, at_once


def test_a_profile_lives(cloud: TestCloud) -> None:
    iam = cloud.client("iam")
    role = iam.create_role(RoleName="worker", AssumeRolePolicyDocument=EC2)["Role"]
    made = iam.create_instance_profile(InstanceProfileName="Web", Path="/a/")["InstanceProfile"]
    assert made["Arn"] == f"arn:aws:iam::{ADMIN}:instance-profile/a/Web"
    assert made["InstanceProfileId"].startswith("AIPA") and made["Roles"] == []
    iam.add_role_to_instance_profile(InstanceProfileName="wEB", RoleName="WORKER")
    held = made | {"Roles": [role]}
    assert iam.get_instance_profile(InstanceProfileName="web")["InstanceProfile"] == held
    assert iam.list_instance_profiles(PathPrefix="/a/")["InstanceProfiles"] == [held]
    assert iam.list_instance_profiles_for_role(RoleName="worker")["InstanceProfiles"] == [held]
    for call in (
        lambda: iam.delete_instance_profile(InstanceProfileName="Web"),
        lambda: iam.delete_role(RoleName="worker"),
    ):
        with refused("DeleteConflict", 409) as told:
            call()
        assert told() == "Cannot delete entity, must remove roles from instance profile first."
    iam.remove_role_from_instance_profile(InstanceProfileName="Web", RoleName="worker")
    iam.delete_role(RoleName="worker")
    iam.delete_instance_profile(InstanceProfileName="Web")
    with refused("NoSuchEntity", 404) as told:
        iam.get_instance_profile(InstanceProfileName="Web")
    assert told() == "Instance Profile Web cannot be found."


def test_one_role_per_profile(cloud: TestCloud) -> None:
    iam = cloud.client("iam")
    iam.create_instance_profile(InstanceProfileName="p")
    for name in ("a", "b"):
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=EC2)
    iam.add_role_to_instance_profile(InstanceProfileName="p", RoleName="a")
    with refused("LimitExceeded", 409) as told:
        iam.add_role_to_instance_profile(InstanceProfileName="p", RoleName="b")
    assert told() == "Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1"
    with refused("NoSuchEntity", 404):
        iam.remove_role_from_instance_profile(InstanceProfileName="p", RoleName="b")
    iam.remove_role_from_instance_profile(InstanceProfileName="p", RoleName="a")
    iam.add_role_to_instance_profile(InstanceProfileName="p", RoleName="b")


def test_two_roles_at_once(cloud: TestCloud) -> None:
    iam = cloud.client("iam")
    iam.create_instance_profile(InstanceProfileName="p")
    iam.create_role(RoleName="a", AssumeRolePolicyDocument=EC2)
    answers = at_once(cloud, 4, lambda client: client.add_role_to_instance_profile(InstanceProfileName="p", RoleName="a"))
    assert answers == ["LimitExceeded"] * 3 + ["done"]


def test_names_are_unique_without_case(cloud: TestCloud) -> None:
    iam, other = cloud.client("iam"), cloud.account().client("iam")
    iam.create_instance_profile(InstanceProfileName="p")
    with refused("EntityAlreadyExists", 409) as told:
        iam.create_instance_profile(InstanceProfileName="P")
    assert told() == "Instance Profile P already exists."
    other.create_instance_profile(InstanceProfileName="p")
    other.create_role(RoleName="theirs", AssumeRolePolicyDocument=EC2)
    with refused("NoSuchEntity", 404) as told:
        iam.add_role_to_instance_profile(InstanceProfileName="p", RoleName="theirs")
    assert told() == "The role with name theirs cannot be found."


def test_pages_and_the_quota(sqlite_cloud: TestCloud) -> None:
    iam = sqlite_cloud.client("iam")
    iam.create_role(RoleName="a", AssumeRolePolicyDocument=EC2)
    for number in range(5):
        iam.create_instance_profile(InstanceProfileName=f"p{number}")
        iam.add_role_to_instance_profile(InstanceProfileName=f"p{number}", RoleName="a")
    for operation, parameters in (("list_instance_profiles", {}), ("list_instance_profiles_for_role", {"RoleName": "a"})):
        pages = iam.get_paginator(operation).paginate(**parameters, PaginationConfig={"PageSize": 3})
        found = [[profile["InstanceProfileName"] for profile in page["InstanceProfiles"]] for page in pages]
        assert found == [["p0", "p1", "p2"], ["p3", "p4"]]
    allow(sqlite_cloud, quotas.INSTANCE_PROFILES, 5)
    with refused("LimitExceeded", 409) as told:
        iam.create_instance_profile(InstanceProfileName="p5")
    assert told() == "Cannot exceed quota for InstanceProfilesPerAccount: 5"
