"""AssumeRoleWithSAML, with assertions of a provider of our own: what is believed, and every way of forging one."""

from __future__ import annotations

import base64
import datetime
import hashlib
import re
from typing import Any

import botocore
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from lxml import etree

from tests.cloud import idp, saml_idp
from tests.cloud.harness import ADMIN, TestCloud, refused
from tests.cloud.saml_idp import AWS, Provider, encoded, encrypted, response
from tests.cloud.sts import allow, assume, identity, policy, role, trust

ACTION = "sts:AssumeRoleWithSAML"
PROVIDER = f"arn:aws:iam::{ADMIN}:saml-provider/Corp"
ROLE = f"arn:aws:iam::{ADMIN}:role/Staff"
PAIR = ((ROLE, PROVIDER),)
SHARED = Provider()


@pytest.fixture
def cloud(sqlite_cloud: TestCloud) -> TestCloud:
    prepared(sqlite_cloud)
    return sqlite_cloud


def prepared(cloud: TestCloud, provider: Provider = SHARED, **more: Any) -> None:
    cloud.client("iam").create_saml_provider(Name="Corp", SAMLMetadataDocument=provider.metadata, **more)
    condition = {"StringEquals": {"saml:aud": saml_idp.RECIPIENT}}
    role(cloud.admin, "Staff", trusting(condition), "ec2:DescribeVpcs")


def trusting(condition: Any, *actions: str) -> str:
    return policy({"Principal": {"Federated": PROVIDER}, "Action": [ACTION, *actions], "Condition": condition})


def enter(cloud: TestCloud, text: str, role_arn: str = ROLE, provider_arn: str = PROVIDER, **options: Any) -> dict[str, Any]:
    sts = cloud.client("sts", signature_version=botocore.UNSIGNED)
    told: dict[str, Any] = sts.assume_role_with_saml(RoleArn=role_arn, PrincipalArn=provider_arn, SAMLAssertion=text, **options)
    return told


def said(cloud: TestCloud, provider: Provider = SHARED, roles: Any = PAIR, **more: Any) -> str:
    """A response with an assertion that is signed itself."""
    return encoded(response(provider.signed(provider.assertion(cloud.clock.now(), roles, **more))))


# ---------------------------------------------------------------------------------------------------------------- believed


def test_an_assertion_is_exchanged(cloud: TestCloud) -> None:
    told = enter(cloud, said(cloud))
    assert (told["Subject"], told["SubjectType"]) == ("alice@example.com", "persistent")
    assert (told["Issuer"], told["Audience"]) == (SHARED.entity_id, saml_idp.RECIPIENT)
    digest = hashlib.sha1(f"{SHARED.entity_id}{ADMIN}/Corp".encode(), usedforsecurity=False).digest()
    assert told["NameQualifier"] == base64.b64encode(digest).decode()
    assert told["AssumedRoleUser"]["Arn"] == f"arn:aws:sts::{ADMIN}:assumed-role/Staff/alice"
    assert told["Credentials"]["Expiration"] == cloud.clock.now() + datetime.timedelta(hours=1)
    me = cloud.session(told["Credentials"])
    me.client("ec2").describe_vpcs()
    assert identity(me) == f"arn:aws:sts::{ADMIN}:assumed-role/Staff/alice"


def test_on_both_databases(cloud_on_both: TestCloud) -> None:
    text = said(cloud_on_both, conditions="<saml:OneTimeUse/>")
    enter(cloud_on_both, text)
    with refused("InvalidIdentityToken"):
        enter(cloud_on_both, text)


@pytest.fixture
def cloud_on_both(request: pytest.FixtureRequest, tmp_path: Any, database: Any, clock: Any) -> Any:
    from mallee.store import schema

    schema.load()
    schema.create(database)
    made = TestCloud(tmp_path / "home", database, clock)
    prepared(made)
    yield made
    made.close()


def test_signatures_where_providers_put_them(cloud: TestCloud) -> None:
    plain = SHARED.assertion(cloud.clock.now(), PAIR)
    for text in (
        SHARED.signed(response(plain)),
        SHARED.signed(response(SHARED.signed(plain))),
        response(SHARED.signed(plain, signature_algorithm="rsa-sha512", digest_algorithm="sha512")),
        response(SHARED.signed(plain, signature_algorithm="rsa-sha384")),
        response(SHARED.signed(plain)).replace("><saml:Issuer>", ">\n  <saml:Issuer>", 1),
    ):
        enter(cloud, encoded(text))
    wrapped = re.sub("(.{76})", r"\1\n", said(cloud))
    enter(cloud, wrapped)


def test_an_elliptic_key(sqlite_cloud: TestCloud) -> None:
    provider = Provider()
    provider.key = ec.generate_private_key(ec.SECP256R1())  # type: ignore[assignment]
    provider.certificate = idp.certificate("saml", provider.key)
    prepared(sqlite_cloud, provider)
    plain = provider.assertion(sqlite_cloud.clock.now(), PAIR)
    enter(sqlite_cloud, encoded(response(provider.signed(plain, signature_algorithm="ecdsa-sha256"))))


def test_what_the_assertion_brings_along(cloud: TestCloud) -> None:
    iam = cloud.client("iam")
    iam.update_assume_role_policy(
        RoleName="Staff",
        PolicyDocument=trusting(
            {
                "StringEquals": {
                    "saml:iss": SHARED.entity_id,
                    "saml:sub": "alice@example.com",
                    "saml:sub_type": "persistent",
                    "saml:doc": f"{ADMIN}/Corp",
                    "aws:RequestTag/team": "red",
                    "sts:SourceIdentity": "Alice",
                    "sts:RoleSessionName": "alice",
                },
                "ForAnyValue:StringEquals": {"saml:edupersonaffiliation": ["staff"]},
            },
            "sts:TagSession",
            "sts:SetSourceIdentity",
        ),
    )
    second = role(
        cloud.admin,
        "Second",
        trust(
            ROLE,
            actions=("sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"),
            StringEquals={"aws:PrincipalTag/team": "red"},
        ),
    )
    iam.put_role_policy(RoleName="Staff", PolicyName="more", PolicyDocument=allow("sts:*"))
    attributes = {
        f"{AWS}/PrincipalTag:team": ["red"],
        f"{AWS}/TransitiveTagKeys": ["team"],
        f"{AWS}/SourceIdentity": ["Alice"],
        "urn:oid:1.3.6.1.4.1.5923.1.1.1.1": ["member", "staff"],
    }
    told = enter(cloud, said(cloud, attributes=attributes))
    assert told["SourceIdentity"] == "Alice"
    assume(cloud.session(told["Credentials"]), second)
    for wrong in (
        {},
        attributes | {f"{AWS}/PrincipalTag:team": ["blue"]},
        attributes | {"urn:oid:1.3.6.1.4.1.5923.1.1.1.1": ["member"]},
        attributes | {f"{AWS}/SourceIdentity": ["Bob"]},
    ):
        with refused("AccessDenied", 403):
            enter(cloud, said(cloud, attributes=wrong))


def test_how_long_the_session_is(cloud: TestCloud) -> None:
    now = cloud.clock.now()
    told = enter(cloud, said(cloud), DurationSeconds=900)
    assert told["Credentials"]["Expiration"] == now + datetime.timedelta(seconds=900)
    soon = saml_idp.stamp(now + datetime.timedelta(seconds=600))
    told = enter(cloud, said(cloud, session_until=soon))
    assert told["Credentials"]["Expiration"] == now + datetime.timedelta(seconds=600)
    with refused("ExpiredTokenException", 400):
        enter(cloud, said(cloud, session_until=saml_idp.stamp(now)))
    with refused("ValidationError", 400):
        enter(cloud, said(cloud), DurationSeconds=3601)


def test_session_policies(cloud: TestCloud) -> None:
    me = cloud.session(enter(cloud, said(cloud), Policy=allow("ec2:DescribeSubnets"))["Credentials"])
    with refused("UnauthorizedOperation"):
        me.client("ec2").describe_vpcs()


def test_roles_and_providers_in_either_order(cloud: TestCloud) -> None:
    enter(cloud, said(cloud, roles=((PROVIDER, ROLE), (f"arn:aws:iam::{ADMIN}:role/Other", PROVIDER))))


# ----------------------------------------------------------------------------------------------------------------- refused

LATE, EARLY = datetime.timedelta(seconds=-1), datetime.timedelta(seconds=301)
BAD: list[tuple[str, Any, str]] = [
    ("ends", LATE, "ExpiredTokenException"),
    ("confirmed_until", LATE, "ExpiredTokenException"),
    ("issued", datetime.timedelta(seconds=-301), "ExpiredTokenException"),
    ("issued", EARLY, "InvalidIdentityToken"),
    ("begins", EARLY, "InvalidIdentityToken"),
    ("issued", "yesterday", "InvalidIdentityToken"),
    ("ends", "2024-02-31T00:00:00Z", "InvalidIdentityToken"),
    ("issuer", "https://other.example.com", "InvalidIdentityToken"),
    ("issuer", "", "InvalidIdentityToken"),
    ("audience", "urn:somebody:else", "InvalidIdentityToken"),
    ("audience", None, "InvalidIdentityToken"),
    ("recipient", "https://evil.example.com/saml", "InvalidIdentityToken"),
    ("recipient", f"{saml_idp.RECIPIENT}/", "InvalidIdentityToken"),
    ("method", "urn:oasis:names:tc:SAML:2.0:cm:sender-vouches", "InvalidIdentityToken"),
    ("session_name", None, "InvalidIdentityToken"),
    ("session_name", "a b", "InvalidIdentityToken"),
    ("session_name", "a" * 65, "InvalidIdentityToken"),
    ("session_name", "аdmin", "AccessDenied"),
    ("subject", "", "InvalidIdentityToken"),
    ("subject", "s" * 256, "InvalidIdentityToken"),
    ("attributes", {f"{AWS}/PrincipalTag:a": ["b", "c"]}, "InvalidIdentityToken"),
    ("attributes", {f"{AWS}/PrincipalTag:aws:a": ["b"]}, "InvalidIdentityToken"),
    ("attributes", {f"{AWS}/SourceIdentity": ["x y"]}, "InvalidIdentityToken"),
    ("attributes", {f"{AWS}/RoleSessionName": ["one", "two"]}, "InvalidIdentityToken"),
    ("roles", (), "InvalidIdentityToken"),
    ("roles", (("nothing", "like it"),), "InvalidIdentityToken"),
    ("roles", ((f"arn:aws:iam::{ADMIN}:role/Other", PROVIDER),), "AccessDenied"),
    ("roles", ((ROLE, f"arn:aws:iam::{ADMIN}:saml-provider/Other"),), "AccessDenied"),
]


@pytest.mark.parametrize(("part", "value", "code"), BAD, ids=[f"{part}={str(value)[:40]}" for part, value, _ in BAD])
def test_assertions_that_are_not_good(cloud: TestCloud, part: str, value: Any, code: str) -> None:
    if isinstance(value, datetime.timedelta):
        value = saml_idp.stamp(cloud.clock.now() + value)
    if part == "session_name" and code == "AccessDenied":
        code = "InvalidIdentityToken"  # letters that look like others are none
    with refused(code):
        enter(cloud, said(cloud, **{part: value}))


def test_the_end_of_an_assertion(cloud: TestCloud) -> None:
    """It can be used again until then, as with AWS, unless it says that it can't."""
    often, once = said(cloud), said(cloud, conditions="<saml:OneTimeUse/>")
    enter(cloud, often)
    enter(cloud, often)
    enter(cloud, once)
    with refused("InvalidIdentityToken", 400):
        enter(cloud, once)
    cloud.clock.advance(240)
    with refused("ExpiredTokenException", 400):
        enter(cloud, often)
    enter(cloud, said(cloud, conditions="<saml:OneTimeUse/>"))


def test_a_refused_sign_in(cloud: TestCloud) -> None:
    signed = SHARED.signed(SHARED.assertion(cloud.clock.now(), PAIR))
    failed = "urn:oasis:names:tc:SAML:2.0:status:AuthnFailed"
    with refused("IDPRejectedClaim", 403):
        enter(cloud, encoded(response(signed, status=failed)))


def test_roles_that_are_missing_or_trust_others(cloud: TestCloud) -> None:
    other = cloud.account("other")
    role(cloud.admin, "Plain", trust(ADMIN))
    for name in ("None", "Plain"):
        arn = f"arn:aws:iam::{ADMIN}:role/{name}"
        with refused("AccessDenied", 403) as message:
            enter(cloud, said(cloud, roles=((arn, PROVIDER),)), arn)
        assert message() == f"Not authorized to perform {ACTION}"
    theirs = role(other, "Theirs", policy({"Principal": {"Federated": PROVIDER}, "Action": ACTION}))
    with refused("InvalidIdentityToken"):
        enter(cloud, said(cloud, roles=((theirs, PROVIDER),)), theirs)
    with refused("InvalidIdentityToken") as message:
        enter(cloud, said(cloud), ROLE, f"arn:aws:iam::{ADMIN}:saml-provider/None")
    assert message() == "Specified provider doesn't exist"


def test_the_audience_of_another_provider(cloud: TestCloud) -> None:
    """Two providers with one entity id: each is known by its own key."""
    impostor = Provider(SHARED.entity_id)
    cloud.client("iam").create_saml_provider(Name="Impostor", SAMLMetadataDocument=impostor.metadata)
    with refused("InvalidIdentityToken"):
        enter(cloud, said(cloud, impostor))
    with refused("AccessDenied"):  # his own provider, which the role does not trust
        enter(
            cloud,
            said(cloud, impostor, roles=((ROLE, f"arn:aws:iam::{ADMIN}:saml-provider/Impostor"),)),
            ROLE,
            f"arn:aws:iam::{ADMIN}:saml-provider/Impostor",
        )


def test_metadata_that_has_expired(cloud: TestCloud) -> None:
    cloud.clock.set(idp.END + datetime.timedelta(seconds=1))
    with refused("InvalidIdentityToken", 400):
        enter(cloud, said(cloud))


# ------------------------------------------------------------------------------------------------------ forged signatures


def test_no_signature_or_somebody_else_s(cloud: TestCloud) -> None:
    now = cloud.clock.now()
    plain = SHARED.assertion(now, PAIR)
    other = Provider()
    weak = rsa.generate_private_key(65537, 2048)
    for text in (
        response(plain),
        plain,
        SHARED.signed(plain),
        response(other.signed(plain)),
        response(SHARED.signed(plain, key=other.key)),
        response(SHARED.signed(plain, key=weak, certificate=idp.certificate("saml", weak))),
        response(SHARED.signed(plain).replace("alice@example.com", "admin@example.com")),
        response(SHARED.signed(plain).replace("role/Staff", "role/Admin")),
        response(re.sub(r"<ds:SignatureValue>[^<]*", "<ds:SignatureValue>AAAA", SHARED.signed(plain))),
        response(re.sub(r"<ds:SignatureValue>[^<]*", "<ds:SignatureValue>", SHARED.signed(plain))),
        SHARED.signed(response(plain)).replace("alice@example.com", "admin@example.com"),
    ):
        with refused("InvalidIdentityToken", 400):
            enter(cloud, encoded(text), f"arn:aws:iam::{ADMIN}:role/Admin" if "role/Admin" in text else ROLE)


def test_a_digest_that_nobody_should_believe(cloud: TestCloud) -> None:
    import signxml

    class Old(signxml.XMLSigner):
        def check_deprecated_methods(self) -> None:
            pass

    plain = SHARED.assertion(cloud.clock.now(), PAIR)
    root = etree.fromstring(plain.encode())
    signer = Old(
        signature_algorithm=signxml.SignatureMethod.RSA_SHA1,
        digest_algorithm=signxml.DigestAlgorithm.SHA1,
        c14n_algorithm=signxml.CanonicalizationMethod.EXCLUSIVE_XML_CANONICALIZATION_1_0,
    )
    made = signer.sign(root, key=SHARED.key, reference_uri=root.get("ID"), id_attribute="ID")
    with refused("InvalidIdentityToken"):
        enter(cloud, encoded(response(etree.tostring(made).decode())))


def forged(cloud: TestCloud) -> tuple[str, str]:
    """A signed assertion of alice's, and one of the admin's that nobody has signed."""
    now = cloud.clock.now()
    good = SHARED.signed(SHARED.assertion(now, PAIR))
    evil = SHARED.assertion(now, PAIR, subject="admin@example.com", session_name="admin")
    return good, evil


def test_signature_wrapping(cloud: TestCloud) -> None:
    """The eight of "On Breaking SAML" and some more: wherever the signed assertion is moved to, the other is not believed."""
    good, evil = forged(cloud)
    signature = re.search(r"<ds:Signature.*</ds:Signature>", good, re.DOTALL)
    assert signature is not None
    good_id = re.search(r'ID="([^"]+)"', good)
    assert good_id is not None
    bare = good.replace(signature[0], "")
    inside = evil.replace("</saml:Assertion>", f"{good}</saml:Assertion>")
    with_signature = evil.replace("</saml:Issuer>", f"</saml:Issuer>{signature[0]}", 1)
    holding = evil.replace(
        "</saml:Issuer>",
        f"</saml:Issuer>{signature[0].replace('</ds:Signature>', f'<ds:Object>{bare}</ds:Object></ds:Signature>')}",
        1,
    )
    same_id = re.sub(r'ID="[^"]+"', good_id[0], with_signature, count=1)
    extension = f"<samlp:Extensions>{good}</samlp:Extensions>"
    for text in (
        response(evil, good),
        response(good, evil),
        response(inside),
        response(with_signature),
        response(with_signature, bare),
        response(holding),
        response(same_id),
        response(same_id, bare),
        response(extension, evil),
        response(extension, with_signature),
        response(f"<samlp:Extensions>{bare}</samlp:Extensions>", with_signature),
        response(good.replace("</saml:Assertion>", f"<saml:Advice>{evil}</saml:Advice></saml:Assertion>")),
        response(response(good), evil),
        SHARED.signed(response(good)).replace("</samlp:Response>", f"{evil}</samlp:Response>"),
        response(f"<saml:EncryptedAssertion>{good}</saml:EncryptedAssertion>", evil),
        response(SHARED.signed(response(good)), evil),
    ):
        try:
            told = enter(cloud, encoded(text))
        except botocore.exceptions.ClientError as error:
            assert error.response["Error"]["Code"] in ("InvalidIdentityToken", "IDPRejectedClaim")
        else:
            raise AssertionError(f"believed: {told['Subject']} in {text}")


def test_a_signed_response_around_is_moved_inside(cloud: TestCloud) -> None:
    """The signed response is put below another one, whose own assertion nobody has signed."""
    good, evil = forged(cloud)
    whole = SHARED.signed(response(good))
    signature = re.search(r"<ds:Signature .*?</ds:Signature>", whole, re.DOTALL)
    assert signature is not None
    outer = response(evil, f"<samlp:Extensions>{whole.replace(signature[0], '', 1)}</samlp:Extensions>")
    outer = outer.replace("</saml:Issuer>", f"</saml:Issuer>{signature[0]}", 1)
    with refused("InvalidIdentityToken"):
        enter(cloud, encoded(outer))


def test_text_that_is_cut_by_comments(cloud: TestCloud) -> None:
    """ "admin@example.com<!-- -->.evil.com" was signed as one text and must not be read as its beginning."""
    plain = SHARED.assertion(cloud.clock.now(), PAIR, subject="alice@example.com.evil.com")
    signed = SHARED.signed(plain)
    for inserted in ("<!-- -->", "<?x y?>"):
        text = signed.replace("alice@example.com.evil.com", f"alice@example.com{inserted}.evil.com")
        with refused("InvalidIdentityToken"):
            enter(cloud, encoded(response(text)))
    cut = signed.replace("alice@example.com.evil.com", "alice@example.com<![CDATA[.evil.com]]>")
    assert enter(cloud, encoded(response(cut)))["Subject"] == "alice@example.com.evil.com"


# --------------------------------------------------------------------------------------------------------------- XML bombs


def test_documents_that_are_meant_to_hurt(cloud: TestCloud) -> None:
    signed = SHARED.signed(SHARED.assertion(cloud.clock.now(), PAIR))
    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    whole = response(signed)
    for text in (
        f'<!DOCTYPE x [<!ENTITY l0 "ha">{laughs}]>' + whole.replace("alice@example.com", "&l9;"),
        '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>' + whole.replace("alice@example.com", "&e;"),
        '<!DOCTYPE x SYSTEM "http://127.0.0.1:1/x.dtd">' + whole,
        "<!DOCTYPE x>" + whole,
        response("<a>" * 30 + signed + "</a>" * 30),
        response("<a>" * 5000 + "</a>" * 5000),
        response(signed, "<a/>" * 4000),
        "<a" * 20000,
        "",
        "\0",
        "<?xml version='1.0' encoding='UTF-7'?>" + whole,
        whole + whole,
        whole + "<!-- after -->",
    ):
        given = encoded(text) or "===="
        with refused("InvalidIdentityToken", 400):
            enter(cloud, given)
    with refused("InvalidIdentityToken", 400):
        enter(cloud, encoded(whole.encode("utf-16")))
    for text in ("not base64!", encoded(whole)[:-3], "é" * 8):
        with refused("InvalidIdentityToken", 400):
            enter(cloud, text)
    with refused("ValidationError", 400):
        cloud.client("sts", signature_version=botocore.UNSIGNED, validate=False).assume_role_with_saml(
            RoleArn=ROLE, PrincipalArn=PROVIDER, SAMLAssertion="A" * 100_001
        )


# -------------------------------------------------------------------------------------------------------------- encryption


@pytest.fixture
def sealed(sqlite_cloud: TestCloud) -> Any:
    """The key that opens assertions for the provider, which requires that they are encrypted."""
    key = rsa.generate_private_key(65537, 2048)
    prepared(sqlite_cloud, AssertionEncryptionMode="Required", AddPrivateKey=idp.pem(key).decode())
    return key


@pytest.mark.parametrize("algorithm", ["aes128-gcm", "aes256-gcm", "aes128-cbc", "aes256-cbc"])
@pytest.mark.parametrize("wrap", ["oaep", "oaep-sha256"])
def test_encrypted_assertions(sqlite_cloud: TestCloud, sealed: Any, algorithm: str, wrap: str) -> None:
    signed = SHARED.signed(SHARED.assertion(sqlite_cloud.clock.now(), PAIR))
    text = encrypted(signed, sealed.public_key(), algorithm, wrap)
    assert enter(sqlite_cloud, encoded(response(text)))["Subject"] == "alice@example.com"
    assert enter(sqlite_cloud, encoded(SHARED.signed(response(text))))["Subject"] == "alice@example.com"


def test_encryption_is_no_signature(sqlite_cloud: TestCloud, sealed: Any) -> None:
    """Whoever knows the public key can encrypt; and every failure is told in the same words."""
    plain = SHARED.assertion(sqlite_cloud.clock.now(), PAIR)
    signed, public = SHARED.signed(plain), sealed.public_key()
    good = encrypted(signed, public, "aes256-cbc")
    value = re.findall(r"<xenc:CipherValue>([^<]*)", good)[1]
    raw = base64.b64decode(value)
    messages = set()
    for text in (
        encrypted(plain, public),
        encrypted(plain, public, "aes256-cbc"),
        encrypted("not xml", public),
        encrypted("<a/>", public),
        encrypted("<!DOCTYPE x><a/>", public),
        encrypted(Provider().signed(plain), public),
        encrypted(signed, public, wrap="pkcs1"),
        encrypted(signed, rsa.generate_private_key(65537, 2048).public_key()),
        good.replace(value, encoded(raw[:-1] + bytes([raw[-1] ^ 1]))),
        good.replace(value, encoded(raw[:-16])),
        good.replace(value, encoded(raw[:20])),
        good.replace(value, ""),
        good.replace(value, "!"),
        good.replace("aes256-cbc", "aes128-cbc"),
        good.replace("aes256-cbc", "tripledes-cbc"),
    ):
        with refused("InvalidIdentityToken", 400) as message:
            enter(sqlite_cloud, encoded(response(text)))
        messages.add(message())
    assert messages == {"Response signature invalid"}
    with refused("InvalidIdentityToken"):
        enter(sqlite_cloud, said(sqlite_cloud))  # in the clear, which this provider may not


def test_an_assertion_that_was_encrypted_may_be_under_the_response_s_signature_alone(
    sqlite_cloud: TestCloud, sealed: Any
) -> None:
    plain = SHARED.assertion(sqlite_cloud.clock.now(), PAIR)
    text = SHARED.signed(response(encrypted(plain, sealed.public_key())))
    assert enter(sqlite_cloud, encoded(text))["Subject"] == "alice@example.com"
    other = encrypted(SHARED.assertion(sqlite_cloud.clock.now(), PAIR, subject="admin@example.com"), sealed.public_key())
    swapped = re.sub(r"<saml:EncryptedAssertion.*</saml:EncryptedAssertion>", other, text, flags=re.DOTALL)
    with refused("InvalidIdentityToken"):
        enter(sqlite_cloud, encoded(swapped))
