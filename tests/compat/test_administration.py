"""The AWS CLI administers a cloud, by the model that `mallee env` shows it; `mallee account` and `mallee user` do the same."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.clouds import Cloud, mallee
from tests.compat.conftest import Refused

Aws = Callable[..., Any]


def exports(text: str) -> dict[str, str]:
    return dict(re.findall(r"^export (\w+)='?([^'\n]*)'?$", text, re.M))


def test_accounts_by_the_aws_cli(live: Cloud, aws: Aws) -> None:
    made = aws("mallee", "create-account", "--name", "By the CLI", "--alias", "by-the-cli", "--create-access-key")
    account, key = made["Account"]["AccountId"], made["AccessKey"]
    theirs = {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}
    assert aws("sts", "get-caller-identity", **theirs)["Account"] == account
    assert account in [each["AccountId"] for each in aws("mallee", "list-accounts", "--page-size", "1")["Accounts"]]
    with pytest.raises(Refused, match="AccessDeniedException"):
        aws("mallee", "list-accounts", **theirs)
    assert aws("mallee", "describe-account", **theirs)["Account"]["Alias"] == "by-the-cli"
    assert aws("mallee", "close-account", "--account-id", account)["Account"]["Status"] == "SUSPENDED"
    with pytest.raises(Refused, match="InvalidClientTokenId"):
        aws("sts", "get-caller-identity", **theirs)


def test_the_service_has_no_other_endpoint(live: Cloud, aws: Aws) -> None:
    with pytest.raises(Refused, match="set AWS_ENDPOINT_URL"):
        aws("mallee", "list-accounts", AWS_ENDPOINT_URL="")


def test_quotas_by_the_aws_cli(live: Cloud, aws: Aws) -> None:
    quota = ("--service-code", "vpc", "--quota-code", "L-E79EC296")
    assert aws("service-quotas", "get-service-quota", *quota)["Quota"]["Value"] == 2500
    asked = aws("service-quotas", "request-service-quota-increase", *quota, "--desired-value", "3000")["RequestedQuota"]
    assert aws("mallee", "approve-quota-request", "--request-id", asked["Id"])["Request"]["Status"] == "APPROVED"
    assert aws("service-quotas", "get-service-quota", *quota)["Quota"]["Value"] == 3000
    codes = {each["ServiceCode"] for each in aws("service-quotas", "list-services")["Services"]}
    assert codes >= {"ec2", "iam", "vpc"}


def test_the_model_is_complete_enough_for_help(live: Cloud, aws: Aws) -> None:
    from mallee.admin import MODELS

    (file,) = MODELS.glob("mallee/*/service-2.json")
    model = json.loads(file.read_text())
    for name, operation in model["operations"].items():
        assert operation["documentation"].startswith("<p>"), name
        for shape in (operation.get("input"), operation.get("output")):
            for member, reference in model["shapes"][shape["shape"]]["members"].items() if shape else ():
                assert reference.get("documentation", "").startswith("<p>"), f"{name} {member}"


def test_commands_of_accounts(live: Cloud, tmp_path: Path) -> None:
    run = live.command
    made = json.loads(run("account", "create", "Development", "--alias", "dev", "--json").stdout)
    account = made["Account"]["AccountId"]
    assert "dev" in run("account", "list").stdout
    assert json.loads(run("account", "show", account, "--json").stdout)["Name"] == "Development"
    assert exports(run("env", "--account", "dev").stdout)["AWS_ACCESS_KEY_ID"] == made["AccessKey"]["AccessKeyId"]
    assert (live.home / "secrets" / "accounts" / f"{account}.json").stat().st_mode & 0o777 == 0o600
    assert "yes" in run("account", "grant", "dev").stdout
    assert account in run("account", "administrators").stdout
    run("account", "revoke", "dev")
    assert "12" in run("account", "quota", "set", "dev", "ec2/L-0263D0A3", "12").stdout
    found = json.loads(run("account", "quota", "list", "dev", "--service", "ec2", "--json").stdout)
    assert {each["QuotaCode"]: each.get("Value") for each in found}["L-0263D0A3"] == 12
    run("account", "quota", "reset", "dev", "ec2/L-0263D0A3")
    policy = tmp_path / "policy.json"
    condition = {"NumericLessThanEquals": {"iam:quota-usernumber": "1"}}
    statement = {"Effect": "Limit", "Action": "iam:CreateUser", "Resource": "*", "Condition": condition}
    policy.write_text(json.dumps({"Version": "2011-04-01", "Statement": [statement]}))
    run("account", "policy", "put", "dev", "few", str(policy))
    assert json.loads(run("account", "policy", "show", "dev", "few").stdout)["Statement"] == [statement]
    run("user", "create", "one", "--account", "dev")
    told = run("user", "create", "two", "--account", "dev", check=False)
    assert (told.returncode, told.stderr) == (1, "mallee: Cannot exceed quota for UsersPerAccount: 1 (LimitExceeded)\n")
    run("account", "policy", "delete", "dev", "few")
    policy.write_text(
        json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "iam:*", "Resource": "*"}]})
    )
    run("account", "scp", "create", "no-iam", str(policy))
    run("account", "scp", "attach", "no-iam", "dev")
    assert "FullAWSAccess" in run("account", "scp", "list", "--target", "dev").stdout
    assert account in run("account", "scp", "targets", "no-iam").stdout
    assert "AccessDenied" in run("user", "list", "--account", "dev", check=False).stderr
    run("account", "scp", "detach", "no-iam", "dev")
    run("account", "scp", "delete", "no-iam")
    assert "one" in run("user", "list", "--account", "dev").stdout
    assert "SUSPENDED" in run("account", "close", "dev").stdout
    assert run("user", "list", "--account", "dev", check=False).returncode == 1
    run("account", "reopen", "dev")
    before = exports(run("account", "key", "dev").stdout)
    assert exports(run("env", "--account", "dev").stdout)["AWS_ACCESS_KEY_ID"] == before["AWS_ACCESS_KEY_ID"]


def test_commands_of_users(live: Cloud, aws: Aws) -> None:
    run = live.command
    key = exports(run("user", "create", "alice", "--key", "--grant", "AmazonEC2ReadOnlyAccess").stdout)
    assert aws("ec2", "describe-vpcs", **key)["Vpcs"]
    with pytest.raises(Refused, match="UnauthorizedOperation"):
        aws("ec2", "create-key-pair", "--key-name", "k", **key)
    run("user", "grant", "alice")
    aws("ec2", "create-key-pair", "--key-name", "k", **key)
    run("user", "revoke", "alice")
    with pytest.raises(Refused, match="UnauthorizedOperation"):
        aws("ec2", "delete-key-pair", "--key-name", "k", **key)
    password = run("user", "password", "alice", "--generate").stdout
    account = aws("sts", "get-caller-identity")["Account"]
    signed_in = _login(live, account, "alice", password)
    assert aws("sts", "get-caller-identity", **exports(signed_in.stdout))["Arn"].endswith(":user/alice")
    wrong = _login(live, account, "alice", "wrong\n")
    assert (wrong.returncode, wrong.stdout) == (1, "")
    shown = json.loads(run("user", "show", "alice", "--json").stdout)
    assert [each["PolicyName"] for each in shown["AttachedPolicies"]] == ["AmazonEC2ReadOnlyAccess"]
    run("user", "key", "alice", "--delete", key["AWS_ACCESS_KEY_ID"])
    run("user", "delete", "alice")
    assert _login(live, account, "alice", password).returncode == 1
    told = run("user", "delete", "alice", check=False)
    assert (told.returncode, told.stderr) == (1, "mallee: The user with name alice cannot be found. (NoSuchEntity)\n")


def _login(live: Cloud, account: str, user: str, password: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(Path(__file__).parents[2] / "mallee"), "login", account, user, "--password-stdin"],
        env={"PATH": "/usr/bin:/bin", "MALLEE_HOME": str(live.home)},
        input=password,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_commands_say_what_is_wrong(live: Cloud, tmp_path: Path) -> None:
    for words, told in (
        (("account", "show", "nobody"), "There is no account nobody. (AccountNotFoundException)"),
        (("account", "show", "000000000000"), "There is no account 000000000000. (AccountNotFoundException)"),
        (("account", "quota", "set", "mallee", "addresses", "1"), "addresses is no quota: write SERVICE/CODE, such as"),
        (("account", "policy", "put", "mallee", "p", "/nowhere"), "/nowhere cannot be read"),
        (("account", "scp", "show", "nothing"), "there is no service control policy nothing"),
        (("user", "grant", "alice", "NoSuchPolicy"), "there is no managed policy NoSuchPolicy"),
    ):
        done = live.command(*words, check=False)
        assert done.returncode == 1, words
        assert done.stderr.startswith(f"mallee: {told}"), done.stderr
    assert "there is no cloud" in mallee(tmp_path / "nothing", "account", "list", check=False).stderr
