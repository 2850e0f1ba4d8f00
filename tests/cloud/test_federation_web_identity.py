"""AssumeRoleWithWebIdentity, against an OpenID Connect provider of our own that really answers on loopback."""

from __future__ import annotations

import datetime
import hmac
import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from mallee.identity.federation import fetching
from mallee.store import Database, ManualClock, schema
from tests.cloud import idp
from tests.cloud.harness import ADMIN, TestCloud, refused
from tests.cloud.sts import allow, assume, identity, policy, role, trust

ACTION = "sts:AssumeRoleWithWebIdentity"
LOOPBACK = ("127.0.0.0/8", "::1/128")
NO_KEY = (
    "Couldn't retrieve verification key from your identity provider, please reference AssumeRoleWithWebIdentity "
    "documentation for requirements"
)


@pytest.fixture(scope="module")
def _issuer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[idp.Issuer]:
    made = idp.Issuer(tmp_path_factory.mktemp("issuer"))
    yield made
    made.close()


@pytest.fixture
def issuer(_issuer: idp.Issuer) -> idp.Issuer:
    _issuer.answers.clear()
    _issuer.asked.clear()
    if list(_issuer.keys) != ["rsa-1"]:
        _issuer.rotate("rsa-1")
    return _issuer


@pytest.fixture
def cloud(tmp_path: Path, _empty_database: Path) -> Iterator[TestCloud]:
    """A cloud that looks for issuers on loopback."""
    clock = ManualClock()
    shutil.copy(_empty_database, tmp_path / "cloud.db")
    database = Database(f"sqlite:///{tmp_path}/cloud.db", clock, synchronous=False)
    made = TestCloud(tmp_path / "home", database, clock, federation_networks=LOOPBACK)
    yield made
    made.close()
    database.close()


@pytest.fixture
def arn(cloud: TestCloud, issuer: idp.Issuer) -> str:
    """A role that trusts the issuer's client-1."""
    return trusting(cloud, issuer, "Web", {"StringEquals": {f"{issuer.host}:aud": "client-1"}}, "ec2:DescribeVpcs")


def provider(cloud: TestCloud, issuer: idp.Issuer, account: Any = None, **more: Any) -> str:
    given = {"ClientIDList": ["client-1", "client-2"], "ThumbprintList": [idp.thumbprint(issuer.authority)]} | more
    iam = (account or cloud.admin).client("iam")
    return str(iam.create_open_id_connect_provider(Url=issuer.url, **given)["OpenIDConnectProviderArn"])


def trusting(
    cloud: TestCloud, issuer: idp.Issuer, name: str, condition: Any, *may: str, actions: tuple[str, ...] = (ACTION,)
) -> str:
    where = f"arn:aws:iam::{ADMIN}:oidc-provider/{issuer.host}"
    if not any(
        each["Arn"] == where for each in cloud.client("iam").list_open_id_connect_providers()["OpenIDConnectProviderList"]
    ):
        provider(cloud, issuer)
    statement = {"Principal": {"Federated": where}, "Action": list(actions), "Condition": condition}
    return role(cloud.admin, name, policy(statement), *may)


def enter(cloud: TestCloud, arn: str, token: str, **options: Any) -> dict[str, Any]:
    """Nobody signs: boto3 needs no keys for it."""
    sts = cloud.client("sts", signature_version=__import__("botocore").UNSIGNED)
    told: dict[str, Any] = sts.assume_role_with_web_identity(RoleArn=arn, RoleSessionName="me", WebIdentityToken=token, **options)
    return told


# ---------------------------------------------------------------------------------------------------------------- believed


def test_a_token_is_exchanged(cloud: TestCloud, issuer: idp.Issuer, arn: str) -> None:
    told = enter(cloud, arn, issuer.token(cloud.clock.now()))
    assert told["SubjectFromWebIdentityToken"] == "user-1" and told["Audience"] == "client-1"
    assert told["Provider"] == f"arn:aws:iam::{ADMIN}:oidc-provider/{issuer.host}"
    assert told["AssumedRoleUser"]["Arn"] == f"arn:aws:sts::{ADMIN}:assumed-role/Web/me"
    me = cloud.session(told["Credentials"])
    assert me.client("ec2").describe_vpcs()["Vpcs"] and identity(me).endswith(":assumed-role/Web/me")
    with refused("UnauthorizedOperation"):
        me.client("ec2").describe_subnets()
    assert issuer.asked == ["/.well-known/openid-configuration", "/jwks"]
    enter(cloud, arn, issuer.token(cloud.clock.now(), sub="user-2"))
    assert len(issuer.asked) == 2  # the keys are remembered


def test_on_both_databases(tmp_path: Path, database: Database, clock: ManualClock, issuer: idp.Issuer) -> None:
    schema.load()
    schema.create(database)
    cloud = TestCloud(tmp_path / "home", database, clock, federation_networks=LOOPBACK)
    try:
        arn = trusting(cloud, issuer, "Web", {})
        assert identity(cloud.session(enter(cloud, arn, issuer.token(clock.now()))["Credentials"])).endswith("/Web/me")
    finally:
        cloud.close()


@pytest.mark.parametrize(
    ("algorithm", "curve"),
    [("RS256", None), ("RS384", None), ("RS512", None), ("ES256", ec.SECP256R1()), ("ES384", ec.SECP384R1()), ("ES512", ec.SECP521R1())],
)  # fmt: skip
def test_every_algorithm(cloud: TestCloud, issuer: idp.Issuer, arn: str, algorithm: str, curve: Any) -> None:
    issuer.add("another", curve)
    enter(cloud, arn, issuer.token(cloud.clock.now(), "another", algorithm))


def test_the_key_may_be_unnamed(cloud: TestCloud, issuer: idp.Issuer, arn: str) -> None:
    import jwt

    now = int(cloud.clock.now().timestamp())
    claims = {"iss": issuer.url, "sub": "u", "aud": ["other", "client-1"], "iat": now, "exp": now + 60}
    issuer.add("ec", ec.SECP256R1())
    enter(cloud, arn, jwt.encode(claims, issuer.keys["rsa-1"], "RS256"))


def test_the_session_s_policies_tags_and_length(cloud: TestCloud, issuer: idp.Issuer) -> None:
    actions = (ACTION, "sts:TagSession", "sts:SetSourceIdentity")
    arn = trusting(cloud, issuer, "Tagged", {"StringEquals": {"aws:RequestTag/team": "red"}}, "sts:*", actions=actions)
    second = role(
        cloud.admin,
        "Second",
        trust(
            arn,
            actions=("sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"),
            StringEquals={"aws:PrincipalTag/Team": "red"},
        ),
    )
    tags = {"principal_tags": {"Team": ["red"], "cost": ["1"]}, "transitive_tag_keys": ["Team"]}
    token = issuer.token(
        cloud.clock.now(), **{"https://aws.amazon.com/tags": tags, "https://aws.amazon.com/source_identity": "Alice"}
    )
    told = enter(cloud, arn, token, DurationSeconds=900)
    assert told["SourceIdentity"] == "Alice" and told["PackedPolicySize"] > 0
    assert told["Credentials"]["Expiration"] == cloud.clock.now() + datetime.timedelta(seconds=900)
    me = cloud.session(told["Credentials"])
    assume(me, second)
    flat = {
        "https://aws.amazon.com/tags/principal_tags/Team": "red",
        "https://aws.amazon.com/tags/transitive_tag_keys": "Team",
        "https://aws.amazon.com/source_identity": "Alice",
    }
    assume(cloud.session(enter(cloud, arn, issuer.token(cloud.clock.now(), **flat))["Credentials"]), second)
    narrowed = cloud.session(enter(cloud, arn, token, Policy=allow("ec2:*"))["Credentials"])
    with refused("AccessDenied"):
        assume(narrowed, second)
    with refused("AccessDenied") as message:
        enter(cloud, arn, issuer.token(cloud.clock.now()))
    assert message() == f"Not authorized to perform {ACTION}"
    with refused("ValidationError"):
        enter(cloud, arn, token, DurationSeconds=3601)


def test_what_a_role_may_ask_of_the_caller(cloud: TestCloud, issuer: idp.Issuer) -> None:
    host = issuer.host
    condition = {
        "StringEquals": {f"{host}:aud": "client-2", "sts:RoleSessionName": "me"},
        "StringLike": {f"{host}:sub": "repo:org/*"},
        "ForAnyValue:StringEquals": {f"{host}:amr": ["mfa"]},
        "ArnLike": {"aws:FederatedProvider": f"arn:aws:iam::{ADMIN}:oidc-provider/{host}"},
    }
    arn = trusting(cloud, issuer, "Strict", condition)
    good = {"aud": "client-2", "sub": "repo:org/app", "amr": ["pwd", "mfa"]}
    enter(cloud, arn, issuer.token(cloud.clock.now(), **good))
    for wrong in ({"aud": "client-1"}, {"sub": "repo:orga/app"}, {"amr": ["pwd"]}, {"amr": None}, {"sub": "x/repo:org/app"}):
        with refused("AccessDenied", 403) as message:
            enter(cloud, arn, issuer.token(cloud.clock.now(), **(good | wrong)))
        assert message() == f"Not authorized to perform {ACTION}"


def test_the_session_remembers_who_vouched(cloud: TestCloud, issuer: idp.Issuer) -> None:
    host = issuer.host
    may = allow(
        "ec2:DescribeVpcs", Condition={"StringEquals": {f"{host}:sub": "user-1"}, "Null": {"aws:FederatedProvider": "false"}}
    )
    arn = trusting(cloud, issuer, "Web", {})
    cloud.client("iam").put_role_policy(RoleName="Web", PolicyName="may", PolicyDocument=may)
    cloud.session(enter(cloud, arn, issuer.token(cloud.clock.now()))["Credentials"]).client("ec2").describe_vpcs()
    other = cloud.session(enter(cloud, arn, issuer.token(cloud.clock.now(), sub="user-2"))["Credentials"])
    with refused("UnauthorizedOperation"):
        other.client("ec2").describe_vpcs()


# ---------------------------------------------------------------------------------------------------------------- refused


def test_a_missing_role_and_one_that_trusts_others_are_the_same(cloud: TestCloud, issuer: idp.Issuer, arn: str) -> None:
    plain = role(cloud.admin, "Plain", trust(ADMIN))
    signed_only = trusting(cloud, issuer, "Wrong", {}, actions=("sts:AssumeRoleWithSAML",))
    for missing in (f"arn:aws:iam::{ADMIN}:role/None", plain, signed_only, f"arn:aws:iam::{ADMIN}:role/x/Web"):
        with refused("AccessDenied", 403) as message:
            enter(cloud, missing, issuer.token(cloud.clock.now()))
        assert message() == f"Not authorized to perform {ACTION}"


def test_the_provider_must_be_the_role_s_account_s(cloud: TestCloud, issuer: idp.Issuer, arn: str) -> None:
    other = cloud.account("other")
    theirs = role(other, "Theirs", policy({"Principal": {"Federated": f"arn:aws:iam::{ADMIN}:oidc-provider/{issuer.host}"},
                                           "Action": ACTION}))  # fmt: skip
    for role_arn in (theirs, "arn:aws:iam::999999999999:role/None", "arn:aws:iam::x:role/None", "nothing-at-all-" * 2):
        with refused("InvalidIdentityToken", 400) as message:
            enter(cloud, role_arn, issuer.token(cloud.clock.now()))
        assert message() == f"No OpenIDConnect provider found in your account for {issuer.url}"
    provider(cloud, issuer, other)
    with refused("AccessDenied"):  # its own provider, which the role does not name
        enter(cloud, theirs, issuer.token(cloud.clock.now()))


BAD_CLAIMS: list[tuple[dict[str, Any], str]] = [
    ({"exp": -1}, "ExpiredTokenException"),
    ({"exp": 0}, "ExpiredTokenException"),
    ({"exp": None}, "InvalidIdentityToken"),
    ({"exp": "tomorrow"}, "InvalidIdentityToken"),
    ({"exp": True}, "InvalidIdentityToken"),
    ({"exp": 1e300}, "InvalidIdentityToken"),
    ({"iat": None}, "InvalidIdentityToken"),
    ({"iat": 301}, "InvalidIdentityToken"),
    ({"nbf": 301}, "InvalidIdentityToken"),
    ({"aud": "somebody-else"}, "InvalidIdentityToken"),
    ({"aud": ["a", "b"]}, "InvalidIdentityToken"),
    ({"aud": None}, "InvalidIdentityToken"),
    ({"aud": {"client-1": 1}}, "InvalidIdentityToken"),
    ({"azp": "somebody-else"}, "InvalidIdentityToken"),
    ({"aud": "somebody-else", "azp": "client-1"}, "InvalidIdentityToken"),
    ({"azp": ["client-1"]}, "InvalidIdentityToken"),
    ({"sub": None}, "InvalidIdentityToken"),
    ({"sub": ""}, "InvalidIdentityToken"),
    ({"sub": "s" * 256}, "InvalidIdentityToken"),
    ({"sub": 7}, "InvalidIdentityToken"),
    ({"iss": "https://evil.example.com"}, "InvalidIdentityToken"),
    ({"iss": None}, "InvalidIdentityToken"),
    ({"amr": {"a": 1}}, "InvalidIdentityToken"),
    ({"https://aws.amazon.com/tags": "x"}, "InvalidIdentityToken"),
    ({"https://aws.amazon.com/tags": {"principal_tags": {"a": ["b", "c"]}}}, "InvalidIdentityToken"),
    ({"https://aws.amazon.com/tags": {"principal_tags": {"aws:x": "b"}}}, "InvalidIdentityToken"),
    ({"https://aws.amazon.com/tags": {"principal_tags": {}, "transitive_tag_keys": ["z"]}}, "InvalidIdentityToken"),
    ({"https://aws.amazon.com/source_identity": "a b"}, "InvalidIdentityToken"),
]


@pytest.mark.parametrize(("claims", "code"), BAD_CLAIMS, ids=[json.dumps(claims)[:60] for claims, _ in BAD_CLAIMS])
def test_claims_that_are_not_good(cloud: TestCloud, issuer: idp.Issuer, arn: str, claims: dict[str, Any], code: str) -> None:
    now = cloud.clock.now()
    moments = {name: value for name, value in claims.items() if name in ("exp", "iat", "nbf")}
    for claim, value in moments.items():
        if isinstance(value, int) and not isinstance(value, bool):
            claims = claims | {claim: int(now.timestamp()) + value}
    import jwt

    told = {"iss": issuer.url, "sub": "user-1", "aud": "client-1", "iat": int(now.timestamp()), "exp": int(now.timestamp()) + 60}
    whole = {name: value for name, value in (told | claims).items() if value is not None}
    # signed as JSON is, whatever PyJWT thinks of the claims
    token = jwt.api_jws.encode(json.dumps(whole).encode(), issuer.keys["rsa-1"], "RS256", {"kid": "rsa-1"})
    with refused(code, 400):
        enter(cloud, arn, token)


def test_a_token_ends(cloud: TestCloud, issuer: idp.Issuer, arn: str) -> None:
    """It can be used again until it does, as with AWS."""
    token = issuer.token(cloud.clock.now())
    enter(cloud, arn, token)
    enter(cloud, arn, token)
    cloud.clock.advance(600)
    with refused("ExpiredTokenException", 400) as message:
        enter(cloud, arn, token)
    assert message() == "Token expired: current date/time must be before the expiration date/time"


def test_signatures_that_are_none(cloud: TestCloud, issuer: idp.Issuer, arn: str) -> None:
    now = cloud.clock.now()
    good = issuer.token(now)
    public = issuer.keys["rsa-1"].public_key()
    encoding, form = serialization.Encoding, serialization.PublicFormat
    secrets = [
        public.public_bytes(encoding.PEM, form.SubjectPublicKeyInfo),
        public.public_bytes(encoding.DER, form.SubjectPublicKeyInfo),
        json.dumps(issuer.jwk("rsa-1")).encode(),
        b"",
    ]
    bad = [
        idp.unsigned(good, {"alg": "none", "kid": "rsa-1"}, signature=b""),
        idp.unsigned(good, {"alg": "None", "kid": "rsa-1"}),
        idp.unsigned(good, {"alg": "RS256", "kid": "rsa-1"}, signature=b""),
        idp.unsigned(good, {"alg": "RS256", "kid": "rsa-1"}, {"iss": issuer.url, "sub": "root", "aud": "client-1"}),
        idp.unsigned(good, {"alg": "RS256", "kid": "rsa-1", "crit": ["b64"], "b64": False}),
        idp.unsigned(good, {"alg": "ES256", "kid": "rsa-1"}),
        idp.unsigned(good, {"alg": "PS256", "kid": "rsa-1"}),
        idp.unsigned(good, {"alg": ["RS256"], "kid": "rsa-1"}),
        good[:-2],
        good[:-8] + "AAAAAAAA",
        good + "A",
        good.rpartition(".")[0],
        "a..b",
        "a.b.c",
        "é.é.é",
        ".".join(["[" * 5000] * 3),
    ]
    for secret in secrets:  # the public key as a shared secret
        for algorithm, digest in (("HS256", "sha256"), ("HS512", "sha512")):
            forged = idp.unsigned(good, {"alg": algorithm, "kid": "rsa-1"})
            text = forged.rpartition(".")[0]
            head = {"alg": algorithm, "kid": "rsa-1"}
            bad.append(idp.unsigned(good, head, signature=hmac.digest(secret or b"\0", text.encode(), digest)))
    for token in bad:
        with refused("InvalidIdentityToken", 400):
            enter(cloud, arn, token)


def test_a_key_that_the_token_brings_along(cloud: TestCloud, issuer: idp.Issuer, arn: str, tmp_path: Path) -> None:
    """jwk, jku and x5u in the head name keys that nobody trusts; nothing is fetched from there."""
    import jwt

    other = idp.Issuer(tmp_path)
    try:
        now = int(cloud.clock.now().timestamp())
        claims = {"iss": issuer.url, "sub": "root", "aud": "client-1", "iat": now, "exp": now + 60}
        head = {"kid": "rsa-1", "jku": f"{other.url}/jwks", "x5u": f"{other.url}/jwks", "jwk": other.jwk("rsa-1")}
        with refused("InvalidIdentityToken"):
            enter(cloud, arn, jwt.encode(claims, other.keys["rsa-1"], "RS256", head))
        assert other.asked == []
    finally:
        other.close()


def test_keys_that_are_for_something_else(cloud: TestCloud, issuer: idp.Issuer, arn: str) -> None:
    usual = issuer.jwk("rsa-1")
    issuer.add("weak", bits=1024)
    for keys, kid in (
        ([{**usual, "use": "enc"}], "rsa-1"),
        ([{**usual, "alg": "RS512"}], "rsa-1"),
        ([{**usual, "key_ops": ["encrypt"]}], "rsa-1"),
        ([{**usual, "kty": "oct", "k": "c2VjcmV0"}], "rsa-1"),
        ([{"kid": "rsa-1", "kty": "RSA", "use": "sig", "n": "!", "e": "AQAB"}], "rsa-1"),
        ([issuer.jwk("weak")], "weak"),
        ([], "rsa-1"),
    ):
        cloud.cloud.tools.issuers._known.clear()
        issuer.answers["/jwks"] = lambda handler, keys=keys: idp.answer(handler, {"keys": keys})
        with refused("InvalidIdentityToken"):
            enter(cloud, arn, issuer.token(cloud.clock.now(), kid))


def test_providers_of_oauth_are_none(cloud: TestCloud, issuer: idp.Issuer, arn: str) -> None:
    with refused("ValidationError"):
        enter(cloud, arn, issuer.token(cloud.clock.now()), ProviderId="www.amazon.com")


# ------------------------------------------------------------------------------------------------------------------- keys


def test_a_rotation_is_seen_at_once_and_not_asked_for_each_time(cloud: TestCloud, issuer: idp.Issuer, arn: str) -> None:
    issuers = cloud.cloud.tools.issuers
    moment = [1000.0]
    issuers.monotonic = lambda: moment[0]
    old = issuer.token(cloud.clock.now())
    enter(cloud, arn, old)
    moment[0] += 31
    issuer.rotate("ec-2", ec.SECP256R1())
    enter(cloud, arn, issuer.token(cloud.clock.now()))
    assert len(issuer.asked) == 4
    with refused("InvalidIdentityToken"):  # the old key is no longer one
        enter(cloud, arn, old)
    assert len(issuer.asked) == 4
    moment[0] += 31
    for _ in range(5):
        with refused("InvalidIdentityToken"):
            enter(cloud, arn, old)
    assert len(issuer.asked) == 6


def test_known_keys_outlive_an_issuer_s_absence_for_an_hour(cloud: TestCloud, issuer: idp.Issuer, arn: str) -> None:
    moment = [1000.0]
    cloud.cloud.tools.issuers.monotonic = lambda: moment[0]
    enter(cloud, arn, issuer.token(cloud.clock.now()))
    issuer.answers["/jwks"] = lambda handler: idp.answer(handler, b"", 503)
    moment[0] += 301
    enter(cloud, arn, issuer.token(cloud.clock.now()))
    moment[0] += 3600
    with refused("IDPCommunicationError", 400):
        enter(cloud, arn, issuer.token(cloud.clock.now()))
    issuer.answers.clear()
    with refused("IDPCommunicationError", 400):  # not so soon
        enter(cloud, arn, issuer.token(cloud.clock.now()))
    moment[0] += 61
    enter(cloud, arn, issuer.token(cloud.clock.now()))


def test_answers_that_are_no_issuer_s(cloud: TestCloud, issuer: idp.Issuer, arn: str) -> None:
    discovery, keys = "/.well-known/openid-configuration", "/jwks"
    issuers = cloud.cloud.tools.issuers
    unusable: list[tuple[str, Any, int, dict[str, str]]] = [
        (discovery, b"not json", 200, {}),
        (discovery, b"[" * 100_000, 200, {}),
        (discovery, [], 200, {}),
        (discovery, {"issuer": "https://other", "jwks_uri": f"{issuer.url}/jwks"}, 200, {}),
        (discovery, {"issuer": issuer.url}, 200, {}),
        (discovery, {"issuer": issuer.url, "jwks_uri": "http://localhost/jwks"}, 200, {}),
        (discovery, {"issuer": issuer.url, "jwks_uri": "file:///etc/passwd"}, 200, {}),
        (discovery, {"issuer": issuer.url, "jwks_uri": f"https://u:p@{issuer.host}/jwks"}, 200, {}),
        (discovery, {"issuer": issuer.url, "jwks_uri": f"{issuer.url}/jwks\r\nX: y"}, 200, {}),
        (discovery, {"issuer": issuer.url, "jwks_uri": "https://169.254.169.254/latest"}, 200, {}),
        (discovery, b"", 302, {"Location": f"{issuer.url}/elsewhere"}),
        (discovery, b"", 404, {}),
        (keys, {"keys": {}}, 200, {}),
        (keys, {"keys": [{}] * 101}, 200, {}),
        (keys, b" " * (fetching.MOST_BYTES + 1), 200, {}),
    ]
    for path, body, status, headers in unusable:
        issuers._pauses.clear()
        issuer.answers = {path: lambda handler, b=body, s=status, h=headers: idp.answer(handler, b, s, **h)}
        with refused("InvalidIdentityToken", 400) as message:
            enter(cloud, arn, issuer.token(cloud.clock.now()))
        assert message() == NO_KEY
    assert "/elsewhere" not in issuer.asked


def test_a_slow_issuer_costs_seconds_and_only_its_own_account(
    cloud: TestCloud, issuer: idp.Issuer, arn: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(fetching, "SECONDS", 1.0)
    issuer.answers["/jwks"] = idp.slowly
    began = time.monotonic()
    with refused("IDPCommunicationError", 400):
        enter(cloud, arn, issuer.token(cloud.clock.now()))
    assert time.monotonic() - began < 4
    began = time.monotonic()
    with refused("IDPCommunicationError", 400):
        enter(cloud, arn, issuer.token(cloud.clock.now()))
    assert time.monotonic() - began < 0.9  # it was not asked again
    other, second = cloud.account("other"), idp.Issuer(tmp_path)
    try:
        where = provider(cloud, second, other)
        fine = role(other, "Web", policy({"Principal": {"Federated": where}, "Action": ACTION}))
        enter(cloud, fine, second.token(cloud.clock.now()))
    finally:
        second.close()


# --------------------------------------------------------------------------------------------------------------------- TLS


def test_how_the_issuer_is_known(cloud: TestCloud, issuer: idp.Issuer, arn: str) -> None:
    iam = cloud.client("iam")
    where = f"arn:aws:iam::{ADMIN}:oidc-provider/{issuer.host}"
    issuers = cloud.cloud.tools.issuers
    for thumbprints, fine in (
        ([idp.thumbprint(issuer.authority)], True),
        ([idp.thumbprint(issuer.leaf)], True),
        (["0" * 40, idp.thumbprint(issuer.leaf).upper()], True),
        (["0" * 40], False),
    ):
        issuers._known.clear()
        issuers._pauses.clear()
        iam.update_open_id_connect_provider_thumbprint(OpenIDConnectProviderArn=where, ThumbprintList=thumbprints)
        if fine:
            enter(cloud, arn, issuer.token(cloud.clock.now()))
        else:
            with refused("InvalidIdentityToken", 400) as message:
                enter(cloud, arn, issuer.token(cloud.clock.now()))
            assert message() == NO_KEY


def test_a_certificate_for_another_name(cloud: TestCloud, tmp_path: Path) -> None:
    """The thumbprint is right, the name is not."""
    other = idp.Issuer(tmp_path, names=("idp.example.com",))
    try:
        arn = trusting(cloud, other, "Other", {})
        with refused("InvalidIdentityToken"):
            enter(cloud, arn, other.token(cloud.clock.now()))
    finally:
        other.close()


def test_nothing_on_this_machine_is_asked_unless_the_settings_allow_it(sqlite_cloud: TestCloud, issuer: idp.Issuer) -> None:
    arn = trusting(sqlite_cloud, issuer, "Web", {})
    with refused("InvalidIdentityToken", 400) as message:
        enter(sqlite_cloud, arn, issuer.token(sqlite_cloud.clock.now()))
    assert message() == NO_KEY and issuer.asked == []
