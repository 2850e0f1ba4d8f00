"""Attacks by names: one that was somebody else's, one that looks like another, one that is no name, and texts without an end."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

import mallee
from mallee.identity import totp
from mallee.identity.setup import Credentials
from mallee.registry import Registry
from tests.cloud import isolation, people, sts, victims
from tests.cloud.harness import ADMIN, Account, TestCloud, refused
from tests.cloud.iam import EC2
from tests.cloud.test_isolation import answer, model
from tests.identity import certs

USER = f"arn:aws:iam::{ADMIN}:user"
TAGS = [{"Key": "team", "Value": "red"}]
BOMB = 5.0  # seconds: on a machine that is busy with other tests


def user_with_everything(cloud: TestCloud) -> Account:
    """ann, with all that a user can have."""
    iam = cloud.client("iam")
    who = sts.user(cloud.admin, "ann", "ec2:*", "iam:*", "sts:*", Tags=TAGS)
    iam.create_group(GroupName="staff")
    iam.add_user_to_group(GroupName="staff", UserName="ann")
    iam.attach_user_policy(UserName="ann", PolicyArn="arn:aws:iam::aws:policy/ReadOnlyAccess")
    iam.put_user_permissions_boundary(UserName="ann", PermissionsBoundary="arn:aws:iam::aws:policy/AdministratorAccess")
    iam.create_login_profile(UserName="ann", Password="Correct-horse-7")
    device = iam.create_virtual_mfa_device(VirtualMFADeviceName="ann", Tags=TAGS)["VirtualMFADevice"]
    seed, step = device["Base32StringSeed"].decode(), totp.step_at(cloud.clock.now())
    codes = {"AuthenticationCode1": totp.code(seed, step - 1), "AuthenticationCode2": totp.code(seed, step)}
    iam.enable_mfa_device(UserName="ann", SerialNumber=device["SerialNumber"], **codes)
    iam.upload_ssh_public_key(UserName="ann", SSHPublicKeyBody=certs.ssh_line(certs.rsa_key()))
    iam.upload_signing_certificate(UserName="ann", CertificateBody=certs.certificate(certs.rsa_key()))
    return who


def remove_ann(cloud: TestCloud, key: str) -> None:
    iam = cloud.client("iam")
    with refused("DeleteConflict", 409):
        iam.delete_user(UserName="ann")
    iam.delete_access_key(UserName="ann", AccessKeyId=key)
    iam.delete_user_policy(UserName="ann", PolicyName="may")
    iam.detach_user_policy(UserName="ann", PolicyArn="arn:aws:iam::aws:policy/ReadOnlyAccess")
    iam.remove_user_from_group(GroupName="staff", UserName="ann")
    iam.delete_login_profile(UserName="ann")
    serial = iam.list_mfa_devices(UserName="ann")["MFADevices"][0]["SerialNumber"]
    iam.deactivate_mfa_device(UserName="ann", SerialNumber=serial)
    iam.delete_virtual_mfa_device(SerialNumber=serial)
    for each in iam.list_ssh_public_keys(UserName="ann")["SSHPublicKeys"]:
        iam.delete_ssh_public_key(UserName="ann", SSHPublicKeyId=each["SSHPublicKeyId"])
    for each in iam.list_signing_certificates(UserName="ann")["Certificates"]:
        iam.delete_signing_certificate(UserName="ann", CertificateId=each["CertificateId"])
    iam.delete_user(UserName="ann")


def test_a_new_user_has_nothing_of_the_old_one_of_its_name(cloud: TestCloud) -> None:
    iam = cloud.client("iam")
    old = user_with_everything(cloud)
    session = sts.session(old)
    federated = cloud.session(old.client("sts").get_federation_token(Name="fred", Policy=sts.allow("*"))["Credentials"], ADMIN)
    old.client("ec2").describe_vpcs(), session.client("ec2").describe_vpcs(), federated.client("ec2").describe_vpcs()
    cloud.run()  # writes when they were used
    first = iam.get_user(UserName="ann")["User"]["UserId"]
    remove_ann(cloud, old.credentials.access_key_id)
    for each in (old, session, federated):
        with refused("InvalidClientTokenId", 403):
            each.client("sts").get_caller_identity()
    made = iam.create_user(UserName="ann")["User"]
    assert made["UserId"] != first
    shown = iam.get_user(UserName="ann")["User"]
    assert not {"Tags", "PermissionsBoundary", "PasswordLastUsed"} & shown.keys()
    for operation, member in (
        ("list_user_policies", "PolicyNames"), ("list_attached_user_policies", "AttachedPolicies"), ("list_user_tags", "Tags"),
        ("list_groups_for_user", "Groups"), ("list_access_keys", "AccessKeyMetadata"), ("list_mfa_devices", "MFADevices"),
        ("list_ssh_public_keys", "SSHPublicKeys"), ("list_signing_certificates", "Certificates"),
    ):  # fmt: skip
        assert getattr(iam, operation)(UserName="ann")[member] == [], operation
    with refused("NoSuchEntity", 404):
        iam.get_login_profile(UserName="ann")
    device = iam.create_virtual_mfa_device(VirtualMFADeviceName="ann")["VirtualMFADevice"]
    assert iam.list_mfa_device_tags(SerialNumber=device["SerialNumber"])["Tags"] == []
    key = iam.create_access_key(UserName="ann")["AccessKey"]
    new = Account(cloud, Credentials(ADMIN, key["AccessKeyId"], key["SecretAccessKey"]))
    with refused("UnauthorizedOperation", 403):
        new.client("ec2").describe_vpcs()
    with refused("AccessDenied", 403):
        new.client("iam").list_users()
    for each in (old, session, federated):
        with refused("InvalidClientTokenId", 403):
            each.client("sts").get_caller_identity()


def test_a_new_role_has_nothing_of_the_old_one_of_its_name(cloud: TestCloud) -> None:
    iam, who = cloud.client("iam"), sts.user(cloud.admin, "ann", "sts:*")
    trusted = sts.trust(f"{USER}/ann", actions=("sts:AssumeRole", "sts:TagSession"))
    arn = sts.role(cloud.admin, "worker", trusted, "ec2:*", Tags=TAGS)
    trusting = sts.role(cloud.admin, "other", sts.trust(arn), "ec2:*")
    session = sts.assume(who, arn)
    session.client("ec2").describe_vpcs()
    iam.delete_role_policy(RoleName="worker", PolicyName="may")
    with refused("UnauthorizedOperation", 403):  # at once, by what this process remembers
        session.client("ec2").describe_vpcs()
    iam.delete_role(RoleName="worker")
    assert sts.role(cloud.admin, "worker", trusted, "sts:AssumeRole") == arn
    with refused("AuthFailure", 401):
        session.client("ec2").describe_vpcs()
    new = sts.assume(who, arn)
    with refused("AccessDenied", 403):  # it trusts the role that was, not its name
        sts.assume(new, trusting)
    shown = iam.get_role(RoleName="other")["Role"]["AssumeRolePolicyDocument"]["Statement"][0]["Principal"]["AWS"]
    assert shown[0].startswith("AROA")
    assert "Tags" not in iam.get_role(RoleName="worker")["Role"]


def test_a_new_user_is_not_trusted_for_its_name(cloud: TestCloud) -> None:
    iam = cloud.client("iam")
    first = sts.user(cloud.admin, "ann", "sts:*")
    arn = sts.role(cloud.admin, "worker", sts.trust(f"{USER}/ann"))
    sts.assume(first, arn)
    iam.delete_access_key(UserName="ann", AccessKeyId=first.credentials.access_key_id)
    iam.delete_user_policy(UserName="ann", PolicyName="may")
    iam.delete_user(UserName="ann")
    second = sts.user(cloud.admin, "Ann", "sts:*")
    with refused("AccessDenied", 403):
        sts.assume(second, arn)
    with refused("MalformedPolicyDocument", 400):  # nor is somebody trusted who is not there
        iam.update_assume_role_policy(RoleName="worker", PolicyDocument=sts.trust(f"{USER}/ann"))


def test_things_made_anew_have_no_tags(sqlite_cloud: TestCloud) -> None:
    """Of everything that is known by its ARN rather than an id."""
    iam = sqlite_cloud.client("iam")
    body, key = certs.certificate(certs.rsa_key()), certs.private(certs.rsa_key())
    metadata = certs.metadata(body)
    for _ in range(2):
        provider = iam.create_open_id_connect_provider(Url="https://x.example", ThumbprintList=["0" * 40])[
            "OpenIDConnectProviderArn"
        ]
        saml = iam.create_saml_provider(Name="s", SAMLMetadataDocument=metadata)["SAMLProviderArn"]
        policy = iam.create_policy(PolicyName="p", PolicyDocument=sts.allow("ec2:*"))["Policy"]["Arn"]
        iam.create_instance_profile(InstanceProfileName="i")
        iam.upload_server_certificate(ServerCertificateName="c", CertificateBody=body, PrivateKey=key)
        device = iam.create_virtual_mfa_device(VirtualMFADeviceName="m")["VirtualMFADevice"]["SerialNumber"]
        things: list[tuple[str, str, dict[str, Any]]] = [
            ("open_id_connect_provider", "delete_open_id_connect_provider", {"OpenIDConnectProviderArn": provider}),
            ("saml_provider", "delete_saml_provider", {"SAMLProviderArn": saml}),
            ("policy", "delete_policy", {"PolicyArn": policy}),
            ("instance_profile", "delete_instance_profile", {"InstanceProfileName": "i"}),
            ("server_certificate", "delete_server_certificate", {"ServerCertificateName": "c"}),
            ("mfa_device", "delete_virtual_mfa_device", {"SerialNumber": device}),
        ]
        for kind, delete, named in things:
            assert getattr(iam, f"list_{kind}_tags")(**named)["Tags"] == [], kind
            getattr(iam, f"tag_{kind}")(**named, Tags=TAGS)
            getattr(iam, delete)(**named)


def test_an_instance_keeps_its_profile_and_no_namesake_s(sqlite_cloud: TestCloud) -> None:
    """A profile that was deleted and made anew gives the instances of the old one nothing."""
    iam, ec2 = sqlite_cloud.client("iam"), sqlite_cloud.client("ec2")
    sts.role(sqlite_cloud.admin, "weak", EC2)
    sts.role(sqlite_cloud.admin, "strong", EC2, "*")
    iam.create_instance_profile(InstanceProfileName="p")
    iam.add_role_to_instance_profile(InstanceProfileName="p", RoleName="weak")
    made = ec2.run_instances(ImageId=sqlite_cloud.image_id, MinCount=1, MaxCount=1, IamInstanceProfile={"Name": "p"})[
        "Instances"
    ][0]
    sqlite_cloud.run()
    iam.remove_role_from_instance_profile(InstanceProfileName="p", RoleName="weak")
    iam.delete_instance_profile(InstanceProfileName="p")
    iam.create_instance_profile(InstanceProfileName="p")
    iam.add_role_to_instance_profile(InstanceProfileName="p", RoleName="strong")
    sqlite_cloud.run()
    shown = ec2.describe_instances(InstanceIds=[made["InstanceId"]])["Reservations"][0]["Instances"][0]
    assert shown["IamInstanceProfile"]["Id"] == made["IamInstanceProfile"]["Id"]
    assert (
        shown["IamInstanceProfile"]["Id"]
        != iam.get_instance_profile(InstanceProfileName="p")["InstanceProfile"]["InstanceProfileId"]
    )


# --------------------------------------------------------------------------------------------------------------- no names

NO_NAMES = [
    "alice\n", "alice\r\n", "\nalice", "ali\nce", "alice\0", "\0", "alice\x7f", "alice\u2028", "alice\u200d", "al\u0456ce", "ａlice",
    "alice/", "/alice", "../alice", "alice%2f", "alice*", "al?ce", "alice:root", "${aws:username}", "alice ", " alice", "alice\t",
    "alice\ufeff", "alice\u202e", "e\u0301", "\u00e9", "\u1d00lice", "𝐚lice", "<alice>", "alice'--", 'alice"', "alice;", "alice\\", "",
]  # fmt: skip


@pytest.mark.parametrize("name", NO_NAMES, ids=ascii)
def test_what_is_no_name_is_none_anywhere(cloud: TestCloud, name: str) -> None:
    """Nobody is called so, by whatever operation; nor does it find alice, who is there."""
    iam = cloud.client("iam", validate=False)
    iam.create_user(UserName="alice")
    for operation, given in (
        ("create_user", {"UserName": name}),
        ("update_user", {"UserName": "alice", "NewUserName": name}),
        ("get_user", {"UserName": name}),
        ("delete_user", {"UserName": name}),
        ("create_group", {"GroupName": name}),
        ("create_role", {"RoleName": name, "AssumeRolePolicyDocument": EC2}),
        ("create_policy", {"PolicyName": name, "PolicyDocument": sts.allow("ec2:*")}),
        ("put_user_policy", {"UserName": "alice", "PolicyName": name, "PolicyDocument": sts.allow("ec2:*")}),
        ("create_instance_profile", {"InstanceProfileName": name}),
        ("create_virtual_mfa_device", {"VirtualMFADeviceName": name}),
        ("create_account_alias", {"AccountAlias": name}),
        ("create_access_key", {"UserName": name}),
    ):
        with pytest.raises(ClientError) as caught:
            getattr(iam, operation)(**given)
        error = caught.value.response
        assert error["ResponseMetadata"]["HTTPStatusCode"] in (400, 404), f"{operation}: {error}"
    assert [each["UserName"] for each in iam.list_users()["Users"]] == ["alice"]
    assert iam.list_user_policies(UserName="alice")["PolicyNames"] == []


def test_every_pattern_ends_where_the_text_ends(sqlite_cloud: TestCloud) -> None:
    """A line break after a good value is not overlooked (as ``$`` does): of every member of every operation, nothing is done that
    would not be done without, or it is refused."""
    victim = victims.make(sqlite_cloud)
    maker, handlers = isolation.Maker(victim.usual), Registry().handlers()
    asked = 0
    for handler in handlers:
        if handler.prefix == "ec2":  # whose ids are looked up as they are
            continue
        shape = model(sqlite_cloud, handler.service, handler.operation)
        for path, kind in isolation.places(handler.service, shape):
            identifier = victim.identifiers[kind]
            if handler.service == "s3" and (path[-1] == "Key" or handler.operation == "DeleteObjects"):
                continue  # any text is a key, and each of several is answered for by itself
            for other in (identifier + "\n", identifier + "\r\n", "\n" + identifier):
                told = answer(
                    victim.account.client(handler.service, validate=False),
                    handler.operation,
                    maker.with_identifier(handler.service, shape, path, other),
                )
                asked += 1
                assert told[:2] == "40" or identifier not in told, f"{handler.action} {path}: {told[:300]}"
    assert asked > 300
    assert sqlite_cloud.cloud.dispatcher.faults == 0


def test_no_text_of_identity_is_matched_in_part() -> None:
    """``re.match`` and ``$`` let in what comes after a line's end. What has to match as a whole is asked with ``fullmatch``; these
    are the places that look for something within a text."""
    within = {
        "mallee/identity/rules/scanner.py", "mallee/identity/rules/patterns.py", "mallee/identity/rules/variables.py",
        "mallee/identity/trust.py", "mallee/identity/api/federated.py",
    }  # fmt: skip
    found = []
    root = Path(mallee.__file__).parent.parent
    for folder in ("identity", "admin"):
        for path in sorted((root / "mallee" / folder).rglob("*.py")):
            name = path.relative_to(root).as_posix()
            for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
                partial = re.search(r"\bre\.(match|search)\(|\b_[A-Z_]+\.(match|search)\(", line)
                if "_CONTROL.search(" in line:  # what must be nowhere in a text is looked for everywhere in it
                    partial = None
                dollar = re.search(r're\.compile\(r?["\'].*(?<!\\)\$["\']', line)
                if dollar or (partial and name not in within):
                    found.append(f"{name}:{number}: {line.strip()}")
    assert not found, "\n".join(found)


# ------------------------------------------------------------------------------------------------------ names made of others


@pytest.mark.parametrize(
    "name", ["root", "aws", ADMIN, "assumed-role", "user", "policy", "mfa", "AIDAAAAAAAAAAAAAAAAAA", "self", "arn"]
)
def test_names_that_mean_something_elsewhere(cloud: TestCloud, name: str) -> None:
    """A user called ``root`` is no root, and one whose name is a number is no account."""
    who = people.user(cloud, name)
    told = who.client("sts").get_caller_identity()
    assert told["Arn"] == f"{USER}/{name}"
    assert told["UserId"].startswith("AIDA")
    for call in (who.client("iam").list_users, who.client("ec2").describe_vpcs, who.client("mallee").list_accounts):
        with pytest.raises(ClientError) as caught:
            call()
        assert caught.value.response["Error"]["Code"] in ("AccessDenied", "UnauthorizedOperation", "AccessDeniedException")
    with refused("AccessDenied", 403):
        who.client("iam").list_mfa_devices(UserName=name.swapcase())


def test_a_role_s_session_is_not_called_like_somebody(sqlite_cloud: TestCloud) -> None:
    """Neither do session names pass for users: ``aws:username`` is of users alone, ``aws:userid`` bears the role's id."""
    who = sts.user(sqlite_cloud.admin, "ann", "sts:*")
    sqlite_cloud.client("iam").create_user(UserName="boss")
    arn = sts.role(sqlite_cloud.admin, "worker", sts.trust(f"{USER}/ann"))
    own = sts.policy({"Action": "iam:*", "Resource": f"{USER}/${{aws:username}}"})
    sqlite_cloud.client("iam").put_role_policy(RoleName="worker", PolicyName="own", PolicyDocument=own)
    session = sts.assume(who, arn, "boss")
    for given in ({"UserName": "boss"}, {}):
        with pytest.raises(ClientError):
            session.client("iam").create_access_key(**given)
    assert sqlite_cloud.client("iam").list_access_keys(UserName="boss")["AccessKeyMetadata"] == []


def test_paths_are_paths_of_their_kind(cloud: TestCloud) -> None:
    """Odd paths are text in ARNs: no dot-segment is walked, no star is a wildcard, no colon ends a field."""
    iam = cloud.client("iam")
    who = sts.user(cloud.admin, "delegate", "sts:GetCallerIdentity")
    iam.put_user_policy(
        UserName="delegate",
        PolicyName="may",
        PolicyDocument=sts.policy({"Action": "iam:*", "Resource": [f"{USER}/dev/*", f"{USER}/x"]}),
    )
    own = who.client("iam")
    for path in ("/dev/../admin/", "/dev/*/", "/dev/a:b/", "/dev/%2e%2e/", "/dev//", "/dev/?/", "/dev/$" + "{aws:username}/"):
        name = f"u{abs(hash(path)) % 10_000}"
        made = own.create_user(UserName=name, Path=path)["User"]
        assert made["Arn"] == f"{USER}{path}{name}"
        assert own.get_user(UserName=name)["User"]["Path"] == path
        sources = iam.simulate_principal_policy(PolicySourceArn=made["Arn"], ActionNames=["ec2:RunInstances"])
        assert sources["EvaluationResults"][0]["EvalDecision"] == "implicitDeny"
    for path in ("/admin/dev/", "/../dev/", "/Dev/", "//dev/", "/%64ev/", "/d*/", "/:dev/"):
        with refused("AccessDenied", 403):
            own.create_user(UserName="eve", Path=path)
    with refused("AccessDenied", 403):
        own.get_user(UserName="delegate")
    for path in ("dev/", "/dev", "/dév/", "/d ev/", "/dev\n/", "/" + "x" * 600 + "/"):
        with refused("ValidationError", 400):
            cloud.client("iam", validate=False).create_user(UserName="eve", Path=path)


# -------------------------------------------------------------------------------------------------------------------- bombs


def bombs() -> dict[str, str]:
    allow = {"Effect": "Allow", "Action": "ec2:*", "Resource": "*"}
    many = [f"ec2:{'a*' * 40}{number}" for number in range(200)]
    stars = "arn:aws:s3:::" + "*a" * 2000 + "b"
    condition = {f"aws:PrincipalTag/k{number}": ["x*" * 50] * 20 for number in range(60)}
    return {
        "deep": '{"Statement":' * 5000 + "1" + "}" * 5000,
        "lists": '{"Version":"2012-10-17","Statement":' + "[" * 50_000 + "]" * 50_000 + "}",
        "wide": json.dumps({"Version": "2012-10-17", "Statement": [allow] * 2000}),
        "actions": json.dumps({"Version": "2012-10-17", "Statement": [{**allow, "Action": many}]}),
        "stars": json.dumps({"Version": "2012-10-17", "Statement": [{**allow, "Resource": [stars] * 10}]}),
        "conditions": json.dumps({"Version": "2012-10-17", "Statement": [{**allow, "Condition": {"StringLike": condition}}]}),
        "keys": "{" + ",".join(f'"k{number}":1' for number in range(10_000)) + "}",
        "one key": "{" + ",".join('"Version":"2012-10-17"' for _ in range(5_000)) + "}",
        "number": '{"Version":' + "9" * 100_000 + "}",
        "float": '{"Version":1e' + "9" * 1000 + "}",
        "spaces": " " * 130_000 + "{}",
        "variables": json.dumps(
            {"Version": "2012-10-17", "Statement": [{**allow, "Resource": "arn:aws:s3:::" + "${aws:username}" * 8000}]}
        ),
        "braces": json.dumps({"Version": "2012-10-17", "Statement": [{**allow, "Resource": "arn:aws:s3:::" + "${" * 40_000}]}),
        "escapes": '{"Version":"' + "\\u0041" * 20_000 + '"}',
        "surrogates": '{"Version":"\\ud800"}',
        "unclosed": '{"Version":"2012-10-17","Statement":[{"Effect":"' + "a" * 100_000,
    }


@pytest.mark.parametrize("bomb", bombs())
def test_a_policy_bomb_is_bounded(sqlite_cloud: TestCloud, bomb: str) -> None:
    """Wherever a policy is taken: refused, or taken and asked, within seconds."""
    text = bombs()[bomb]
    iam, talk = sqlite_cloud.client("iam", validate=False), sqlite_cloud.client("sts", validate=False)
    who = sts.user(sqlite_cloud.admin, "ann", "sts:*")
    arn = sts.role(sqlite_cloud.admin, "worker", sts.trust(f"{USER}/ann"))
    for call in (
        lambda: iam.put_user_policy(UserName="ann", PolicyName="bomb", PolicyDocument=text),
        lambda: iam.create_policy(PolicyName="bomb", PolicyDocument=text),
        lambda: iam.create_role(RoleName="bomb", AssumeRolePolicyDocument=text),
        lambda: iam.update_assume_role_policy(RoleName="worker", PolicyDocument=text),
        lambda: talk.get_federation_token(Name="fred", Policy=text),
        lambda: who.client("sts", validate=False).assume_role(RoleArn=arn, RoleSessionName="me", Policy=text),
        lambda: iam.simulate_custom_policy(PolicyInputList=[text], ActionNames=["ec2:RunInstances"]),
        lambda: sqlite_cloud.client("mallee").create_service_control_policy(Name="bomb", Description="d", Document=text),
        lambda: iam.get_context_keys_for_custom_policy(PolicyInputList=[text]),
    ):
        began = time.perf_counter()
        try:
            call()
        except ClientError as error:
            assert error.response["ResponseMetadata"]["HTTPStatusCode"] in (400, 409), error
            assert len(str(error)) < 5_000
        assert time.perf_counter() - began < BOMB
    began = time.perf_counter()
    with pytest.raises(ClientError) if bomb != "wide" else refused("UnauthorizedOperation"):
        who.client("ec2").describe_vpcs()
    assert time.perf_counter() - began < BOMB
    assert sqlite_cloud.cloud.dispatcher.faults == 0


@pytest.mark.parametrize("text", ["x" * 1_000_000, "é" * 250_000, "1" * 100_000])
def test_texts_without_an_end(sqlite_cloud: TestCloud, text: str) -> None:
    """In every member that names something, of every operation."""
    for service, operation, given in (
        ("iam", "get_user", {"UserName": text}),
        ("iam", "get_policy", {"PolicyArn": text}),
        ("iam", "get_access_key_last_used", {"AccessKeyId": text}),
        ("iam", "tag_user", {"UserName": "ann", "Tags": [{"Key": text, "Value": text}]}),
        ("iam", "list_users", {"Marker": text}),
        ("iam", "list_users", {"PathPrefix": text}),
        ("iam", "change_password", {"OldPassword": text, "NewPassword": text}),
        ("sts", "decode_authorization_message", {"EncodedMessage": text}),
        ("sts", "assume_role", {"RoleArn": text, "RoleSessionName": text, "ExternalId": text}),
        ("sts", "get_access_key_info", {"AccessKeyId": text}),
        ("ec2", "describe_instances", {"InstanceIds": [text]}),
        ("ec2", "describe_instances", {"NextToken": text}),
        ("mallee", "describe_account", {"AccountId": text}),
        ("mallee", "sign_in", {"Account": text, "UserName": text, "Password": text}),
    ):
        began = time.perf_counter()
        with pytest.raises(ClientError) as caught:
            getattr(sqlite_cloud.client(service, validate=False), operation)(**given)
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] in (400, 403, 404, 413), operation
        assert time.perf_counter() - began < BOMB
        assert len(str(caught.value)) < 20_000, operation
    assert sqlite_cloud.cloud.dispatcher.faults == 0
