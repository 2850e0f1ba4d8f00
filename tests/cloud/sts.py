"""What the tests of STS share: roles with policies, users with policies, and sessions made of STS's answers."""

from __future__ import annotations

import json
from typing import Any

from tests.cloud.harness import Account, TestCloud


def policy(*statements: dict[str, Any], **one: Any) -> str:
    """A policy of these statements, or of one that is given by its elements in small letters."""
    if one:
        statements = ({name.capitalize(): value for name, value in one.items()},)
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **each} for each in statements]})


def allow(*actions: str, **more: Any) -> str:
    return policy({"Action": list(actions), "Resource": "*", **more})


def trust(*principals: str, actions: tuple[str, ...] = ("sts:AssumeRole",), **condition: Any) -> str:
    """A trust policy for AWS principals; further arguments are its condition."""
    statement: dict[str, Any] = {"Principal": {"AWS": list(principals)}, "Action": list(actions)}
    if condition:
        statement["Condition"] = condition
    return policy(statement)


def role(account: Account, name: str, trusted: str, *actions: str, **options: Any) -> str:
    """A new role that may do ``actions`` on everything: its ARN."""
    iam = account.client("iam")
    made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trusted, **options)["Role"]
    if actions:
        iam.put_role_policy(RoleName=name, PolicyName="may", PolicyDocument=allow(*actions))
    return str(made["Arn"])


def user(account: Account, name: str, *actions: str, **options: Any) -> Account:
    """A new user with a key that may do ``actions`` on everything."""
    iam = account.client("iam")
    iam.create_user(UserName=name, **options)
    if actions:
        iam.put_user_policy(UserName=name, PolicyName="may", PolicyDocument=allow(*actions))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    from mallee.identity.setup import Credentials

    return Account(account.cloud, Credentials(account.id, key["AccessKeyId"], key["SecretAccessKey"]))


def assume(who: Account, arn: str, name: str = "me", **options: Any) -> Account:
    told = who.client("sts").assume_role(RoleArn=arn, RoleSessionName=name, **options)
    return who.cloud.session(told["Credentials"], arn.split(":")[4])


def session(who: Account, **options: Any) -> Account:
    return who.cloud.session(who.client("sts").get_session_token(**options)["Credentials"], who.id)


def identity(who: Account) -> str:
    return str(who.client("sts").get_caller_identity()["Arn"])


__all__ = ["Account", "TestCloud", "allow", "assume", "identity", "policy", "role", "session", "trust", "user"]
