"""What every service answers, in its own protocol, to a caller it does not believe and to what Mallee does not have."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from botocore.exceptions import ClientError

from mallee.identity.setup import Credentials
from mallee.registry import COVERED
from tests.cloud.harness import ADMIN, Account, TestCloud

HARMLESS = {
    "ec2": "describe_spot_price_history",
    "iam": "list_users",
    "sts": "get_session_token",
    "s3": "list_buckets",
    "s3control": "list_jobs",
    "autoscaling": "describe_auto_scaling_groups",
    "cloudwatch": "list_dashboards",
    "elb": "describe_load_balancers",
    "elbv2": "describe_load_balancers",
    "sqs": "list_queues",
    "sns": "list_topics",
    "cloudformation": "list_stacks",
    "route53": "list_hosted_zones",
    "logs": "describe_log_groups",
    "kms": "list_keys",
    "ssm": "describe_parameters",
    "events": "list_rules",
    "ebs": "list_snapshot_blocks",
    "service-quotas": "list_service_quota_increase_requests_in_template",
    "mallee": "list_administrators",
}
ARGUMENTS: dict[str, dict[str, Any]] = {"ebs": {"SnapshotId": "snap-0123456789abcdef0"}, "s3control": {"AccountId": ADMIN}}

JSON = {"logs", "kms", "ssm", "events", "sqs", "cloudwatch", "service-quotas", "mallee"}  # as boto3 speaks to them


def said(client: Any, service: str) -> tuple[str, int, str]:
    with pytest.raises(ClientError) as caught:
        getattr(client, HARMLESS[service])(**ARGUMENTS.get(service, {}))
    answer = caught.value.response
    assert answer["ResponseMetadata"].get("RequestId"), service
    return answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"].get("Message", "")


def forged(cloud: TestCloud, **changed: str) -> Account:
    return Account(cloud, dataclasses.replace(cloud.admin.credentials, **changed))


def test_the_list_is_whole() -> None:
    assert set(HARMLESS) == set(COVERED)


def test_wrong_secrets_and_unknown_keys(sqlite_cloud: TestCloud) -> None:
    wrong = forged(sqlite_cloud, secret_access_key="x" * 40)
    unknown = forged(sqlite_cloud, access_key_id="AKIAIOSFODNN7EXAMPLE")
    for service in COVERED:
        if service == "ec2":
            expected = [("AuthFailure", 401), ("AuthFailure", 401)]
        elif service in ("s3", "s3control"):
            expected = [("SignatureDoesNotMatch", 403), ("InvalidAccessKeyId", 403)]
        elif service in JSON:
            expected = [("InvalidSignatureException", 400), ("UnrecognizedClientException", 400)]
        elif service == "ebs":
            expected = [("InvalidSignatureException", 403), ("UnrecognizedClientException", 403)]
        else:
            expected = [("SignatureDoesNotMatch", 403), ("InvalidClientTokenId", 403)]
        for account, (code, status) in zip((wrong, unknown), expected, strict=True):
            assert said(account.client(service), service)[:2] == (code, status), service


def test_another_region(sqlite_cloud: TestCloud) -> None:
    for service in COVERED:
        code, status, text = said(sqlite_cloud.client(service, region="eu-central-1"), service)
        assert status in (400, 401, 403), service
        assert "region" in text.lower(), (service, code, text)


def test_what_there_is_no_handler_for(sqlite_cloud: TestCloud) -> None:
    """Nothing is answered as if it had been done, and nothing as if it were broken."""
    cloud = sqlite_cloud
    for service in COVERED:
        client = cloud.client(service)
        operation = client.meta.method_to_api_mapping[HARMLESS[service]]
        if cloud.cloud.registry.handler(service, operation) is not None:
            continue
        code, status, _ = said(client, service)
        assert status in (400, 404, 501) and not code.startswith("Internal"), (service, code, status)
    assert cloud.cloud.dispatcher.faults == 0


def test_a_user_may_do_nothing_in_any_service(sqlite_cloud: TestCloud) -> None:
    user = sqlite_cloud.user("bob")
    for service, operation, arguments in (("ec2", "describe_instances", {}), ("iam", "get_user", {"UserName": "bob"})):
        with pytest.raises(ClientError) as caught:
            getattr(user.client(service), operation)(**arguments)
        code = caught.value.response["Error"]["Code"]
        assert code == ("UnauthorizedOperation" if service == "ec2" else "AccessDenied")


def test_credentials_are_not_shown() -> None:
    assert "hidden" not in repr(Credentials("123456789012", "AKIA", "hidden"))
