"""Ways to more than one was given, as they are known of AWS's IAM (Rhino Security Labs' list and what came after it).

Each way is tried twice: by somebody who has everything that it needs but the permission that the way abuses, and is refused; and by
somebody who has that permission too, and gets what AWS gives: the permission *is* the power.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.exceptions import ClientError

from mallee.identity import totp
from tests.cloud import people, sts
from tests.cloud.harness import ADMIN, Account, TestCloud, refused
from tests.cloud.iam import EC2

ALL = sts.allow("*")
ADMINISTRATOR = "arn:aws:iam::aws:policy/AdministratorAccess"
USER = f"arn:aws:iam::{ADMIN}:user"
PROOF = "kilroy"  # a group that only somebody with more than he was given makes


@dataclass(frozen=True)
class Scene:
    """Mallory has ``policy`` (of two versions, the older allows everything), is in no group; ``boss`` may do everything, as may the
    role ``admin``, which trusts nobody yet, and the members of ``bosses``. A profile holds ``admin``."""

    cloud: TestCloud
    mallory: Account
    policy: str
    key: str

    @property
    def root(self) -> Any:
        return self.cloud.client("iam")

    def may(self, *statements: dict[str, Any]) -> None:
        self.root.put_user_policy(UserName="mallory", PolicyName="given", PolicyDocument=sts.policy(*statements))

    def has_more(self) -> bool:
        return PROOF in [each["GroupName"] for each in self.root.list_groups()["Groups"]]

    def proves(self, who: Account) -> None:
        who.client("iam").create_group(GroupName=PROOF)


@pytest.fixture
def scene(sqlite_cloud: TestCloud) -> Scene:
    iam = sqlite_cloud.client("iam")
    mallory = people.user(sqlite_cloud, "mallory")
    arn = iam.create_policy(PolicyName="own", PolicyDocument=ALL)["Policy"]["Arn"]
    iam.create_policy_version(PolicyArn=arn, PolicyDocument=sts.allow("ec2:DescribeVpcs"), SetAsDefault=True)
    iam.attach_user_policy(UserName="mallory", PolicyArn=arn)
    boss = people.user(sqlite_cloud, "boss", "*")
    iam.create_group(GroupName="bosses")
    iam.put_group_policy(GroupName="bosses", PolicyName="p", PolicyDocument=ALL)
    iam.create_group(GroupName="mallories")
    iam.add_user_to_group(GroupName="mallories", UserName="mallory")
    sts.role(sqlite_cloud.admin, "admin", EC2, "*")
    sts.role(sqlite_cloud.admin, "mine", sts.trust(f"{USER}/mallory"), "ec2:DescribeVpcs")
    for name, role in (("full", "admin"), ("empty", None)):
        iam.create_instance_profile(InstanceProfileName=name)
        if role:
            iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=role)
    return Scene(sqlite_cloud, mallory, arn, boss.credentials.access_key_id)


def key_of(scene: Scene, name: str) -> Account:
    from mallee.identity.setup import Credentials

    made = scene.mallory.client("iam").create_access_key(UserName=name)["AccessKey"]
    return Account(scene.cloud, Credentials(ADMIN, made["AccessKeyId"], made["SecretAccessKey"]))


def itself(way: Callable[[Any, Scene], Any]) -> Callable[[Scene], Account]:
    """A way that gives Mallory himself more."""

    def act(scene: Scene) -> Account:
        way(scene.mallory.client("iam"), scene)
        return scene.mallory

    return act


def by_trust(scene: Scene) -> Account:
    document = sts.trust(f"{USER}/mallory")
    scene.mallory.client("iam").update_assume_role_policy(RoleName="admin", PolicyDocument=document)
    return sts.assume(scene.mallory, f"arn:aws:iam::{ADMIN}:role/admin")


def in_own_role(way: Callable[[Any], Any]) -> Callable[[Scene], Account]:
    """A way that gives a role more that Mallory can assume already."""

    def act(scene: Scene) -> Account:
        way(scene.mallory.client("iam"))
        return sts.assume(scene.mallory, f"arn:aws:iam::{ADMIN}:role/mine")

    return act


# the permission that makes it possible, and the way; RHINO's own order
WAYS: dict[str, Callable[[Scene], Account]] = {
    "iam:CreatePolicyVersion": itself(
        lambda iam, scene: iam.create_policy_version(PolicyArn=scene.policy, PolicyDocument=ALL, SetAsDefault=True)
    ),
    "iam:SetDefaultPolicyVersion": itself(
        lambda iam, scene: iam.set_default_policy_version(PolicyArn=scene.policy, VersionId="v1")
    ),
    "iam:CreateAccessKey": lambda scene: key_of(scene, "boss"),
    "iam:AttachUserPolicy": itself(lambda iam, scene: iam.attach_user_policy(UserName="mallory", PolicyArn=ADMINISTRATOR)),
    "iam:AttachGroupPolicy": itself(lambda iam, scene: iam.attach_group_policy(GroupName="mallories", PolicyArn=ADMINISTRATOR)),
    "iam:AttachRolePolicy": in_own_role(lambda iam: iam.attach_role_policy(RoleName="mine", PolicyArn=ADMINISTRATOR)),
    "iam:PutUserPolicy": itself(lambda iam, scene: iam.put_user_policy(UserName="mallory", PolicyName="x", PolicyDocument=ALL)),
    "iam:PutGroupPolicy": itself(
        lambda iam, scene: iam.put_group_policy(GroupName="mallories", PolicyName="x", PolicyDocument=ALL)
    ),
    "iam:PutRolePolicy": in_own_role(lambda iam: iam.put_role_policy(RoleName="mine", PolicyName="x", PolicyDocument=ALL)),
    "iam:AddUserToGroup": itself(lambda iam, scene: iam.add_user_to_group(GroupName="bosses", UserName="mallory")),
    "iam:UpdateAssumeRolePolicy": by_trust,
}


@pytest.mark.parametrize("permission", WAYS)
def test_the_permission_is_the_power(scene: Scene, permission: str) -> None:
    """Everything but ``permission`` is of no use (all of reading, and all that the way needs besides); with it alone there is
    nothing that the way would not give."""
    scene.may({"Action": ["iam:Get*", "iam:List*", "sts:AssumeRole"], "Resource": "*"})
    with refused("AccessDenied", 403):
        WAYS[permission](scene)
    assert not scene.has_more()
    scene.may({"Action": [permission, "sts:AssumeRole"], "Resource": "*"})
    scene.proves(WAYS[permission](scene))
    assert scene.has_more()


@pytest.mark.parametrize("permission", WAYS)
def test_a_deny_of_the_permission_holds(scene: Scene, permission: str) -> None:
    """Somebody who may do all but this in IAM's own terms, but not what the proof needs."""
    scene.may(
        {"Action": ["iam:*", "sts:*"], "Resource": "*"},
        {"Effect": "Deny", "Action": [permission, "iam:CreateGroup"], "Resource": "*"},
    )
    with refused("AccessDenied", 403):
        WAYS[permission](scene)


@pytest.mark.parametrize("permission", ["iam:CreateLoginProfile", "iam:UpdateLoginProfile"])
def test_passwords_of_others(scene: Scene, permission: str) -> None:
    if permission == "iam:UpdateLoginProfile":
        scene.root.create_login_profile(UserName="boss", Password="Correct-horse-7")
    own = scene.mallory.client("iam")
    call = own.create_login_profile if permission == "iam:CreateLoginProfile" else own.update_login_profile
    scene.may({"Action": ["iam:Get*", "iam:List*"], "Resource": "*"})
    with refused("AccessDenied", 403):
        call(UserName="boss", Password="Better-horse-7")
    scene.may({"Action": permission, "Resource": f"{USER}/mallory"})
    for name in ("boss", "BOSS"):
        with refused("AccessDenied", 403):
            call(UserName=name, Password="Better-horse-7")
    scene.may({"Action": permission, "Resource": f"{USER}/boss"})
    call(UserName="boss", Password="Better-horse-7")


@pytest.mark.parametrize(
    "action", ["create_access_key", "update_access_key", "delete_access_key", "deactivate_mfa_device", "upload_ssh_public_key"]
)
def test_credentials_of_others_by_one_s_own_permission(scene: Scene, action: str) -> None:
    """Users who see to their own credentials (``user/${aws:username}``) see to nobody else's, however he is written."""
    scene.may({"Action": "iam:*", "Resource": f"{USER}/${{aws:username}}"})
    own = scene.mallory.client("iam", validate=False)
    more = {
        "update_access_key": {"AccessKeyId": scene.key, "Status": "Inactive"},
        "delete_access_key": {"AccessKeyId": scene.key},
        "deactivate_mfa_device": {"SerialNumber": f"arn:aws:iam::{ADMIN}:mfa/boss"},
        "upload_ssh_public_key": {"SSHPublicKeyBody": "ssh-rsa AAAA"},
    }.get(action, {})
    for name in ("boss", "Boss", "boss ", "boss\n", "mallory/../boss", f"{USER}/boss", "b\u043fss"):
        with pytest.raises(Exception) as caught:
            getattr(own, action)(UserName=name, **more)
        assert caught.value.response["Error"]["Code"] in ("AccessDenied", "ValidationError", "NoSuchEntity"), name  # type: ignore[attr-defined]
    if action in ("update_access_key", "delete_access_key"):
        for given in ({"UserName": "mallory"}, {}):  # his own name with another's key
            with refused("NoSuchEntity", 404):
                getattr(own, action)(**given, **more)
    assert scene.root.list_access_keys(UserName="boss")["AccessKeyMetadata"][0]["Status"] == "Active"
    assert len(scene.root.list_access_keys(UserName="boss")["AccessKeyMetadata"]) == 1


# ----------------------------------------------------------------------------------------------------- PassRole, in all ways


def launch(scene: Scene, profile: str) -> Any:
    return scene.mallory.client("ec2").run_instances(
        ImageId=scene.cloud.image_id, MinCount=1, MaxCount=1, IamInstanceProfile={"Name": profile}
    )


def test_a_role_is_given_only_by_who_may_pass_it(scene: Scene) -> None:
    """RunInstances, AssociateIamInstanceProfile, ReplaceIamInstanceProfileAssociation, AddRoleToInstanceProfile."""
    root = scene.cloud.client("ec2")
    made = root.run_instances(ImageId=scene.cloud.image_id, MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
    scene.cloud.run()
    ec2, iam = scene.mallory.client("ec2"), scene.mallory.client("iam")
    arn = f"arn:aws:iam::{ADMIN}:role"
    everything = {"Action": ["ec2:*", "iam:AddRoleToInstanceProfile"], "Resource": "*"}
    for passing in (
        [],
        [{"Action": "iam:PassRole", "Resource": f"{arn}/other"}],
        [{"Action": "iam:PassRole", "Resource": f"{arn}/x/admin"}],
        [
            {
                "Action": "iam:PassRole",
                "Resource": "*",
                "Condition": {"StringEquals": {"iam:PassedToService": "lambda.amazonaws.com"}},
            }
        ],
        [
            {"Action": "iam:PassRole", "Resource": "*"},
            {"Effect": "Deny", "Action": "iam:PassRole", "Resource": f"{arn}/admin"},
        ],
    ):
        scene.may(everything, *passing)
        with refused("UnauthorizedOperation", 403):
            launch(scene, "full")
        with refused("UnauthorizedOperation", 403):
            ec2.associate_iam_instance_profile(InstanceId=made, IamInstanceProfile={"Name": "full"})
        with refused("AccessDenied", 403):
            iam.add_role_to_instance_profile(InstanceProfileName="empty", RoleName="admin")
        with refused("AccessDenied", 403):
            iam.add_role_to_instance_profile(InstanceProfileName="empty", RoleName="ADMIN")
    scene.may(everything, {"Action": "iam:PassRole", "Resource": f"{arn}/mine"})
    scene.root.add_role_to_instance_profile(InstanceProfileName="empty", RoleName="mine")
    linked = ec2.associate_iam_instance_profile(InstanceId=made, IamInstanceProfile={"Name": "empty"})
    association = linked["IamInstanceProfileAssociation"]["AssociationId"]
    scene.cloud.run()
    for named in ({"Name": "full"}, {"Name": "FULL"}, {"Arn": f"arn:aws:iam::{ADMIN}:instance-profile/full"}):
        with refused("UnauthorizedOperation", 403):
            ec2.replace_iam_instance_profile_association(AssociationId=association, IamInstanceProfile=named)
    scene.may(everything, {"Action": "iam:PassRole", "Resource": f"{arn}/admin"})
    ec2.replace_iam_instance_profile_association(AssociationId=association, IamInstanceProfile={"Name": "full"})


def test_a_replay_does_not_pass_a_role_again(scene: Scene) -> None:
    """The token of another's launch is no permission."""
    asked = {
        "ImageId": scene.cloud.image_id, "MinCount": 1, "MaxCount": 1, "IamInstanceProfile": {"Name": "full"}, "ClientToken": "t",
    }  # fmt: skip
    first = scene.cloud.client("ec2").run_instances(**asked)["Instances"][0]["InstanceId"]
    scene.may({"Action": "ec2:*", "Resource": "*"})
    with refused("UnauthorizedOperation", 403):
        scene.mallory.client("ec2").run_instances(**asked)
    scene.may({"Action": ["ec2:*", "iam:PassRole"], "Resource": "*"})
    again = scene.mallory.client("ec2").run_instances(**asked)["Instances"][0]["InstanceId"]
    assert again == first


def test_service_linked_roles_are_for_who_may_make_them(scene: Scene) -> None:
    own = scene.mallory.client("iam")
    scene.may({"Action": ["iam:CreateRole", "iam:PassRole", "iam:AttachRolePolicy"], "Resource": "*"})
    with refused("AccessDenied", 403):
        own.create_service_linked_role(AWSServiceName="autoscaling.amazonaws.com")
    for path in ("/aws-service-role/", "/aws-service-role/autoscaling.amazonaws.com/"):
        with refused("InvalidInput", 400):
            own.create_role(RoleName="linked", Path=path, AssumeRolePolicyDocument=EC2)
    scene.root.create_service_linked_role(AWSServiceName="autoscaling.amazonaws.com")
    scene.may({"Action": "iam:*", "Resource": "*"})
    name = "AWSServiceRoleForAutoScaling"
    for call in (
        lambda: own.update_assume_role_policy(RoleName=name, PolicyDocument=sts.trust(f"{USER}/mallory")),
        lambda: own.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=ALL),
        lambda: own.attach_role_policy(RoleName=name, PolicyArn=ADMINISTRATOR),
        lambda: own.delete_role(RoleName=name),
        lambda: own.add_role_to_instance_profile(InstanceProfileName="empty", RoleName=name),
    ):
        with refused("UnmodifiableEntity", 400):
            call()


# ----------------------------------------------------------------------------------------- what holds somebody back, removed


def test_a_boundary_is_not_taken_off_by_who_it_bounds(scene: Scene) -> None:
    """Boundary, deny policies, group's denies: only by who may, and nothing else undoes them."""
    iam = scene.root
    limit = iam.create_policy(PolicyName="limit", PolicyDocument=sts.allow("iam:*User*", "sts:*", "ec2:*"))["Policy"]["Arn"]
    scene.may({"Action": "*", "Resource": "*"})
    own = scene.mallory.client("iam")
    protected = {
        "Effect": "Deny",
        "Action": ["iam:DeleteUserPermissionsBoundary", "iam:PutUserPermissionsBoundary"],
        "Resource": "*",
    }
    iam.put_user_policy(UserName="mallory", PolicyName="keep", PolicyDocument=sts.policy(protected))
    iam.put_user_permissions_boundary(UserName="mallory", PermissionsBoundary=limit)
    for call in (
        lambda: own.delete_user_permissions_boundary(UserName="mallory"),
        lambda: own.delete_user_permissions_boundary(UserName="MALLORY"),
        lambda: own.put_user_permissions_boundary(UserName="mallory", PermissionsBoundary=ADMINISTRATOR),
        lambda: own.create_policy_version(PolicyArn=limit, PolicyDocument=ALL, SetAsDefault=True),
        lambda: own.delete_policy(PolicyArn=limit),
        lambda: own.create_group(GroupName=PROOF),
    ):
        with refused("AccessDenied", 403):
            call()
    own.delete_user_policy(UserName="mallory", PolicyName="keep")  # allowed by both, as in AWS: it was not denied
    own.delete_user_permissions_boundary(UserName="mallory")
    own.create_group(GroupName=PROOF)


def test_a_boundary_holds_whatever_credentials_are_made(scene: Scene) -> None:
    """Sessions, federated users, new keys of the same user: all within."""
    limit = scene.root.create_policy(
        PolicyName="limit", PolicyDocument=sts.allow("iam:CreateAccessKey", "sts:*", "ec2:DescribeVpcs")
    )
    scene.root.put_user_permissions_boundary(UserName="mallory", PermissionsBoundary=limit["Policy"]["Arn"])
    scene.may({"Action": "*", "Resource": "*"})
    who, talk = scene.mallory, scene.mallory.client("sts")
    federated = scene.cloud.session(talk.get_federation_token(Name="fred", Policy=ALL)["Credentials"], ADMIN)
    for each in (who, sts.session(who), federated, key_of(scene, "mallory")):
        each.client("ec2").describe_vpcs()
        with refused("UnauthorizedOperation", 403):
            each.client("ec2").describe_subnets()
    assert not scene.has_more()


def test_a_deleted_boundary_bounds_all_the_more(scene: Scene) -> None:
    """A policy that is somebody's boundary cannot be deleted; and a name that would make it fall away does not."""
    limit = scene.root.create_policy(PolicyName="limit", PolicyDocument=sts.allow("ec2:*"))["Policy"]["Arn"]
    scene.root.put_user_permissions_boundary(UserName="mallory", PermissionsBoundary=limit)
    with refused("DeleteConflict", 409):
        scene.root.delete_policy(PolicyArn=limit)


def test_denies_are_detached_only_by_who_may(scene: Scene) -> None:
    deny = scene.root.create_policy(
        PolicyName="deny", PolicyDocument=sts.policy(effect="Deny", action="iam:CreateGroup", resource="*")
    )["Policy"]["Arn"]
    scene.root.attach_user_policy(UserName="mallory", PolicyArn=deny)
    own = scene.mallory.client("iam")
    scene.may(
        {"Action": "iam:*", "Resource": "*"},
        {
            "Effect": "Deny",
            "Action": ["iam:DetachUserPolicy", "iam:CreatePolicyVersion", "iam:SetDefaultPolicyVersion", "iam:DeleteUserPolicy",
                       "iam:PutUserPolicy"],
            "Resource": "*",
        },
    )  # fmt: skip
    for call in (
        lambda: own.detach_user_policy(UserName="mallory", PolicyArn=deny),
        lambda: own.create_policy_version(PolicyArn=deny, PolicyDocument=ALL, SetAsDefault=True),
        lambda: own.delete_user_policy(UserName="mallory", PolicyName="given"),
        lambda: own.put_user_policy(UserName="mallory", PolicyName="given", PolicyDocument=ALL),
        lambda: own.create_group(GroupName=PROOF),
    ):
        with refused("AccessDenied", 403):
            call()
    with refused("DeleteConflict", 409):
        own.delete_policy(PolicyArn=deny)
    with refused("DeleteConflict", 409):
        own.delete_user(UserName="mallory")


# -------------------------------------------------------------------------------------------------------------------- tags


def test_tags_that_open_doors_are_put_on_only_by_who_may(scene: Scene) -> None:
    """``aws:PrincipalTag`` and ``aws:ResourceTag`` are as good as who may tag."""
    opens = {"Action": "iam:CreateGroup", "Resource": "*", "Condition": {"StringEquals": {"aws:PrincipalTag/team": "red"}}}
    assume = {"Action": "sts:AssumeRole", "Resource": "*"}
    scene.may(opens, assume, {"Action": "iam:CreateUser", "Resource": "*"})
    own = scene.mallory.client("iam")
    for call in (
        lambda: own.tag_user(UserName="mallory", Tags=[{"Key": "team", "Value": "red"}]),
        lambda: own.tag_role(RoleName="mine", Tags=[{"Key": "team", "Value": "red"}]),
        lambda: own.create_user(UserName="eve", Tags=[{"Key": "team", "Value": "red"}]),
        lambda: own.create_group(GroupName=PROOF),
    ):
        with refused("AccessDenied", 403):
            call()
    scene.root.put_role_policy(RoleName="mine", PolicyName="x", PolicyDocument=sts.policy(opens))
    tags = [{"Key": "team", "Value": "red"}]
    with refused("AccessDenied", 403):  # the trust policy does not allow tags
        sts.assume(scene.mallory, f"arn:aws:iam::{ADMIN}:role/mine", Tags=tags)
    scene.may(opens, {"Action": "iam:TagUser", "Resource": f"{USER}/mallory"})
    own.tag_user(UserName="mallory", Tags=[{"Key": "team", "Value": "red"}])
    own.create_group(GroupName=PROOF)  # at once: what was remembered of him is forgotten


@pytest.mark.parametrize("tags", [[{"Key": "team", "Value": "red"}], [{"Key": "Team", "Value": "red"}]])
def test_session_tags_need_the_role_s_leave_and_one_s_own(scene: Scene, tags: list[dict[str, str]]) -> None:
    arn = f"arn:aws:iam::{ADMIN}:role/mine"
    both = sts.trust(f"arn:aws:iam::{ADMIN}:root", actions=("sts:AssumeRole", "sts:TagSession"))
    scene.root.update_assume_role_policy(RoleName="mine", PolicyDocument=both)
    scene.may({"Action": "sts:AssumeRole", "Resource": "*"})
    with refused("AccessDenied", 403):
        sts.assume(scene.mallory, arn, Tags=tags)
    denied = {"StringEquals": {"aws:RequestTag/team": "red"}}
    scene.may(
        {"Action": ["sts:AssumeRole", "sts:TagSession"], "Resource": "*"},
        {"Effect": "Deny", "Action": "sts:TagSession", "Resource": "*", "Condition": denied},
    )
    with refused("AccessDenied", 403):
        sts.assume(scene.mallory, arn, Tags=tags)
    sts.assume(scene.mallory, arn, Tags=[{"Key": "team", "Value": "blue"}])


# --------------------------------------------------------------------------------------------------------- chains, sessions


def test_a_chain_does_not_widen(scene: Scene) -> None:
    """A session policy narrows the session; the role behind it is not got back by assuming it once more without one."""
    arn = f"arn:aws:iam::{ADMIN}:role/mine"
    scene.root.update_assume_role_policy(RoleName="mine", PolicyDocument=sts.trust(f"arn:aws:iam::{ADMIN}:root"))
    scene.root.put_role_policy(RoleName="mine", PolicyName="may", PolicyDocument=sts.allow("ec2:*", "sts:*"))
    scene.may({"Action": "sts:AssumeRole", "Resource": "*"})
    narrow = sts.assume(scene.mallory, arn, Policy=sts.allow("ec2:DescribeVpcs"))
    with refused("AccessDenied", 403):
        sts.assume(narrow, arn)
    with refused("UnauthorizedOperation", 403):
        narrow.client("ec2").describe_subnets()
    for call in ("get_session_token", "get_federation_token"):
        with refused("AccessDenied", 403):
            getattr(narrow.client("sts"), call)(**({"Name": "fred"} if "federation" in call else {}))
    sts.assume(scene.mallory, arn).client("ec2").describe_subnets()


def test_a_role_that_trusts_itself_is_no_way_out_of_a_session_policy(scene: Scene) -> None:
    """Named by its role, not by itself, the session's own policies count."""
    arn = f"arn:aws:iam::{ADMIN}:role/mine"
    scene.root.update_assume_role_policy(RoleName="mine", PolicyDocument=sts.trust(arn, f"{USER}/mallory"))
    scene.root.put_role_policy(RoleName="mine", PolicyName="may", PolicyDocument=sts.allow("ec2:*", "sts:*"))
    narrow = sts.assume(scene.mallory, arn, Policy=sts.allow("ec2:DescribeVpcs"))
    with refused("AccessDenied", 403):
        sts.assume(narrow, arn)


def test_a_source_identity_stays(scene: Scene) -> None:
    arn = f"arn:aws:iam::{ADMIN}:role/mine"
    actions = ("sts:AssumeRole", "sts:SetSourceIdentity")
    scene.root.update_assume_role_policy(RoleName="mine", PolicyDocument=sts.trust(f"arn:aws:iam::{ADMIN}:root", actions=actions))
    scene.root.put_role_policy(RoleName="mine", PolicyName="may", PolicyDocument=sts.allow("sts:*"))
    scene.may({"Action": list(actions), "Resource": "*"})
    first = sts.assume(scene.mallory, arn, SourceIdentity="mallory")
    with refused("AccessDenied", 403):
        sts.assume(first, arn, SourceIdentity="boss")
    told = first.client("sts").assume_role(RoleArn=arn, RoleSessionName="again")
    assert told["SourceIdentity"] == "mallory"
    scene.root.update_assume_role_policy(RoleName="mine", PolicyDocument=sts.trust(f"arn:aws:iam::{ADMIN}:root"))
    with refused("AccessDenied", 403):  # what is inherited is asked about, too
        sts.assume(first, arn)
    with refused("AccessDenied", 403):
        sts.assume(scene.mallory, arn, SourceIdentity="boss")


# --------------------------------------------------------------------------------------------------------------------- MFA

PRESENT = {"aws:MultiFactorAuthPresent": "false"}


def mfa_codes(scene: Scene, name: str = "mallory") -> tuple[str, Callable[[], str]]:
    made = scene.root.create_virtual_mfa_device(VirtualMFADeviceName=name)["VirtualMFADevice"]
    serial, seed = made["SerialNumber"], made["Base32StringSeed"].decode()

    def code(ahead: int = 0) -> str:
        return totp.code(seed, totp.step_at(scene.cloud.clock.now()) + ahead)

    scene.root.enable_mfa_device(UserName=name, SerialNumber=serial, AuthenticationCode1=code(-1), AuthenticationCode2=code())
    scene.cloud.clock.advance(60)
    return serial, code


def test_what_needs_a_second_factor(scene: Scene) -> None:
    """``Bool`` with ``false`` does not catch long-term keys, which lack the key; ``BoolIfExists`` does. As in AWS."""
    serial, code = mfa_codes(scene)
    everything = {"Action": "*", "Resource": "*"}
    for operator, caught in (("Bool", False), ("BoolIfExists", True)):
        scene.may(everything, {"Effect": "Deny", "Action": "ec2:*", "Resource": "*", "Condition": {operator: PRESENT}})
        scene.cloud.clock.advance(60)
        plain = sts.session(scene.mallory)
        strong = sts.session(scene.mallory, SerialNumber=serial, TokenCode=code())
        with refused("UnauthorizedOperation", 403):
            plain.client("ec2").describe_subnets()
        strong.client("ec2").describe_subnets()
        if caught:
            with refused("UnauthorizedOperation", 403):
                scene.mallory.client("ec2").describe_subnets()
        else:
            scene.mallory.client("ec2").describe_subnets()
    scene.may({**everything, "Condition": {"Bool": {"aws:MultiFactorAuthPresent": "true"}}})
    strong.client("ec2").describe_subnets()
    for weak in (scene.mallory, plain):
        with refused("UnauthorizedOperation", 403):
            weak.client("ec2").describe_subnets()


def test_an_old_second_factor_is_old(scene: Scene) -> None:
    serial, code = mfa_codes(scene)
    scene.may({"Action": "ec2:*", "Resource": "*", "Condition": {"NumericLessThan": {"aws:MultiFactorAuthAge": "600"}}})
    strong = sts.session(scene.mallory, SerialNumber=serial, TokenCode=code())
    strong.client("ec2").describe_subnets()
    scene.cloud.clock.advance(601)
    with refused("UnauthorizedOperation", 403):
        strong.client("ec2").describe_subnets()
    with refused("AccessDenied", 403):  # and is not made young again by itself
        strong.client("sts").get_session_token()


def test_a_role_s_session_does_not_inherit_a_second_factor(scene: Scene) -> None:
    """Its own call says that it was there, for the trust policy; the session that comes of it has none."""
    serial, code = mfa_codes(scene)
    arn = f"arn:aws:iam::{ADMIN}:role/mine"
    present = {"Bool": {"aws:MultiFactorAuthPresent": "true"}}
    scene.root.update_assume_role_policy(RoleName="mine", PolicyDocument=sts.trust(f"{USER}/mallory", **present))
    with refused("AccessDenied", 403):
        sts.assume(scene.mallory, arn)
    taken = sts.assume(scene.mallory, arn, SerialNumber=serial, TokenCode=code())
    scene.root.put_role_policy(
        RoleName="mine", PolicyName="may", PolicyDocument=sts.policy({"Action": "ec2:*", "Resource": "*", "Condition": present})
    )
    with refused("UnauthorizedOperation", 403):
        taken.client("ec2").describe_subnets()


def test_an_mfa_device_of_somebody_else(scene: Scene) -> None:
    serial, code = mfa_codes(scene, "boss")
    with refused("AccessDenied", 403):
        sts.session(scene.mallory, SerialNumber=serial, TokenCode=code())
    with refused("AccessDenied", 403):
        sts.assume(scene.mallory, f"arn:aws:iam::{ADMIN}:role/mine", SerialNumber=serial, TokenCode=code())


# --------------------------------------------------------------------------------------------------- service control policies


def test_no_credentials_get_around_service_control_policies(scene: Scene) -> None:
    """Sessions, federated users, roles, the account's root and its sessions."""
    cloud = scene.cloud
    other = cloud.account("other")
    mallee = cloud.client("mallee")
    text = sts.policy({"Action": "*", "Resource": "*"}, {"Effect": "Deny", "Action": "ec2:DescribeSubnets", "Resource": "*"})
    made = mallee.create_service_control_policy(Name="no-subnets", Description="d", Document=text)["Policy"]
    mallee.attach_service_control_policy(PolicyId=made["PolicyId"], TargetId=other.id)
    user = sts.user(other, "ursula", "*")
    role = sts.role(other, "wide", sts.trust(f"arn:aws:iam::{other.id}:root"), "*")
    federated = cloud.session(user.client("sts").get_federation_token(Name="fred", Policy=ALL)["Credentials"], other.id)
    for each in (other, sts.session(other), user, sts.session(user), federated, sts.assume(user, role)):
        each.client("ec2").describe_vpcs()
        with refused("UnauthorizedOperation", 403):
            each.client("ec2").describe_subnets()
    for call in ("detach_service_control_policy", "delete_service_control_policy"):
        with refused("AccessDeniedException", 400):
            more = {"TargetId": other.id} if call.startswith("detach") else {}
            getattr(other.client("mallee"), call)(PolicyId=made["PolicyId"], **more)


# ------------------------------------------------------------------------------------------------------------ which policy


def test_a_policy_is_its_whole_arn(scene: Scene) -> None:
    """A condition on iam:PolicyARN is not gone around by another spelling of the same policy."""
    held = {"ArnEquals": {"iam:PolicyARN": ADMINISTRATOR}}
    scene.may(
        {"Action": ["iam:AttachUserPolicy", "iam:CreatePolicy", "iam:PutUserPermissionsBoundary"], "Resource": "*"},
        {"Effect": "Deny", "Action": "iam:AttachUserPolicy", "Resource": "*", "Condition": held},
    )
    own = scene.mallory.client("iam", validate=False)
    for arn in (
        ADMINISTRATOR,
        "arn:aws-cn:iam::aws:policy/AdministratorAccess",
        "arn:aws:iam::aws:policy//AdministratorAccess",
        "arn:aws:iam::AWS:policy/AdministratorAccess",
        "arn:aws:iam::aws:policy/administratoraccess",
        "arn:aws:iam::aws:policy/AdministratorAccess\n",
        "arn:aws:iam::aws:policy/../AdministratorAccess",
        "arn:aws:iam:local-1:aws:policy/AdministratorAccess",
        f"arn:aws:iam::{ADMIN}:policy/AdministratorAccess",
        "arn:aws:iam:::policy/AdministratorAccess",
        "arn:aws:iam::aws:policy/aws-service-role/AutoScalingServiceRolePolicy",
    ):
        with pytest.raises(ClientError) as caught:
            own.attach_user_policy(UserName="mallory", PolicyArn=arn)
        told = caught.value.response["Error"]["Code"]
        assert told in ("AccessDenied", "NoSuchEntity", "InvalidInput", "ValidationError", "PolicyNotAttachable"), arn
    own.create_policy(PolicyName="AdministratorAccess", PolicyDocument=sts.allow("s3:*"))
    assert len(scene.root.list_attached_user_policies(UserName="mallory")["AttachedPolicies"]) == 1
