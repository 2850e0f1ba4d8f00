"""`aws iam …`, unmodified, against a cloud over HTTP: every kind of thing that IAM keeps, made, shown, changed and removed."""

from __future__ import annotations

import base64
import csv
import io
import json
import time
from pathlib import Path
from typing import Any

import pytest

from mallee.identity import totp
from tests.compat.conftest import Aws, Refused
from tests.identity import certs

READ_ONLY = "arn:aws:iam::aws:policy/AmazonEC2ReadOnlyAccess"


def policy(*actions: str, resource: str = "*", **more: Any) -> str:
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": resource, **more}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def trust(principal: Any, action: str = "sts:AssumeRole") -> str:
    statement = {"Effect": "Allow", "Principal": principal, "Action": action}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


EC2 = trust({"Service": "ec2.amazonaws.com"})


def file(folder: Path, name: str, text: str) -> str:
    """How the CLI is told to read an argument from a file."""
    (folder / name).write_text(text)
    return f"file://{folder / name}"


def test_users(aws: Aws) -> None:
    user = ("--user-name", "cli-anna")
    made = aws("iam", "create-user", *user, "--path", "/people/", "--tags", "Key=team,Value=blue", "Key=empty,Value=")["User"]
    assert made["Arn"].endswith(":user/people/cli-anna") and made["UserId"].startswith("AIDA") and len(made["UserId"]) == 21
    aws("iam", "wait", "user-exists", *user)
    got = aws("iam", "get-user", *user)["User"]
    assert got == made and {each["Key"]: each["Value"] for each in got["Tags"]} == {"team": "blue", "empty": ""}
    with pytest.raises(Refused, match=r"\(EntityAlreadyExists\).*CreateUser.*User with name CLI-Anna already exists"):
        aws("iam", "create-user", "--user-name", "CLI-Anna")
    aws("iam", "tag-user", *user, "--tags", "Key=team,Value=red")
    aws("iam", "untag-user", *user, "--tag-keys", "empty")
    assert aws("iam", "list-user-tags", *user)["Tags"] == [{"Key": "team", "Value": "red"}]
    aws("iam", "update-user", *user, "--new-user-name", "cli-berta", "--new-path", "/")
    listed = aws("iam", "list-users", "--query", "Users[?UserName=='cli-berta'].Arn | [0]")
    assert listed.endswith(":user/cli-berta")
    aws("iam", "delete-user", "--user-name", "cli-berta")
    with pytest.raises(Refused, match=r"\(NoSuchEntity\).*The user with name cli-berta cannot be found"):
        aws("iam", "get-user", "--user-name", "cli-berta")


def test_groups(aws: Aws) -> None:
    user, group = ("--user-name", "cli-grouped"), ("--group-name", "cli-group")
    aws("iam", "create-user", *user)
    assert aws("iam", "create-group", *group)["Group"]["GroupId"].startswith("AGPA")
    aws("iam", "add-user-to-group", *user, *group)
    assert [each["UserName"] for each in aws("iam", "get-group", *group)["Users"]] == ["cli-grouped"]
    assert [each["GroupName"] for each in aws("iam", "list-groups-for-user", *user)["Groups"]] == ["cli-group"]
    aws("iam", "attach-group-policy", *group, "--policy-arn", READ_ONLY)
    aws("iam", "put-group-policy", *group, "--policy-name", "inline", "--policy-document", policy("ec2:RunInstances"))
    assert aws("iam", "get-group-policy", *group, "--policy-name", "inline")["PolicyDocument"]["Version"] == "2012-10-17"
    with pytest.raises(Refused, match=r"\(DeleteConflict\).*Cannot delete entity"):
        aws("iam", "delete-group", *group)
    aws("iam", "detach-group-policy", *group, "--policy-arn", READ_ONLY)
    aws("iam", "delete-group-policy", *group, "--policy-name", "inline")
    aws("iam", "remove-user-from-group", *user, *group)
    aws("iam", "delete-group", *group)
    aws("iam", "delete-user", *user)


def test_roles_and_instance_profiles(aws: Aws, tmp_path: Path) -> None:
    role, profile = ("--role-name", "cli-role"), ("--instance-profile-name", "cli-profile")
    document = file(tmp_path, "trust.json", EC2)
    described = ("--description", "for tests", "--max-session-duration", "7200")
    made = aws("iam", "create-role", *role, "--assume-role-policy-document", document, *described)["Role"]
    assert made["RoleId"].startswith("AROA") and made["AssumeRolePolicyDocument"] == json.loads(EC2)
    aws("iam", "wait", "role-exists", *role)
    aws("iam", "update-role", *role, "--description", "still", "--max-session-duration", "3600")
    aws("iam", "update-assume-role-policy", *role, "--policy-document", trust({"Service": ["ec2.amazonaws.com"]}))
    aws("iam", "tag-role", *role, "--tags", '[{"Key": "a", "Value": "b"}]')
    got = aws("iam", "get-role", *role)["Role"]
    assert (got["Description"], got["MaxSessionDuration"], got["Tags"]) == ("still", 3600, [{"Key": "a", "Value": "b"}])
    assert aws("iam", "create-instance-profile", *profile)["InstanceProfile"]["Roles"] == []
    aws("iam", "wait", "instance-profile-exists", *profile)
    aws("iam", "add-role-to-instance-profile", *profile, *role)
    (found,) = aws("iam", "list-instance-profiles-for-role", *role)["InstanceProfiles"]
    assert found["InstanceProfileName"] == "cli-profile" and found["Roles"][0]["RoleName"] == "cli-role"
    with pytest.raises(Refused, match=r"\(DeleteConflict\)"):
        aws("iam", "delete-role", *role)
    aws("iam", "remove-role-from-instance-profile", *profile, *role)
    aws("iam", "delete-instance-profile", *profile)
    aws("iam", "delete-role", *role)
    linked = aws("iam", "create-service-linked-role", "--aws-service-name", "autoscaling.amazonaws.com")["Role"]
    assert linked["RoleName"] == "AWSServiceRoleForAutoScaling"
    task = aws("iam", "delete-service-linked-role", "--role-name", linked["RoleName"])["DeletionTaskId"]
    assert aws("iam", "get-service-linked-role-deletion-status", "--deletion-task-id", task)["Status"] == "SUCCEEDED"


def test_managed_policies_and_their_versions(aws: Aws) -> None:
    user = ("--user-name", "cli-attached")
    aws("iam", "create-user", *user)
    made = aws("iam", "create-policy", "--policy-name", "cli-policy", "--policy-document", policy("ec2:RunInstances"))
    arn = ("--policy-arn", made["Policy"]["Arn"])
    aws("iam", "wait", "policy-exists", *arn)
    aws("iam", "create-policy-version", *arn, "--policy-document", policy("ec2:StopInstances"), "--set-as-default")
    versions = aws("iam", "list-policy-versions", *arn)["Versions"]
    assert [(each["VersionId"], each["IsDefaultVersion"]) for each in versions] == [("v2", True), ("v1", False)]
    shown = aws("iam", "get-policy-version", *arn, "--version-id", "v1")["PolicyVersion"]
    assert shown["Document"] == json.loads(policy("ec2:RunInstances"))
    aws("iam", "attach-user-policy", *user, *arn)
    assert aws("iam", "get-policy", *arn)["Policy"]["AttachmentCount"] == 1
    entities = aws("iam", "list-entities-for-policy", *arn)
    assert [each["UserName"] for each in entities["PolicyUsers"]] == ["cli-attached"]
    assert aws("iam", "list-attached-user-policies", *user)["AttachedPolicies"] == [
        {"PolicyName": "cli-policy", "PolicyArn": arn[1]}
    ]
    aws("iam", "set-default-policy-version", *arn, "--version-id", "v1")
    aws("iam", "delete-policy-version", *arn, "--version-id", "v2")
    aws("iam", "put-user-permissions-boundary", *user, "--permissions-boundary", READ_ONLY)
    boundary = aws("iam", "get-user", *user)["User"]["PermissionsBoundary"]
    assert boundary == {"PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": READ_ONLY}
    aws("iam", "delete-user-permissions-boundary", *user)
    aws("iam", "put-user-policy", *user, "--policy-name", "inline", "--policy-document", policy("s3:*"))
    assert aws("iam", "list-user-policies", *user)["PolicyNames"] == ["inline"]
    with pytest.raises(Refused, match=r"\(MalformedPolicyDocument\)"):
        aws("iam", "put-user-policy", *user, "--policy-name", "bad", "--policy-document", '{"Statement": []')
    asked = ("--action-names", "ec2:RunInstances", "ec2:StopInstances", "s3:GetObject")
    principal = aws("sts", "get-caller-identity")["Arn"].replace(":root", ":user/cli-attached")
    results = aws("iam", "simulate-principal-policy", "--policy-source-arn", principal, *asked)["EvaluationResults"]
    assert [each["EvalDecision"] for each in results] == ["allowed", "implicitDeny", "allowed"]
    custom = aws("iam", "simulate-custom-policy", "--policy-input-list", policy("ec2:Stop*"), *asked)["EvaluationResults"]
    assert [each["EvalDecision"] for each in custom] == ["implicitDeny", "allowed", "implicitDeny"]
    aws("iam", "delete-user-policy", *user, "--policy-name", "inline")
    aws("iam", "detach-user-policy", *user, *arn)
    aws("iam", "delete-policy", *arn)
    aws("iam", "delete-user", *user)


def test_access_keys_and_passwords(aws: Aws) -> None:
    user = ("--user-name", "cli-keys")
    aws("iam", "create-user", *user)
    aws("iam", "attach-user-policy", *user, "--policy-arn", "arn:aws:iam::aws:policy/IAMUserChangePassword")
    key = aws("iam", "create-access-key", *user)["AccessKey"]
    mine = {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}
    assert aws("sts", "get-caller-identity", **mine)["Arn"].endswith(":user/cli-keys")
    used = aws("iam", "get-access-key-last-used", "--access-key-id", key["AccessKeyId"])
    assert used["UserName"] == "cli-keys" and used["AccessKeyLastUsed"]["ServiceName"] in ("N/A", "sts")
    aws("iam", "update-account-password-policy", "--minimum-password-length", "10", "--require-numbers")
    assert aws("iam", "get-account-password-policy")["PasswordPolicy"]["MinimumPasswordLength"] == 10
    with pytest.raises(Refused, match=r"\(PasswordPolicyViolation\)"):
        aws("iam", "create-login-profile", *user, "--password", "short")
    aws("iam", "create-login-profile", *user, "--password", "Long enough 1", "--password-reset-required")
    assert aws("iam", "get-login-profile", *user)["LoginProfile"]["PasswordResetRequired"] is True
    aws("iam", "change-password", "--old-password", "Long enough 1", "--new-password", "Longer yet 22", **mine)
    aws("iam", "update-login-profile", *user, "--no-password-reset-required")
    aws("iam", "delete-login-profile", *user)
    aws("iam", "delete-account-password-policy")
    aws("iam", "update-access-key", *user, "--access-key-id", key["AccessKeyId"], "--status", "Inactive")
    with pytest.raises(Refused, match=r"\(InvalidClientTokenId\)"):
        aws("sts", "get-caller-identity", **mine)
    aws("iam", "delete-access-key", *user, "--access-key-id", key["AccessKeyId"])
    assert aws("iam", "list-access-keys", *user)["AccessKeyMetadata"] == []
    aws("iam", "detach-user-policy", *user, "--policy-arn", "arn:aws:iam::aws:policy/IAMUserChangePassword")
    aws("iam", "delete-user", *user)


def test_certificates_and_ssh_keys(aws: Aws, tmp_path: Path) -> None:
    user, named = ("--user-name", "cli-certs"), ("--server-certificate-name", "cli-site")
    aws("iam", "create-user", *user)
    body = file(tmp_path, "certificate.pem", certs.certificate(certs.rsa_key()))
    private = file(tmp_path, "key.pem", certs.private(certs.rsa_key()))
    given = ("--certificate-body", body, "--private-key", private)
    made = aws("iam", "upload-server-certificate", *named, *given)["ServerCertificateMetadata"]
    assert made["ServerCertificateId"].startswith("ASCA")
    assert aws("iam", "get-server-certificate", *named)["ServerCertificate"]["CertificateBody"].startswith("-----BEGIN")
    aws("iam", "update-server-certificate", *named, "--new-server-certificate-name", "cli-moved")
    found = aws("iam", "list-server-certificates")["ServerCertificateMetadataList"]
    assert [each["ServerCertificateName"] for each in found] == ["cli-moved"]
    aws("iam", "delete-server-certificate", "--server-certificate-name", "cli-moved")
    signing = aws("iam", "upload-signing-certificate", *user, "--certificate-body", body)["Certificate"]["CertificateId"]
    aws("iam", "update-signing-certificate", *user, "--certificate-id", signing, "--status", "Inactive")
    aws("iam", "delete-signing-certificate", *user, "--certificate-id", signing)
    line = certs.ssh_line(certs.rsa_key())
    key = aws("iam", "upload-ssh-public-key", *user, "--ssh-public-key-body", line)["SSHPublicKey"]["SSHPublicKeyId"]
    got = aws("iam", "get-ssh-public-key", *user, "--ssh-public-key-id", key, "--encoding", "PEM")["SSHPublicKey"]
    assert key.startswith("APKA") and got["SSHPublicKeyBody"].startswith("-----BEGIN PUBLIC KEY")
    aws("iam", "delete-ssh-public-key", *user, "--ssh-public-key-id", key)
    aws("iam", "delete-user", *user)


def test_mfa_with_real_codes(aws: Aws, tmp_path: Path) -> None:
    user, seed = ("--user-name", "cli-mfa"), tmp_path / "seed"
    aws("iam", "create-user", *user)
    key = aws("iam", "create-access-key", *user)["AccessKey"]
    mine = {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}
    form = ("--bootstrap-method", "Base32StringSeed", "--outfile", str(seed))
    made = aws("iam", "create-virtual-mfa-device", "--virtual-mfa-device-name", "cli-phone", *form)
    serial = ("--serial-number", made["VirtualMFADevice"]["SerialNumber"])

    def code(off: int) -> str:
        return totp.code(seed.read_text(), int(time.time()) // totp.SECONDS + off)

    with pytest.raises(Refused, match=r"\(InvalidAuthenticationCode\)"):
        aws("iam", "enable-mfa-device", *user, *serial, "--authentication-code1", "000000", "--authentication-code2", "000000")
    aws("iam", "enable-mfa-device", *user, *serial, "--authentication-code1", code(-2), "--authentication-code2", code(-1))
    (device,) = aws("iam", "list-mfa-devices", *user)["MFADevices"]
    assert device["SerialNumber"] == serial[1]
    token = aws("sts", "get-session-token", *serial, "--token-code", code(0), "--duration-seconds", "900", **mine)["Credentials"]
    assert token["AccessKeyId"].startswith("ASIA")
    with pytest.raises(Refused, match=r"\(AccessDenied\).*MultiFactorAuthentication failed"):
        aws("sts", "get-session-token", *serial, "--token-code", code(0), **mine)  # a second time
    assigned = aws("iam", "list-virtual-mfa-devices", "--assignment-status", "Assigned")["VirtualMFADevices"]
    assert serial[1] in [each["SerialNumber"] for each in assigned]
    aws("iam", "deactivate-mfa-device", *user, *serial)
    aws("iam", "delete-virtual-mfa-device", *serial)
    picture = tmp_path / "code.png"
    form = ("--bootstrap-method", "QRCodePNG", "--outfile", str(picture))
    made = aws("iam", "create-virtual-mfa-device", "--virtual-mfa-device-name", "cli-phone", *form)
    assert picture.read_bytes().startswith(b"\x89PNG\r\n")
    aws("iam", "delete-virtual-mfa-device", "--serial-number", made["VirtualMFADevice"]["SerialNumber"])
    aws("iam", "delete-access-key", *user, "--access-key-id", key["AccessKeyId"])
    aws("iam", "delete-user", *user)


def test_identity_providers(aws: Aws, tmp_path: Path) -> None:
    given = ("--url", "https://issuer.example.com/realm", "--client-id-list", "one", "--thumbprint-list", "a" * 40)
    made = aws("iam", "create-open-id-connect-provider", *given)
    oidc = ("--open-id-connect-provider-arn", made["OpenIDConnectProviderArn"])
    aws("iam", "add-client-id-to-open-id-connect-provider", *oidc, "--client-id", "two")
    aws("iam", "update-open-id-connect-provider-thumbprint", *oidc, "--thumbprint-list", "b" * 40)
    aws("iam", "tag-open-id-connect-provider", *oidc, "--tags", "Key=a,Value=b")
    got = aws("iam", "get-open-id-connect-provider", *oidc)
    assert (got["Url"], sorted(got["ClientIDList"])) == ("issuer.example.com/realm", ["one", "two"])
    assert (got["ThumbprintList"], got["Tags"]) == (["b" * 40], [{"Key": "a", "Value": "b"}])
    assert oidc[1] in [each["Arn"] for each in aws("iam", "list-open-id-connect-providers")["OpenIDConnectProviderList"]]
    aws("iam", "delete-open-id-connect-provider", *oidc)
    document = file(tmp_path, "metadata.xml", certs.metadata(certs.certificate(certs.rsa_key())))
    made = aws("iam", "create-saml-provider", "--name", "cli-idp", "--saml-metadata-document", document)
    saml = ("--saml-provider-arn", made["SAMLProviderArn"])
    assert "EntityDescriptor" in aws("iam", "get-saml-provider", *saml)["SAMLMetadataDocument"]
    aws("iam", "tag-saml-provider", *saml, "--tags", "Key=a,Value=b")
    assert aws("iam", "list-saml-provider-tags", *saml)["Tags"] == [{"Key": "a", "Value": "b"}]
    aws("iam", "delete-saml-provider", *saml)


def test_pages(aws: Aws) -> None:
    group = ("--path-prefix", "/pages/")
    for number in range(5):
        aws("iam", "create-group", "--group-name", f"cli-page-{number}", "--path", "/pages/")
    names = [f"cli-page-{number}" for number in range(5)]
    whole = aws("iam", "list-groups", *group, "--page-size", "2")
    assert [each["GroupName"] for each in whole["Groups"]] == names and "NextToken" not in whole
    first = aws("iam", "list-groups", *group, "--max-items", "3", "--page-size", "2")
    rest = aws("iam", "list-groups", *group, "--max-items", "3", "--starting-token", first["NextToken"])
    assert [each["GroupName"] for each in first["Groups"] + rest["Groups"]] == names and "NextToken" not in rest
    ours = aws("iam", "list-policies", "--scope", "AWS", "--page-size", "100", "--query", "Policies[].PolicyName")
    assert {"AdministratorAccess", "ReadOnlyAccess", "PowerUserAccess", "AmazonEC2FullAccess", "AmazonS3FullAccess"} <= set(ours)
    with pytest.raises(Refused, match=r"\(ValidationError\).*Invalid Marker"):
        aws("iam", "list-groups", "--no-paginate", "--marker", "nonsense")
    for name in names:
        aws("iam", "delete-group", "--group-name", name)


def test_the_account(aws: Aws) -> None:
    aws("iam", "create-user", "--user-name", "cli-reported")
    aws("iam", "create-account-alias", "--account-alias", "cli-account")
    assert aws("iam", "list-account-aliases")["AccountAliases"] == ["cli-account"]
    aws("iam", "delete-account-alias", "--account-alias", "cli-account")
    summary = aws("iam", "get-account-summary")["SummaryMap"]
    assert summary["Users"] >= 1 and summary["UsersQuota"] == 5000
    details = aws("iam", "get-account-authorization-details", "--filter", "User", "--page-size", "1")
    assert "cli-reported" in [each["UserName"] for each in details["UserDetailList"]]
    for _ in range(50):
        if aws("iam", "generate-credential-report")["State"] == "COMPLETE":
            break
    report = aws("iam", "get-credential-report")
    rows = {row["user"]: row for row in csv.DictReader(io.StringIO(base64.b64decode(report["Content"]).decode()))}
    assert report["ReportFormat"] == "text/csv" and rows["<root_account>"]["mfa_active"] == "false"
    assert rows["cli-reported"]["password_enabled"] == "false" and rows["cli-reported"]["access_key_1_active"] == "false"
    arn = aws("iam", "get-user", "--user-name", "cli-reported")["User"]["Arn"]
    job = aws("iam", "generate-service-last-accessed-details", "--arn", arn)["JobId"]
    assert aws("iam", "get-service-last-accessed-details", "--job-id", job)["JobStatus"] in ("COMPLETED", "IN_PROGRESS")
    aws("iam", "delete-user", "--user-name", "cli-reported")
