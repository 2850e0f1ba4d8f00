"""Attacks by the form of a request: what is signed against what is read, one protocol against another, and no signature at all."""

from __future__ import annotations

import datetime
import json
import time
from typing import Any
from urllib.parse import quote

import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

from mallee.registry import Registry
from mallee.wire import services
from tests.cloud import attacks, isolation, people, victims
from tests.cloud.attacks import Sent, form, presigned, send, signed, signed_json, unsigned, version2
from tests.cloud.harness import ADMIN, ENDPOINT, Account, TestCloud, _session
from tests.cloud.test_isolation import method, model
from tests.identity import signing

HANDLERS = Registry().handlers()
NOBODY_SIGNS = {"AssumeRoleWithSAML", "AssumeRoleWithWebIdentity", "SignIn"}
REFUSALS = {
    "MissingAuthenticationToken", "MissingAuthenticationTokenException", "AuthFailure", "IncompleteSignature",
    "IncompleteSignatureException", "SignatureDoesNotMatch", "InvalidSignatureException", "InvalidClientTokenId",
    "UnrecognizedClientException", "AccessDenied", "AccessDeniedException",
}  # fmt: skip


def users(cloud: TestCloud) -> list[str]:
    return [each["UserName"] for each in cloud.client("iam").list_users()["Users"]]


@pytest.fixture
def alice(sqlite_cloud: TestCloud) -> Account:
    """She may look at users and nothing else."""
    return people.user(sqlite_cloud, "alice", "iam:ListUsers", "iam:GetUser", "ec2:DescribeVpcs")


# --------------------------------------------------------------------------------------------------------------- anonymous


def anonymous(cloud: TestCloud, service: str) -> Any:
    """A boto3 client that signs nothing."""
    config = Config(signature_version=UNSIGNED, retries={"max_attempts": 0}, parameter_validation=False)
    made = _session().client(service, region_name=attacks.REGION, endpoint_url=ENDPOINT, config=config)
    made.meta.events.register("before-send", cloud._answer)
    return made


def test_only_what_says_so_is_for_everybody() -> None:
    """The models' own word, of every operation that there is."""
    assert {each.operation for each in HANDLERS if services.get(each.service).operation(each.operation).unsigned} == NOBODY_SIGNS


def test_every_operation_wants_a_signature(sqlite_cloud: TestCloud) -> None:
    victim = victims.make(sqlite_cloud)
    maker, clients, before = isolation.Maker({**victim.usual, "s3control.AccountId": victim.account.id}), {}, victim.everything()
    for handler in HANDLERS:
        if handler.operation in NOBODY_SIGNS:
            continue
        client = clients.setdefault(handler.service, anonymous(sqlite_cloud, handler.service))
        asked = maker.required(handler.service, model(sqlite_cloud, handler.service, handler.operation))
        if handler.operation == "DeleteObjects":  # each key is answered for by itself
            told = method(client, handler.operation)(**asked)
            assert {each["Code"] for each in told["Errors"]} == {"AccessDenied"} and not told.get("Deleted")
            continue
        with pytest.raises(ClientError) as caught:
            method(client, handler.operation)(**asked)
        error = caught.value.response
        assert error["ResponseMetadata"]["HTTPStatusCode"] in (400, 401, 403), handler.action
        head = handler.operation in ("HeadBucket", "HeadObject") and error["Error"]["Code"] == "403"  # whose answers have no body
        assert head or error["Error"]["Code"] in REFUSALS, f"{handler.action}: {error}"
        assert not [each for each in before if each in str(error["Error"])], handler.action
    assert sqlite_cloud.cloud.dispatcher.faults == 0


def test_what_nobody_signs_touches_nobody_s_account(sqlite_cloud: TestCloud) -> None:
    """Whatever is put into them, a signature that is broken included, they have no account and no rights."""
    for action, given in (
        (
            "AssumeRoleWithWebIdentity",
            {"RoleArn": f"arn:aws:iam::{ADMIN}:role/x", "RoleSessionName": "me", "WebIdentityToken": "a.b.c"},
        ),
        (
            "AssumeRoleWithSAML",
            {
                "RoleArn": f"arn:aws:iam::{ADMIN}:role/x",
                "PrincipalArn": f"arn:aws:iam::{ADMIN}:saml-provider/p",
                "SAMLAssertion": "PHg+PC94Pg==",
            },
        ),
    ):
        if Registry().handler("sts", action) is None:
            continue
        plain = unsigned("sts", action, **given)
        broken = plain.header("authorization", "AWS4-HMAC-SHA256 Credential=x/20240101/local-1/sts/aws4_request, Signature=0")
        good = signed(sqlite_cloud.admin, "sts", form("sts", action, **given))
        answers = [send(sqlite_cloud, request) for request in (plain, broken, good)]
        assert len({(each.status, each.code) for each in answers}) == 1, [each.text for each in answers]
        assert answers[0].status in (400, 403)


def test_a_health_question_is_nothing_else(sqlite_cloud: TestCloud) -> None:
    body = form("iam", "ListUsers").encode()
    for path in ("/health", "/health/live", "/health/../", "//health", "/health%2f"):
        for verb in ("GET", "HEAD", "POST"):
            told = send(sqlite_cloud, Sent(verb, path, "Action=ListUsers&Version=2010-05-08", (("host", "x"),), body))
            assert "ListUsersResponse" not in told.text


# ------------------------------------------------------------------------------------------------------ what was not signed


def test_which_action_is_asked_is_which_is_done(sqlite_cloud: TestCloud, alice: Account) -> None:
    """``Action`` twice, in the address and in the form: one of them is meant, by everything."""
    permitted, wanted = form("iam", "ListUsers"), form("iam", "CreateUser", UserName="mallory")
    bodies = (
        ("/", permitted + "&Action=CreateUser&UserName=mallory"),
        ("/", wanted + "&Action=ListUsers"),
        (f"/?{permitted}", wanted),
        (f"/?{wanted}", permitted),
        ("/?Action=CreateUser&UserName=mallory", permitted),
        ("/?Action=CreateUser&UserName=mallory", "Version=2010-05-08"),
    )
    for path, body in bodies:
        told = send(sqlite_cloud, signed(alice, "iam", body, path=path))
        assert ("ListUsersResponse" in told.text) or told.code in ("AccessDenied", "ValidationError"), told.text
    assert "mallory" not in users(sqlite_cloud)


def test_a_parameter_given_twice_is_read_once(sqlite_cloud: TestCloud, alice: Account) -> None:
    """What is authorised is what is used, whichever of the two counts."""
    root = sqlite_cloud.client("iam")
    for name in ("mine", "yours"):
        root.create_user(UserName=name)
    document = {"Effect": "Allow", "Action": "iam:DeleteUser", "Resource": f"arn:aws:iam::{ADMIN}:user/mine"}
    text = json.dumps({"Version": "2012-10-17", "Statement": [document]})
    root.put_user_policy(UserName="alice", PolicyName="own", PolicyDocument=text)
    for pair in ("UserName=mine&UserName=yours", "UserName=yours&UserName=mine"):
        root.create_user(UserName="mine") if "mine" not in users(sqlite_cloud) else None
        send(sqlite_cloud, signed(alice, "iam", f"Action=DeleteUser&Version=2010-05-08&{pair}"))
        send(sqlite_cloud, signed(alice, "iam", "Action=DeleteUser&Version=2010-05-08", path=f"/?{pair}"))
    assert "yours" in users(sqlite_cloud)


def test_json_with_one_name_twice(sqlite_cloud: TestCloud) -> None:
    """Read once too: by policies and by the operation alike."""
    who = people.user(sqlite_cloud, "alice", "mallee:DescribeAccount", on=f"arn:aws:mallee:::account/{ADMIN}")
    other = sqlite_cloud.account("other")
    for first, second in ((ADMIN, other.id), (other.id, ADMIN)):
        body = f'{{"AccountId":"{first}","AccountId":"{second}"}}'.encode()
        told = send(sqlite_cloud, signed_json(who, "mallee", "Mallee_20261101.DescribeAccount", body))
        assert other.id not in told.text.replace(f"account/{other.id}", ""), told.text
        assert told.is_done == (second == ADMIN)


@pytest.mark.parametrize(
    "headers",
    [
        {"X-HTTP-Method-Override": "DELETE"},
        {"X-Amz-Target": "Mallee_20261101.CreateAccount"},
        {"X-Amz-Security-Token": "FwoGZXIvYXdzEXAMPLE"},
        {"X-Amz-Date": "20200101T000000Z"},
        {"X-Amz-Content-Sha256": "UNSIGNED-PAYLOAD"},
        {"X-Amz-User-Agent": "aws-internal"},
        {"X-Amz-Source-Account": ADMIN},
    ],
)
def test_a_header_that_came_on_the_way(sqlite_cloud: TestCloud, headers: dict[str, str]) -> None:
    """Nothing that Mallee reads can be added to a request that was signed without it."""
    request = signed(sqlite_cloud.admin, "iam", form("iam", "ListUsers"))
    assert send(sqlite_cloud, request).is_done
    for name, value in headers.items():
        request = request.header(name.lower(), value, again=True)
    told = send(sqlite_cloud, request)
    ignored = "x-http-method-override" in {name for name, _ in request.headers}
    assert told.is_done == ignored, told.text
    assert ignored or told.code in REFUSALS, told.text


def test_a_body_cannot_be_exchanged(sqlite_cloud: TestCloud) -> None:
    """In no form of signature; nor is a content type that was not signed of any use."""
    wanted = form("iam", "CreateUser", UserName="mallory").encode()
    admin = sqlite_cloud.admin
    listing = form("iam", "ListUsers")
    for good in (
        signed(admin, "iam", listing),
        version2(admin, listing),
        presigned(admin, "iam", listing, method="POST"),
        presigned(admin, "iam", listing),
        version2(admin, listing, method="GET"),
    ):
        assert send(sqlite_cloud, good).is_done
        for kind in (None, attacks.FORM, "text/plain", "Application/X-www-form-urlencoded", attacks.JSON, "multipart/form-data"):
            for verb in {good.method, "POST", "PUT"}:
                send(sqlite_cloud, good.but(body=wanted, method=verb).header("content-type", kind))
                query = f"{good.query}&{wanted.decode()}" if good.query else wanted.decode()
                send(sqlite_cloud, good.but(query=query, method=verb).header("content-type", kind))
                moved = good.body.decode() if good.body else good.query
                send(sqlite_cloud, good.but(query=moved, body=wanted, method=verb).header("content-type", kind))
    assert users(sqlite_cloud) == []


def test_a_signed_method_is_the_method(sqlite_cloud: TestCloud) -> None:
    for good in (
        presigned(sqlite_cloud.admin, "iam", form("iam", "ListUsers")),
        signed(sqlite_cloud.admin, "iam", form("iam", "ListUsers")),
    ):
        for verb in {"GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "get"} - {good.method}:
            assert send(sqlite_cloud, good.but(method=verb)).status in (400, 401, 403, 405), verb


def test_head_is_a_request_like_any_other(sqlite_cloud: TestCloud, alice: Account) -> None:
    """A signed HEAD of a form's operation is authorised as the same GET."""
    query = form("iam", "CreateUser", UserName="mallory")
    for verb in ("GET", "HEAD"):
        assert send(sqlite_cloud, presigned(alice, "iam", query, method=verb)).status in (400, 403)
    assert users(sqlite_cloud) == ["alice"]


def test_encoded_names_of_presigned_parameters(sqlite_cloud: TestCloud) -> None:
    """``X-Amz-%53ignature``: decoded once for everybody."""
    good = presigned(sqlite_cloud.admin, "iam", form("iam", "ListUsers"))
    for old, new in (("X-Amz-Signature", "X-Amz-%53ignature"), ("X-Amz-Expires=900", "X-Amz-Expires=604800")):
        told = send(sqlite_cloud, good.but(query=good.query.replace(old, new)))
        assert told.is_done == (old == "X-Amz-Signature"), told.text
    for more in ("&X-Amz-Signature=0", "&X-Amz-%53ignature=0", "&X-Amz-SignedHeaders=host", "&X-Amz-Credential=x", "&UserName=x"):
        assert not send(sqlite_cloud, good.but(query=good.query + more)).is_done
        assert not send(sqlite_cloud, good.but(query=more[1:] + "&" + good.query)).is_done


# ---------------------------------------------------------------------------------------------------------------- presigned


def test_a_presigned_request_is_good_for_one_thing(sqlite_cloud: TestCloud) -> None:
    """For no other service, region, day, host or path."""
    good = presigned(sqlite_cloud.admin, "sts", form("sts", "GetCallerIdentity"))
    assert send(sqlite_cloud, good).is_done
    for old, new in (
        ("%2Fsts%2F", "%2Fiam%2F"),
        ("%2Flocal-1%2F", "%2Feu-west-1%2F"),
        ("GetCallerIdentity", "GetSessionToken"),
        ("2011-06-15", "2011-06-16"),
        ("X-Amz-Date=2", "X-Amz-Date=3"),
        ("SignedHeaders=host", "SignedHeaders=host%3Bx-amz-date"),
    ):
        assert old in good.query
        assert not send(sqlite_cloud, good.but(query=good.query.replace(old, new))).is_done, new
    assert not send(sqlite_cloud, good.header("host", "elsewhere.test")).is_done
    assert not send(sqlite_cloud, good.but(path="/other")).is_done
    ec2 = presigned(sqlite_cloud.admin, "sts", form("ec2", "DescribeVpcs"))
    assert not send(sqlite_cloud, ec2).is_done


def test_a_presigned_request_ends(sqlite_cloud: TestCloud) -> None:
    short = presigned(sqlite_cloud.admin, "iam", form("iam", "ListUsers"), expires=2)
    assert send(sqlite_cloud, short).is_done
    time.sleep(3.1)
    assert send(sqlite_cloud, short).status in (400, 403)


def test_two_signatures_at_once(sqlite_cloud: TestCloud, alice: Account) -> None:
    """One in the header and one in the address, of two people: neither."""
    wanted = form("iam", "CreateUser", UserName="mallory")
    header, query = signed(alice, "iam", form("iam", "ListUsers")), presigned(sqlite_cloud.admin, "iam", form("iam", "ListUsers"))
    both = header.but(query=query.query)
    assert not send(sqlite_cloud, both).is_done
    old = version2(alice, wanted)
    assert not send(sqlite_cloud, query.but(method="POST", body=old.body).header("content-type", attacks.FORM)).is_done
    twice = header.header("authorization", dict(header.headers)["authorization"], again=True)
    assert not send(sqlite_cloud, twice).is_done
    assert users(sqlite_cloud) == ["alice"]


# --------------------------------------------------------------------------------------------------------- session's tokens


def test_a_token_in_two_places(sqlite_cloud: TestCloud) -> None:
    """The one that was signed counts; another beside it makes the request nobody's."""
    one, two = (sqlite_cloud.session(sqlite_cloud.client("sts").get_session_token()["Credentials"], ADMIN) for _ in range(2))
    body = form("sts", "GetCallerIdentity")
    header, query = signed(one, "sts", body), presigned(one, "sts", body)
    for request in (header, query, version2(one, body)):
        assert send(sqlite_cloud, request).is_done
    other = two.credentials.session_token
    assert other is not None
    own = one.credentials.session_token
    assert own is not None
    for token in (other, own):
        assert not send(sqlite_cloud, header.header("x-amz-security-token", token, again=True)).is_done
        assert not send(sqlite_cloud, query.header("x-amz-security-token", token)).is_done
        assert not send(sqlite_cloud, header.but(query=f"X-Amz-Security-Token={quote(token, safe='')}")).is_done
    assert not send(sqlite_cloud, header.header("x-amz-security-token", other)).is_done
    assert not send(sqlite_cloud, header.header("x-amz-security-token", None)).is_done
    for more in (f"SecurityToken={quote(other, safe='')}", "SecurityToken="):
        sent = version2(one, body)
        assert not send(sqlite_cloud, sent.but(body=sent.body + b"&" + more.encode())).is_done


def test_a_temporary_key_without_its_token_is_no_key(sqlite_cloud: TestCloud) -> None:
    told = sqlite_cloud.client("sts").get_session_token()["Credentials"]
    bare = sqlite_cloud.session({**told, "SessionToken": None}, ADMIN)
    body = form("sts", "GetCallerIdentity")
    for request in (signed(bare, "sts", body), presigned(bare, "sts", body), version2(bare, body)):
        assert send(sqlite_cloud, request).code in ("InvalidClientTokenId", "AuthFailure")


# ---------------------------------------------------------------------------------------------------------------- protocols


def test_another_protocol_is_no_way_around(sqlite_cloud: TestCloud) -> None:
    """Every operation in every protocol that its service speaks: nobody who may do nothing does it in any."""
    nobody = people.user(sqlite_cloud, "nobody")
    for handler in HANDLERS:
        service = services.get(handler.service)
        if handler.operation in NOBODY_SIGNS or handler.access.open:
            continue
        scope = service.entry.scopes[0]
        version = service.entry.version
        asked = {
            "form": signed(nobody, scope, f"Action={handler.operation}&Version={version}"),
            "form in the address": presigned(nobody, scope, f"Action={handler.operation}&Version={version}"),
            "json": signed_json(nobody, scope, f"{_target(service)}.{handler.operation}", {}),
            "cbor": signed(
                nobody, scope, "", path=f"/service/{_target(service)}/operation/{handler.operation}",
                headers={"Smithy-Protocol": "rpc-v2-cbor", "Content-Type": "application/cbor"},
            ),
        }  # fmt: skip
        for name, request in asked.items():
            told = send(sqlite_cloud, request)
            assert told.status in (400, 403, 404, 405), f"{handler.action} by {name}: {told.text}"
    assert sqlite_cloud.cloud.dispatcher.faults == 0


def _target(service: Any) -> str:
    return str(getattr(service.entry, "target", None) or f"Amazon{service.name.upper()}")


@pytest.mark.parametrize(
    "version", ["1999-01-01", "2010-05-08\0", "9999-99-99", "2010-05-08&Version=2010-05-08", "", "*", "2016-11-15"]
)
def test_versions_change_nothing(sqlite_cloud: TestCloud, alice: Account, version: str) -> None:
    body = f"Action=CreateUser&UserName=mallory&Version={quote(version, safe='&=')}"
    assert not send(sqlite_cloud, signed(alice, "iam", body)).is_done
    assert users(sqlite_cloud) == ["alice"]


@pytest.mark.parametrize(
    "action",
    ["listusers", "ListUsers ", "ListUsers\n", "iam:ListUsers", "ListUsers%00", "../ListUsers", "__init__", "ＬistUsers"],
)
def test_actions_are_their_names(sqlite_cloud: TestCloud, action: str) -> None:
    told = send(sqlite_cloud, signed(sqlite_cloud.admin, "iam", f"Action={quote(action, safe='%')}&Version=2010-05-08"))
    assert told.status == 400, told.text


def test_what_proxies_say_is_not_believed(sqlite_cloud: TestCloud) -> None:
    """Address and TLS are the connection's, whatever headers claim, signed or not."""
    who = people.user(sqlite_cloud, "alice")
    text = json.dumps({
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": "iam:ListUsers", "Resource": "*", "Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}},
            {"Effect": "Allow", "Action": "iam:ListGroups", "Resource": "*", "Condition": {"Bool": {"aws:SecureTransport": "true"}}},
        ],
    })  # fmt: skip
    sqlite_cloud.client("iam").put_user_policy(UserName="alice", PolicyName="p", PolicyDocument=text)
    claims = {
        "X-Forwarded-For": "10.0.0.1", "Forwarded": "for=10.0.0.1;proto=https", "X-Real-Ip": "10.0.0.1", "True-Client-Ip": "10.0.0.1",
        "X-Forwarded-Proto": "https", "X-Forwarded-Ssl": "on", "Via": "1.1 x",
    }  # fmt: skip
    for action in ("ListUsers", "ListGroups"):
        assert send(sqlite_cloud, signed(who, "iam", form("iam", action), headers=claims)).code == "AccessDenied"
    sqlite_cloud.address, sqlite_cloud.scheme = "10.0.0.1", "https"
    for action in ("ListUsers", "ListGroups"):
        assert send(sqlite_cloud, signed(who, "iam", form("iam", action))).is_done


# -------------------------------------------------------------------------------------------------------------- enormous


@pytest.mark.parametrize(
    "body",
    [
        "Action=TagUser&Version=2010-05-08&UserName=u&" + "&".join(f"Tags.member.{n}.Key=k{n}" for n in range(99_000)),
        "Action=ListUsers&Version=2010-05-08&" + "&" * 1_900_000,
        "Action=ListUsers&Version=2010-05-08&" + "&".join(f"a{n}=" for n in range(150_000)),
        "Action=TagUser&Version=2010-05-08&UserName=u&Tags" + ".member.1" * 200_000 + ".Key=k",
        "Action=TagUser&Version=2010-05-08&UserName=u&Tags.member." + "9" * 1_000_000 + ".Key=k",
        "Action=GetUser&Version=2010-05-08&UserName=" + "a" * 1_900_000,
        "Action=GetUser&Version=2010-05-08&UserName=" + "%" * 1_900_000,
        "Action=GetUser&Version=2010-05-08&UserName=" + "%F0%9F%98%80" * 150_000,
        "Action=CreatePolicy&Version=2010-05-08&PolicyName=p&PolicyDocument=" + "%7B%22a%22%3A" * 120_000,
        "Action=CreatePolicy&Version=2010-05-08&PolicyName=p&PolicyDocument=" + "[" * 1_900_000,
        "Action=SimulateCustomPolicy&Version=2010-05-08&" + "&".join(f"ActionNames.member.{n}=a:b" for n in range(90_000)),
    ],
    ids=["tags", "separators", "members", "levels", "index", "name", "percent", "emoji", "nested", "brackets", "actions"],
)  # fmt: skip
def test_an_enormous_form_is_refused_in_bounded_time(sqlite_cloud: TestCloud, body: str) -> None:
    began = time.perf_counter()
    told = send(sqlite_cloud, signed(sqlite_cloud.admin, "iam", body))
    took = time.perf_counter() - began
    assert told.status in (400, 404, 409, 413) or "ListUsersResponse" in told.text, told.text[:500]
    assert took < 5, f"{took:.1f} s"
    assert len(told.text) < 20_000
    assert sqlite_cloud.cloud.dispatcher.faults == 0


# ------------------------------------------------------------------------------------------------------------------ replays


def test_a_request_that_was_caught_is_good_for_minutes_and_for_nothing_else(sqlite_cloud: TestCloud) -> None:
    """A signature says when it was made; later, or by a clock that is ahead, it is none. Within, it is the same request again."""
    for minutes, good in ((0, True), (-4, True), (-6, False), (6, False), (-60, False), (-60 * 24 * 365, False)):
        moment = datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=minutes)
        with signing.at(moment):
            caught = signed(sqlite_cloud.admin, "sts", form("sts", "GetCallerIdentity"))
        for _ in range(2):
            assert send(sqlite_cloud, caught).is_done == good, minutes
    stamp = dict(caught.headers)["x-amz-date"]
    fresh = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%SZ")
    renewed = caught.header("x-amz-date", fresh)
    assert send(sqlite_cloud, renewed).code == "SignatureDoesNotMatch"
    authorization = dict(caught.headers)["authorization"].replace(stamp[:8], fresh[:8])
    assert send(sqlite_cloud, renewed.header("authorization", authorization)).code == "SignatureDoesNotMatch"
