"""The credential report, and when services were last used."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest

from tests.cloud.harness import Account, TestCloud, refused
from tests.cloud.test_iam_inline import TRUST
from tests.cloud.test_iam_policies import document

HOUR = 3600


def report(cloud: TestCloud, account: Account | None = None) -> dict[str, dict[str, str]]:
    """A new credential report, its lines by user."""
    iam = (account or cloud.admin).client("iam")
    iam.generate_credential_report()
    cloud.run()
    text = iam.get_credential_report()["Content"].decode()
    return {row["user"]: row for row in csv.DictReader(io.StringIO(text))}


def test_a_report_is_asked_for_built_and_read(cloud: TestCloud) -> None:
    iam = cloud.client("iam")
    with refused("ReportNotPresent", 410):
        iam.get_credential_report()
    started = iam.generate_credential_report()
    assert started["State"] == "STARTED" and started["Description"]
    assert iam.generate_credential_report()["State"] == "INPROGRESS"
    with refused("ReportInProgress", 404):
        iam.get_credential_report()
    cloud.run()
    built = cloud.clock.now().replace(microsecond=0)
    done = iam.generate_credential_report()
    assert done["State"] == "COMPLETE" and "Description" not in done
    found = iam.get_credential_report()
    assert found["ReportFormat"] == "text/csv" and found["GeneratedTime"].replace(microsecond=0) == built
    assert found["Content"].startswith(b"user,arn,user_creation_time,password_enabled,") and not found["Content"].endswith(b"\n")
    iam.create_user(UserName="late")
    assert iam.get_credential_report()["Content"] == found["Content"]
    cloud.clock.advance(4 * HOUR)
    assert iam.get_credential_report()["Content"] == found["Content"]
    cloud.clock.advance(1)
    with refused("ReportExpired", 410):
        iam.get_credential_report()
    assert iam.generate_credential_report()["State"] == "STARTED"
    cloud.run()
    assert b"\nlate," in iam.get_credential_report()["Content"]
    with refused("ReportNotPresent", 410):
        cloud.account().client("iam").get_credential_report()


def test_the_lines_of_a_report(cloud: TestCloud) -> None:
    iam, created = cloud.client("iam"), cloud.clock.now().strftime("%Y-%m-%dT%H:%M:%S+00:00")
    for name in ("zoe", "Adam", "with,comma"):
        iam.create_user(UserName=name, Path="/p/")
    cloud.clock.advance(HOUR)
    changed = cloud.clock.now().strftime("%Y-%m-%dT%H:%M:%S+00:00")
    iam.update_account_password_policy(MaxPasswordAge=10)
    iam.create_login_profile(UserName="zoe", Password="Gumnuts-And-Blossom-7")
    keys = [iam.create_access_key(UserName="zoe")["AccessKey"]["AccessKeyId"] for _ in range(2)]
    first = min(keys)
    iam.update_access_key(UserName="zoe", AccessKeyId=first, Status="Inactive")
    found = report(cloud)
    assert list(found) == ["<root_account>", "Adam", "with,comma", "zoe"]
    root = found["<root_account>"]
    assert root["arn"] == f"arn:aws:iam::{cloud.admin.id}:root" and root["user_creation_time"] == created
    assert root["password_enabled"] == root["password_next_rotation"] == "not_supported"
    assert root["access_key_1_active"] == "true" and root["access_key_2_active"] == root["mfa_active"] == "false"
    assert list(found["Adam"].values()) == [
        "Adam", f"arn:aws:iam::{cloud.admin.id}:user/p/Adam", created, "false", "N/A", "N/A", "N/A", "false",
        *["false", "N/A", "N/A", "N/A", "N/A"] * 2, *["false", "N/A"] * 2,
    ]  # fmt: skip
    zoe = found["zoe"]
    assert (zoe["password_enabled"], zoe["password_last_used"], zoe["password_last_changed"]) == (
        "true",
        "no_information",
        changed,
    )
    assert zoe["password_next_rotation"][:10] > changed[:10]
    assert [zoe[f"access_key_{n}_active"] for n in (1, 2)] == ["false", "true"]
    assert zoe["access_key_1_last_rotated"] == changed and zoe["access_key_1_last_used_date"] == "N/A"


def test_what_was_used_is_in_the_report(cloud: TestCloud) -> None:
    somebody = cloud.user("somebody")
    with refused("UnauthorizedOperation"):
        somebody.client("ec2").describe_instances()
    cloud.run()
    line = report(cloud)["somebody"]
    used = [line[f"access_key_1_last_used_{what}"] for what in ("region", "service")]
    assert used == [cloud.settings.region, "ec2"] and line["access_key_1_last_used_date"].startswith("20")
    device = cloud.client("iam").create_virtual_mfa_device(VirtualMFADeviceName="d")["VirtualMFADevice"]
    assert device["SerialNumber"] and line["mfa_active"] == "false"


# -------------------------------------------------------------------------------------------------------------- last accessed


def details(cloud: TestCloud, arn: str, **given: Any) -> dict[str, Any]:
    iam = cloud.client("iam")
    job_id = iam.generate_service_last_accessed_details(Arn=arn, **given)["JobId"]
    cloud.run()
    found: dict[str, Any] = iam.get_service_last_accessed_details(JobId=job_id)
    assert found["JobStatus"] == "COMPLETED" and found["JobCompletionDate"] >= found["JobCreationDate"]
    return found | {"JobId": job_id}


def by_service(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {each["ServiceNamespace"]: each for each in found["ServicesLastAccessed"]}


def test_a_users_services(cloud: TestCloud) -> None:
    iam = cloud.client("iam")
    somebody = cloud.user("somebody")
    arn = iam.get_user(UserName="somebody")["User"]["Arn"]
    iam.create_group(GroupName="g")
    iam.add_user_to_group(GroupName="g", UserName="somebody")
    iam.put_user_policy(UserName="somebody", PolicyName="p", PolicyDocument=document("ec2:Describe*", "dynamodb:*"))
    iam.put_group_policy(GroupName="g", PolicyName="p", PolicyDocument=document("s3:*"))
    iam.attach_group_policy(GroupName="g", PolicyArn="arn:aws:iam::aws:policy/AmazonSQSFullAccess")
    iam.put_user_policy(UserName="somebody", PolicyName="no", PolicyDocument=document("sns:*", effect="Deny"))
    somebody.client("ec2").describe_instances()
    somebody.client("ec2").describe_vpcs()
    moment = cloud.clock.now()
    cloud.run(seconds=60)
    found = details(cloud, arn)
    services = by_service(found)
    assert found["JobType"] == "SERVICE_LEVEL" and {"ec2", "s3", "sqs"} <= set(services) and "sns" not in services
    assert "dynamodb" not in services, "a service that this cloud does not have"
    ec2 = services["ec2"]
    assert (ec2["ServiceName"], ec2["TotalAuthenticatedEntities"], ec2["LastAuthenticatedEntity"]) == ("Amazon EC2", 1, arn)
    assert ec2["LastAuthenticatedRegion"] == cloud.settings.region and ec2["LastAuthenticated"] == moment
    assert services["s3"]["TotalAuthenticatedEntities"] == 0 and "LastAuthenticated" not in services["s3"]
    assert "TrackedActionsLastAccessed" not in ec2
    tracked = by_service(details(cloud, arn, Granularity="ACTION_LEVEL"))["ec2"]["TrackedActionsLastAccessed"]
    used = {each["ActionName"]: each for each in tracked if "LastAccessedTime" in each}
    assert set(used) == {"DescribeInstances", "DescribeVpcs"} and used["DescribeVpcs"]["LastAccessedEntity"] == arn
    assert "DescribeImages" in {each["ActionName"] for each in tracked}
    assert "RunInstances" not in {each["ActionName"] for each in tracked}


def test_groups_roles_and_policies(cloud: TestCloud) -> None:
    iam = cloud.client("iam")
    policy = iam.create_policy(PolicyName="p", PolicyDocument=document("ec2:*"))["Policy"]["Arn"]
    iam.create_group(GroupName="g")
    iam.attach_group_policy(GroupName="g", PolicyArn=policy)
    for name in ("one", "two", "three"):
        cloud.user(name).client("sts").get_caller_identity()
        iam.add_user_to_group(GroupName="g", UserName=name)
    role = iam.create_role(RoleName="r", AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
    iam.attach_role_policy(RoleName="r", PolicyArn=policy)
    cloud.run()
    group = f"arn:aws:iam::{cloud.admin.id}:group/g"
    for arn, names in ((group, {"one", "two", "three"}), (policy, {"one", "two", "three", "r"}), (role, {"r"})):
        found = details(cloud, arn)
        assert set(by_service(found)) == {"ec2"}
        entities = iam.get_service_last_accessed_details_with_entities(JobId=found["JobId"], ServiceNamespace="ec2")
        assert {each["EntityInfo"]["Name"] for each in entities["EntityDetailsList"]} == names
        kinds = {each["EntityInfo"]["Name"]: each["EntityInfo"]["Type"] for each in entities["EntityDetailsList"]}
        assert all(kind == ("ROLE" if name == "r" else "USER") for name, kind in kinds.items())


def test_who_used_it_last_comes_first(cloud: TestCloud) -> None:
    iam = cloud.client("iam")
    iam.create_group(GroupName="g")
    iam.put_group_policy(GroupName="g", PolicyName="p", PolicyDocument=document("ec2:*"))
    members = {}
    for name in ("c", "a", "b"):
        members[name] = cloud.user(name)
        iam.add_user_to_group(GroupName="g", UserName=name)
    for name in ("b", "a"):
        members[name].client("ec2").describe_vpcs()
        cloud.clock.advance(30)
    cloud.run()
    found = details(cloud, f"arn:aws:iam::{cloud.admin.id}:group/g")
    ec2 = by_service(found)["ec2"]
    assert ec2["TotalAuthenticatedEntities"] == 2 and ec2["LastAuthenticatedEntity"].endswith(":user/a")
    asked = {"JobId": found["JobId"], "ServiceNamespace": "EC2"}
    names = [
        each["EntityInfo"]["Name"] for each in iam.get_service_last_accessed_details_with_entities(**asked)["EntityDetailsList"]
    ]
    assert names == ["a", "b", "c"]
    first = iam.get_service_last_accessed_details_with_entities(**asked, MaxItems=2)
    rest = iam.get_service_last_accessed_details_with_entities(**asked, MaxItems=2, Marker=first["Marker"])
    assert [each["EntityInfo"]["Name"] for each in rest["EntityDetailsList"]] == ["c"]


def test_pages_of_services(sqlite_cloud: TestCloud) -> None:
    iam = sqlite_cloud.client("iam")
    found = details(sqlite_cloud, "arn:aws:iam::aws:policy/AdministratorAccess")
    every = [each["ServiceNamespace"] for each in found["ServicesLastAccessed"]]
    assert len(every) > 10 and every == sorted(every)
    first = iam.get_service_last_accessed_details(JobId=found["JobId"], MaxItems=5)
    assert first["IsTruncated"] and [each["ServiceNamespace"] for each in first["ServicesLastAccessed"]] == every[:5]
    rest = iam.get_service_last_accessed_details(JobId=found["JobId"], Marker=first["Marker"])
    assert [each["ServiceNamespace"] for each in rest["ServicesLastAccessed"]] == every[5:]


def test_a_job_is_its_makers(cloud: TestCloud) -> None:
    iam = cloud.client("iam")
    arn = iam.create_user(UserName="u")["User"]["Arn"]
    job_id = iam.generate_service_last_accessed_details(Arn=arn)["JobId"]
    found = iam.get_service_last_accessed_details(JobId=job_id)
    assert found["JobStatus"] == "IN_PROGRESS" and found["ServicesLastAccessed"] == [] and "JobCompletionDate" not in found
    somebody = cloud.user("somebody")
    iam.put_user_policy(UserName="somebody", PolicyName="p", PolicyDocument=document("iam:*"))
    told = []
    for client in (somebody.client("iam"), cloud.account().client("iam")):
        for each in (job_id, "00000000-0000-4000-8000-000000000000"):
            with refused("NoSuchEntity", 404) as message:
                client.get_service_last_accessed_details(JobId=each)
            told.append(message().replace(each, "JOB"))
    assert set(told) == {"The job JOB cannot be found."}
    iam.delete_user(UserName="u")
    cloud.run()
    found = iam.get_service_last_accessed_details(JobId=job_id)
    assert found["JobStatus"] == "FAILED" and found["Error"]["Code"] == "NoSuchEntity"


def test_nobody_there(cloud: TestCloud) -> None:
    iam, foreign = cloud.client("iam"), cloud.account("other")
    theirs = foreign.client("iam").create_user(UserName="u")["User"]["Arn"]
    policy = foreign.client("iam").create_policy(PolicyName="p", PolicyDocument=document("s3:*"))["Policy"]["Arn"]
    for arn in (theirs, policy, theirs.replace(foreign.id, cloud.admin.id), "arn:aws:iam::aws:policy/Nothing"):
        with refused("NoSuchEntity", 404):
            iam.generate_service_last_accessed_details(Arn=arn)
    for arn in (f"arn:aws:iam::{cloud.admin.id}:root", "arn:aws:s3:::bucket-of-mine"):
        with refused("InvalidInput", 400):
            iam.generate_service_last_accessed_details(Arn=arn)
        with refused("InvalidInput", 400):
            iam.list_policies_granting_service_access(Arn=arn, ServiceNamespaces=["s3"])


def test_old_jobs_go(sqlite_cloud: TestCloud) -> None:
    iam = sqlite_cloud.client("iam")
    arn = iam.create_user(UserName="u")["User"]["Arn"]
    old = details(sqlite_cloud, arn)["JobId"]
    sqlite_cloud.clock.advance(8 * 24 * HOUR)
    details(sqlite_cloud, arn)
    with refused("NoSuchEntity", 404):
        iam.get_service_last_accessed_details(JobId=old)


# ---------------------------------------------------------------------------------------------------- what grants a service


def test_policies_that_grant_a_service(cloud: TestCloud) -> None:
    iam = cloud.client("iam")
    arn = iam.create_user(UserName="u")["User"]["Arn"]
    iam.create_group(GroupName="g")
    iam.add_user_to_group(GroupName="g", UserName="u")
    own = iam.create_policy(PolicyName="own", PolicyDocument=document("s3:Get*", "ec2:*"))["Policy"]["Arn"]
    iam.attach_user_policy(UserName="u", PolicyArn=own)
    iam.attach_group_policy(GroupName="g", PolicyArn=own)
    iam.put_user_policy(UserName="u", PolicyName="in", PolicyDocument=document("S3:*", Condition={"Bool": {"aws:x": "true"}}))
    iam.put_user_policy(UserName="u", PolicyName="no", PolicyDocument=document("s3:*", effect="Deny"))
    rest = {"Effect": "Allow", "NotAction": ["s3:*", "sqs:Send*"], "Resource": "*"}
    iam.put_group_policy(
        GroupName="g", PolicyName="rest", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": rest})
    )
    iam.put_user_permissions_boundary(UserName="u", PermissionsBoundary="arn:aws:iam::aws:policy/AdministratorAccess")
    found = iam.list_policies_granting_service_access(Arn=arn, ServiceNamespaces=["sqs", "s3", "ec2"])
    inline = {"PolicyName": "in", "PolicyType": "INLINE", "EntityType": "USER", "EntityName": "u"}
    managed = {"PolicyName": "own", "PolicyType": "MANAGED", "PolicyArn": own}
    of_group = {"PolicyName": "rest", "PolicyType": "INLINE", "EntityType": "GROUP", "EntityName": "g"}
    assert found["PoliciesGrantingServiceAccess"] == [
        {"ServiceNamespace": "sqs", "Policies": [of_group]},
        {"ServiceNamespace": "s3", "Policies": [inline, managed]},
        {"ServiceNamespace": "ec2", "Policies": [of_group, managed]},
    ]
    group = iam.list_policies_granting_service_access(Arn=arn.replace("user/u", "group/g"), ServiceNamespaces=["s3"])
    assert group["PoliciesGrantingServiceAccess"][0]["Policies"] == [managed]


@pytest.mark.parametrize("method", ["generate_organizations_access_report", "get_organizations_access_report"])
def test_what_there_is_none_of(sqlite_cloud: TestCloud, method: str) -> None:
    given = {"EntityPath": "o-exampleorgid/r-abcd"} if method.startswith("generate") else {"JobId": "0" * 36}
    iam = sqlite_cloud.client("iam")
    try:
        getattr(iam, method)(**given)
    except iam.exceptions.ClientError as error:
        assert error.response["ResponseMetadata"]["HTTPStatusCode"] in (400, 501)
    else:
        raise AssertionError("it must say that it is not supported")
