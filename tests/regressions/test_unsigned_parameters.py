"""A version 2 signature covers parameters. A request that named none of them in its form, because the form had no content type (or
one in other letters), or that asked by header and JSON, was believed with a body that nobody had signed."""

from __future__ import annotations

import pytest

from tests.cloud import attacks
from tests.cloud.harness import TestCloud


@pytest.mark.parametrize("kind", [None, "Application/X-WWW-Form-Urlencoded"])
def test_a_form_that_version_2_did_not_sign(sqlite_cloud: TestCloud, kind: str | None) -> None:
    good = attacks.version2(sqlite_cloud.admin, attacks.form("iam", "ListUsers").replace("%20", "+"))
    assert attacks.send(sqlite_cloud, good).is_done
    smuggled = attacks.form("iam", "CreateUser", UserName="mallory").encode()
    moved = good.but(query=good.body.decode(), body=smuggled).header("content-type", kind)
    assert attacks.send(sqlite_cloud, moved).code == "SignatureDoesNotMatch"
    assert sqlite_cloud.client("iam").list_users()["Users"] == []


def test_a_body_of_another_protocol_is_none_of_version_2(sqlite_cloud: TestCloud) -> None:
    good = attacks.version2(sqlite_cloud.admin, attacks.form("iam", "ListUsers"))
    target = ("x-amz-target", "Mallee_20261101.CreateAccount")
    asked = good.but(query=good.body.decode(), body=b'{"Name":"mine","CreateAccessKey":true}')
    asked = asked.but(headers=(("host", "mallee.test:8773"), ("content-type", attacks.JSON), target))
    answer = attacks.send(sqlite_cloud, asked)
    assert answer.status in (400, 403), answer.text
    assert [each["Name"] for each in sqlite_cloud.client("mallee").list_accounts()["Accounts"]] != ["mine"]
    assert len(sqlite_cloud.client("mallee").list_accounts()["Accounts"]) == 1
