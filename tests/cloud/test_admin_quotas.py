"""Quotas as accounts see them (AWS's Service Quotas) and as administrators give them (the mallee service)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cloud.harness import Account, TestCloud, refused
from tests.cloud.people import user

ADDRESSES: dict[str, Any] = {"ServiceCode": "ec2", "QuotaCode": "L-0263D0A3"}


def test_quotas_are_listed(cloud: TestCloud) -> None:
    client = cloud.account().client("service-quotas")
    services = client.list_services()["Services"]
    assert {each["ServiceCode"] for each in services} >= {"ec2", "iam", "vpc"}
    for service in services:
        applied = client.list_service_quotas(ServiceCode=service["ServiceCode"])["Quotas"]
        default = client.list_aws_default_service_quotas(ServiceCode=service["ServiceCode"])["Quotas"]
        assert [each["QuotaCode"] for each in applied] == [each["QuotaCode"] for each in default]
        for quota in default:
            named = {"ServiceCode": quota["ServiceCode"], "QuotaCode": quota["QuotaCode"]}
            assert client.get_aws_default_service_quota(**named)["Quota"] == quota
            assert client.get_service_quota(**named)["Quota"]["Value"] == quota["Value"]


@pytest.mark.parametrize(
    ("service", "code", "name", "value", "is_global"),
    [
        ("ec2", "L-1216C47A", "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances", 100_000, False),
        ("ec2", "L-0263D0A3", "EC2-VPC Elastic IPs", 5, False),
        ("vpc", "L-E79EC296", "VPC security groups per Region", 2500, False),
        ("vpc", "L-0EA8095F", "Inbound or outbound rules per security group", 60, False),
        ("vpc", "L-2AFB9258", "Security groups per network interface", 5, False),
        ("vpc", "L-F678F1CE", "VPCs per Region", 5, False),
        ("iam", "L-F55AF5E4", "Users per account", 5000, True),
        ("iam", "L-F4A5425F", "Groups per account", 300, True),
        ("iam", "L-FE177D64", "Roles per account", 1000, True),
        ("iam", "L-E95E4862", "Customer managed policies per account", 1500, True),
        ("iam", "L-6E65F664", "Instance profiles per account", 1000, True),
        ("iam", "L-BF35879D", "Server certificates per account", 20, True),
        ("iam", "L-0DA4ABF3", "Managed policies per role", 10, True),
    ],
)
def test_codes_names_and_defaults(
    sqlite_cloud: TestCloud, service: str, code: str, name: str, value: float, is_global: bool
) -> None:
    quota = sqlite_cloud.client("service-quotas").get_service_quota(ServiceCode=service, QuotaCode=code)["Quota"]
    assert (quota["QuotaName"], quota["Value"], quota["GlobalQuota"]) == (name, value, is_global)
    region = "" if is_global else sqlite_cloud.settings.region
    assert quota["QuotaArn"] == f"arn:aws:servicequotas:{region}:{sqlite_cloud.admin.id}:{service}/{code}"


def test_lists_come_in_pages(sqlite_cloud: TestCloud) -> None:
    client = sqlite_cloud.client("service-quotas")
    whole = client.list_service_quotas(ServiceCode="iam")["Quotas"]
    pages = list(client.get_paginator("list_service_quotas").paginate(ServiceCode="iam", PaginationConfig={"PageSize": 4}))
    assert [quota for page in pages for quota in page["Quotas"]] == whole
    assert len(pages) > 2
    with refused("InvalidPaginationTokenException", 400):
        client.list_service_quotas(ServiceCode="vpc", NextToken=pages[0]["NextToken"])


def test_what_is_not_there(sqlite_cloud: TestCloud) -> None:
    client = sqlite_cloud.client("service-quotas")
    for attempt in (
        lambda: client.list_service_quotas(ServiceCode="lambda"),
        lambda: client.get_service_quota(ServiceCode="ec2", QuotaCode="L-00000000"),
        lambda: client.get_service_quota(ServiceCode="ec2", QuotaCode="mallee-memory"),  # has no limit
        lambda: client.get_aws_default_service_quota(ServiceCode="ec2", QuotaCode="mallee-memory"),
        lambda: client.get_requested_service_quota_change(RequestId="nothing"),
        lambda: client.list_tags_for_resource(ResourceARN="arn:aws:servicequotas:local-1:123456789012:ec2/L-00000000"),
    ):
        with refused("NoSuchResourceException", 400):
            attempt()


def test_an_administrator_gives_a_value(cloud: TestCloud) -> None:
    mallee, account = cloud.client("mallee"), cloud.account()
    quota = mallee.put_account_quota(AccountId=account.id, Value=7, **ADDRESSES)["Quota"]
    assert (quota["Value"], quota["DefaultValue"], quota["IsDefault"], quota["Used"]) == (7, 5, False, 0)
    assert account.client("service-quotas").get_service_quota(**ADDRESSES)["Quota"]["Value"] == 7
    assert account.client("service-quotas").get_aws_default_service_quota(**ADDRESSES)["Quota"]["Value"] == 5
    assert cloud.client("service-quotas").get_service_quota(**ADDRESSES)["Quota"]["Value"] == 5
    attributes = account.client("ec2").describe_account_attributes(AttributeNames=["max-elastic-ips"])["AccountAttributes"]
    assert attributes[0]["AttributeValues"][0]["AttributeValue"] == "7"
    for _ in range(7):
        account.client("ec2").allocate_address()
    with refused("AddressLimitExceeded", 400):
        account.client("ec2").allocate_address()
    mallee.put_account_quota(AccountId=account.id, Value=0, **ADDRESSES)
    assert account.client("mallee").get_account_quota(**ADDRESSES)["Quota"]["Used"] == 7  # it keeps what it has
    mallee.delete_account_quota(AccountId=account.id, **ADDRESSES)
    assert mallee.get_account_quota(AccountId=account.id, **ADDRESSES)["Quota"]["IsDefault"] is True
    with refused("QuotaValueNotFoundException", 400):
        mallee.delete_account_quota(AccountId=account.id, **ADDRESSES)


def test_a_quota_without_default_appears_with_its_value(sqlite_cloud: TestCloud) -> None:
    mallee, account = sqlite_cloud.client("mallee"), sqlite_cloud.account()
    quota = mallee.get_account_quota(AccountId=account.id, ServiceCode="ec2", QuotaCode="mallee-instances")["Quota"]
    assert "Value" not in quota
    assert "DefaultValue" not in quota
    mallee.put_account_quota(AccountId=account.id, ServiceCode="ec2", QuotaCode="mallee-instances", Value=3)
    listed = account.client("service-quotas").list_service_quotas(ServiceCode="ec2")["Quotas"]
    assert {each["QuotaCode"]: each["Value"] for each in listed}["mallee-instances"] == 3


def test_values_that_cannot_be(sqlite_cloud: TestCloud) -> None:
    mallee, account = sqlite_cloud.client("mallee", validate=False), sqlite_cloud.account()
    for value, code in ((1.5, "InvalidParameterException"), (-1, "ValidationException"), (1e11, "ValidationException")):
        with refused(code, 400):
            mallee.put_account_quota(AccountId=account.id, Value=value, **ADDRESSES)
    with refused("QuotaNotFoundException", 400):
        mallee.put_account_quota(AccountId=account.id, Value=1, ServiceCode="ec2", QuotaCode="L-00000000")


# ------------------------------------------------------------------------------------------------------------ requests


def asked(account: Account, value: float = 10, **quota: Any) -> dict[str, Any]:
    client = account.client("service-quotas")
    return dict(client.request_service_quota_increase(DesiredValue=value, **(quota or ADDRESSES))["RequestedQuota"])


def test_a_request_is_approved(cloud: TestCloud) -> None:
    mallee, account = cloud.client("mallee"), cloud.account()
    request = asked(account)
    assert (request["Status"], request["DesiredValue"], request["Requester"]) == (
        "PENDING",
        10,
        f"arn:aws:iam::{account.id}:root",
    )
    client = account.client("service-quotas")
    assert client.get_requested_service_quota_change(RequestId=request["Id"])["RequestedQuota"] == request
    assert client.get_service_quota(**ADDRESSES)["Quota"]["Value"] == 5  # asking changes nothing
    (open_,) = mallee.list_quota_requests(Status="PENDING")["Requests"]
    assert (open_["RequestId"], open_["AccountId"], open_["CurrentValue"]) == (request["Id"], account.id, 5)
    cloud.clock.advance(60)
    decided = mallee.approve_quota_request(RequestId=request["Id"], Reason="of course")["Request"]
    assert (decided["Status"], decided["CurrentValue"], decided["Reason"]) == ("APPROVED", 10, "of course")
    assert decided["DecidedBy"] == f"arn:aws:iam::{cloud.admin.id}:root"
    assert client.get_service_quota(**ADDRESSES)["Quota"]["Value"] == 10
    history = client.list_requested_service_quota_change_history(Status="APPROVED")["RequestedQuotas"]
    assert [each["Id"] for each in history] == [request["Id"]]
    assert history == client.list_requested_service_quota_change_history_by_quota(**ADDRESSES)["RequestedQuotas"]
    with refused("QuotaRequestDecidedException", 400):
        mallee.deny_quota_request(RequestId=request["Id"])
    again = asked(account, 20)
    assert mallee.approve_quota_request(RequestId=again["Id"], Value=15)["Request"]["CurrentValue"] == 15


def test_a_request_is_denied(cloud: TestCloud) -> None:
    mallee, account = cloud.client("mallee"), cloud.account()
    request = asked(account)
    with refused("ResourceAlreadyExistsException", 400):
        asked(account, 12)
    assert mallee.deny_quota_request(RequestId=request["Id"], Reason="no")["Request"]["Status"] == "DENIED"
    client = account.client("service-quotas")
    assert client.get_requested_service_quota_change(RequestId=request["Id"])["RequestedQuota"]["Status"] == "DENIED"
    assert client.get_service_quota(**ADDRESSES)["Quota"]["Value"] == 5
    asked(account, 12)


def test_requests_that_cannot_be(sqlite_cloud: TestCloud) -> None:
    account = sqlite_cloud.account()
    for value in (5, 1, 7.5):
        with refused("IllegalArgumentException", 400):
            asked(account, value)
    with refused("IllegalArgumentException", 400):  # not adjustable
        asked(account, 20, ServiceCode="iam", QuotaCode="L-7A1621EC")
    with refused("NoSuchResourceException", 400):
        asked(account, 20, ServiceCode="ec2", QuotaCode="L-00000000")
    with refused("QuotaRequestNotFoundException", 400):
        sqlite_cloud.client("mallee").approve_quota_request(RequestId="0")


def test_requests_are_the_accounts_own(cloud: TestCloud) -> None:
    victim, attacker = cloud.account(), cloud.account()
    request = asked(victim)
    told = []
    for request_id in (request["Id"], "0" * len(request["Id"])):
        with refused("NoSuchResourceException", 400) as message:
            attacker.client("service-quotas").get_requested_service_quota_change(RequestId=request_id)
        told.append(message())
        with refused("AccessDeniedException", 400) as message:
            attacker.client("mallee").approve_quota_request(RequestId=request_id)
        told.append(message())
    assert told[:2] == told[2:]
    assert attacker.client("service-quotas").list_requested_service_quota_change_history()["RequestedQuotas"] == []


def test_policies_decide_who_asks(cloud: TestCloud) -> None:
    account = cloud.account()
    one = f"arn:aws:servicequotas:{cloud.settings.region}:{account.id}:ec2/L-0263D0A3"
    allowed = user(cloud, "alice", "servicequotas:RequestServiceQuotaIncrease", on=one, account=account)
    with refused("AccessDeniedException", 400):
        asked(allowed, 3000, ServiceCode="vpc", QuotaCode="L-E79EC296")
    assert asked(allowed)["Requester"] == f"arn:aws:iam::{account.id}:user/alice"


def test_tags_of_quotas(cloud: TestCloud) -> None:
    account, other = cloud.account(), cloud.account()
    client = account.client("service-quotas")
    arn = client.get_service_quota(**ADDRESSES)["Quota"]["QuotaArn"]
    client.tag_resource(ResourceARN=arn, Tags=[{"Key": "team", "Value": "a"}, {"Key": "cost", "Value": ""}])
    client.tag_resource(ResourceARN=arn, Tags=[{"Key": "team", "Value": "b"}])
    client.untag_resource(ResourceARN=arn, TagKeys=["cost", "absent"])
    assert client.list_tags_for_resource(ResourceARN=arn)["Tags"] == [{"Key": "team", "Value": "b"}]
    with refused("NoSuchResourceException", 400):
        other.client("service-quotas").list_tags_for_resource(ResourceARN=arn)
    with refused("TooManyTagsException", 400):
        client.tag_resource(ResourceARN=arn, Tags=[{"Key": f"k{number}", "Value": ""} for number in range(50)])
    with refused("IllegalArgumentException", 400):
        client.tag_resource(ResourceARN=arn, Tags=[{"Key": "aws:mine", "Value": ""}])
