"""Server and signing certificates through boto3."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from mallee.identity.records import certificates as records
from mallee.store import Tx
from mallee.store.tables import journal
from tests.cloud import people
from tests.cloud.harness import TestCloud, refused
from tests.identity import certs


def valid(cloud: TestCloud, key: Any, *given: Any, **more: Any) -> str:
    """A certificate that is valid by the cloud's clock."""
    now = cloud.clock.now().replace(microsecond=0)
    return certs.certificate(key, *given, **{"start": now - certs.DAY, "end": now + 300 * certs.DAY} | more)


def upload(cloud: TestCloud, name: str = "web", account: Any = None, **more: Any) -> dict[str, Any]:
    key = certs.ec_key()
    given = {"CertificateBody": valid(cloud, key), "PrivateKey": certs.private(key)} | more
    return cloud.client("iam", account=account).upload_server_certificate(ServerCertificateName=name, **given)


# ------------------------------------------------------------------------------------------------------ server certificates


def test_a_server_certificate_lives(cloud: TestCloud) -> None:
    iam, root, leaf = cloud.client("iam"), certs.ec_key(1), certs.rsa_key()
    top = valid(cloud, root, "root", authority=True)
    body = valid(cloud, leaf, "www.example.com", "root", root)
    made = iam.upload_server_certificate(
        ServerCertificateName="Web", Path="/cloudfront/test/", CertificateBody=body, PrivateKey=certs.private(leaf),
        CertificateChain=top, Tags=[{"Key": "b", "Value": "2"}, {"Key": "A", "Value": "1"}],
    )  # fmt: skip
    shown = made["ServerCertificateMetadata"]
    assert shown["Arn"] == f"arn:aws:iam::{cloud.admin.id}:server-certificate/cloudfront/test/Web"
    assert shown["ServerCertificateId"].startswith("ASCA") and shown["UploadDate"] == cloud.clock.now()
    assert shown["Expiration"] == cloud.clock.now().replace(microsecond=0) + 300 * certs.DAY
    assert [tag["Key"] for tag in made["Tags"]] == ["A", "b"]
    found = iam.get_server_certificate(ServerCertificateName="web")["ServerCertificate"]
    assert found["ServerCertificateMetadata"] == shown and found["Tags"] == made["Tags"]
    assert found["CertificateBody"] == body.strip() and found["CertificateChain"] == top.strip()
    assert "PRIVATE" not in json.dumps(found, default=str)
    with refused("EntityAlreadyExists", 409) as told:
        upload(cloud, "WEB")
    assert told() == "The Server Certificate with name WEB already exists."
    iam.update_server_certificate(ServerCertificateName="web", NewPath="/other/", NewServerCertificateName="Site")
    with refused("NoSuchEntity", 404):
        iam.get_server_certificate(ServerCertificateName="web")
    moved = iam.get_server_certificate(ServerCertificateName="site")["ServerCertificate"]
    assert moved["ServerCertificateMetadata"]["Arn"].endswith(":server-certificate/other/Site")
    assert moved["ServerCertificateMetadata"]["ServerCertificateId"] == shown["ServerCertificateId"]
    assert moved["Tags"] == made["Tags"]
    iam.delete_server_certificate(ServerCertificateName="site")
    with refused("NoSuchEntity", 404) as told:
        iam.delete_server_certificate(ServerCertificateName="site")
    assert told() == "The Server Certificate with name site cannot be found."


def test_lists_by_path_and_in_pages(sqlite_cloud: TestCloud) -> None:
    iam = sqlite_cloud.client("iam")
    for name, path in (("b", "/x/"), ("A", "/x/y/"), ("c", "/")):
        upload(sqlite_cloud, name, Path=path)
    other = sqlite_cloud.account()
    upload(sqlite_cloud, "b", account=other)

    def names(**given: Any) -> list[str]:
        return [each["ServerCertificateName"] for each in iam.list_server_certificates(**given)["ServerCertificateMetadataList"]]

    assert names() == ["A", "b", "c"] and names(PathPrefix="/x") == ["A", "b"] and names(PathPrefix="/x/y/") == ["A"]
    first = iam.list_server_certificates(MaxItems=2)
    rest = iam.list_server_certificates(MaxItems=2, Marker=first["Marker"])
    assert first["IsTruncated"] and [each["ServerCertificateName"] for each in rest["ServerCertificateMetadataList"]] == ["c"]
    with refused("EntityAlreadyExists", 409):
        iam.update_server_certificate(ServerCertificateName="b", NewServerCertificateName="a")
    iam.update_server_certificate(ServerCertificateName="b", NewServerCertificateName="B")
    assert names(PathPrefix="/x") == ["A", "B"]


def test_what_does_not_fit_together(sqlite_cloud: TestCloud) -> None:
    cloud, key, other = sqlite_cloud, certs.ec_key(), certs.ec_key(1)
    now = cloud.clock.now()
    body = valid(cloud, key)
    for code, more in (
        ("KeyPairMismatch", {"PrivateKey": certs.private(other)}),
        ("KeyPairMismatch", {"PrivateKey": certs.private(certs.rsa_key())}),
        ("MalformedCertificate", {"PrivateKey": certs.private(key, password=b"secret")}),
        ("MalformedCertificate", {"PrivateKey": "hello"}),
        ("MalformedCertificate", {"PrivateKey": body}),
        ("MalformedCertificate", {"CertificateBody": "hello"}),
        ("MalformedCertificate", {"CertificateBody": body + body}),
        ("MalformedCertificate", {"CertificateBody": body[:-80]}),
        ("MalformedCertificate", {"CertificateChain": valid(cloud, other, "somebody else")}),
        ("MalformedCertificate", {"CertificateChain": "hello"}),
        ("MalformedCertificate", {"CertificateChain": body * 2000}),
        ("MalformedCertificate", {"CertificateBody": valid(cloud, key, start=now - 9 * certs.DAY, end=now - certs.DAY)}),
        ("MalformedCertificate", {"CertificateBody": valid(cloud, key, start=now + certs.DAY)}),
        ("InvalidInput", {"Tags": [{"Key": "aws:mine", "Value": ""}]}),
    ):
        with refused(code, 400):
            upload(cloud, **more)
    raw = cloud.client("iam", validate=False)
    for more in ({"CertificateBody": "A" * 16385}, {"PrivateKey": body + "\u2028"}, {"Path": "nowhere"}, {"Path": "/\n/"}):
        given = {"CertificateBody": body, "PrivateKey": certs.private(key), "ServerCertificateName": "web"} | more
        with refused("ValidationError", 400):
            raw.upload_server_certificate(**given)
    for name in ("a b", "a/b", "ａ", "x" * 129, "a*"):
        with refused("ValidationError", 400):
            raw.upload_server_certificate(CertificateBody=body, PrivateKey=certs.private(key), ServerCertificateName=name)
    assert cloud.client("iam").list_server_certificates()["ServerCertificateMetadataList"] == []


def test_twenty_of_them(sqlite_cloud: TestCloud) -> None:
    for number in range(20):
        upload(sqlite_cloud, f"web{number}")
    with refused("LimitExceeded", 409):
        upload(sqlite_cloud, "web20")


def test_the_key_is_sealed_and_only_balancers_get_it(sqlite_cloud: TestCloud) -> None:
    cloud = sqlite_cloud
    upload(cloud)
    text = certs.private(certs.ec_key())
    with cloud.database.reading(cloud.admin.id) as tx:
        found = records.server_certificate_by_arn(tx, cloud.admin.id, f"arn:aws:iam::{cloud.admin.id}:server-certificate/web")
        assert found is not None and text.encode() not in found.secret
        assert records.server_certificate_key(cloud.cloud.vault, found) == text
        for arn in (
            "arn:aws:iam::999999999999:server-certificate/web",
            "arn:aws:iam::1:server-certificate/x/web",
            "web",
            ":::::/web",
        ):
            assert records.server_certificate_by_arn(tx, cloud.admin.id, arn) is None
        entries = [
            json.dumps([row.before, row.after]) for row in tx.all(journal.select()) if row.kind == "iam_server_certificates"
        ]
    assert entries and not any("PRIVATE" in entry or found.secret.hex() in entry for entry in entries)


@pytest.fixture
def in_use() -> Iterator[None]:
    @records.used_by
    def balancer(tx: Tx, certificate: records.ServerCertificate) -> str | None:
        return "arn:aws:elasticloadbalancing:local-1:1:loadbalancer/lb" if certificate.name == "used" else None

    yield
    records._users.remove(balancer)


def test_one_in_use_stays(sqlite_cloud: TestCloud, in_use: None) -> None:
    iam = sqlite_cloud.client("iam")
    made = upload(sqlite_cloud, "used")["ServerCertificateMetadata"]
    upload(sqlite_cloud, "unused")
    with refused("DeleteConflict", 409) as told:
        iam.delete_server_certificate(ServerCertificateName="used")
    assert made["ServerCertificateId"] in told() and "loadbalancer/lb" in told()
    iam.delete_server_certificate(ServerCertificateName="unused")


def test_tags(sqlite_cloud: TestCloud) -> None:
    iam = sqlite_cloud.client("iam")
    upload(sqlite_cloud)
    iam.tag_server_certificate(ServerCertificateName="web", Tags=[{"Key": "Cost", "Value": "1"}, {"Key": "x", "Value": ""}])
    iam.tag_server_certificate(ServerCertificateName="web", Tags=[{"Key": "cost", "Value": "2"}])
    assert iam.list_server_certificate_tags(ServerCertificateName="web")["Tags"] == [
        {"Key": "cost", "Value": "2"},
        {"Key": "x", "Value": ""},
    ]
    iam.untag_server_certificate(ServerCertificateName="web", TagKeys=["X", "absent"])
    assert [tag["Key"] for tag in iam.list_server_certificate_tags(ServerCertificateName="web")["Tags"]] == ["cost"]
    with refused("LimitExceeded", 409):
        iam.tag_server_certificate(ServerCertificateName="web", Tags=[{"Key": f"k{n}", "Value": ""} for n in range(50)])
    iam.delete_server_certificate(ServerCertificateName="web")
    upload(sqlite_cloud)
    assert iam.list_server_certificate_tags(ServerCertificateName="web")["Tags"] == []


def test_who_may_rename(sqlite_cloud: TestCloud) -> None:
    """A permission for one name is none for another."""
    cloud = sqlite_cloud
    upload(cloud, "mine")
    alice = people.user(
        cloud, "alice", "iam:UpdateServerCertificate", on=f"arn:aws:iam::{cloud.admin.id}:server-certificate/mine*"
    ).client("iam")
    with refused("AccessDenied", 403):
        alice.update_server_certificate(ServerCertificateName="mine", NewServerCertificateName="theirs")
    with refused("AccessDenied", 403):
        alice.update_server_certificate(ServerCertificateName="mine", NewPath="/x/")
    alice.update_server_certificate(ServerCertificateName="mine", NewServerCertificateName="mine2")


# ----------------------------------------------------------------------------------------------------- signing certificates


def test_signing_certificates(cloud: TestCloud) -> None:
    iam = cloud.client("iam")
    people.user(cloud, "alice")
    people.user(cloud, "bob")
    body = valid(cloud, certs.ec_key())
    made = iam.upload_signing_certificate(UserName="alice", CertificateBody=body)["Certificate"]
    assert made["UserName"] == "alice" and made["CertificateBody"] == body and made["Status"] == "Active"
    assert 24 <= len(made["CertificateId"]) <= 128 and made["UploadDate"] == cloud.clock.now()
    for name in ("alice", "bob"):
        with refused("DuplicateCertificate", 409):
            iam.upload_signing_certificate(UserName=name, CertificateBody="\n" + body)
    iam.update_signing_certificate(UserName="alice", CertificateId=made["CertificateId"], Status="Inactive")
    (listed,) = iam.list_signing_certificates(UserName="alice")["Certificates"]
    assert listed == made | {"Status": "Inactive"}
    with refused("NoSuchEntity", 404) as told:
        iam.delete_signing_certificate(UserName="bob", CertificateId=made["CertificateId"])
    assert told() == f"The Certificate with id {made['CertificateId']} cannot be found."
    iam.upload_signing_certificate(UserName="alice", CertificateBody=valid(cloud, certs.rsa_key()))
    with refused("LimitExceeded", 409):
        iam.upload_signing_certificate(UserName="alice", CertificateBody=valid(cloud, certs.ec_key(7)))
    iam.delete_signing_certificate(UserName="alice", CertificateId=made["CertificateId"])
    assert len(iam.list_signing_certificates(UserName="alice")["Certificates"]) == 1


def test_the_roots_own_and_another_accounts(sqlite_cloud: TestCloud) -> None:
    cloud, iam = sqlite_cloud, sqlite_cloud.client("iam")
    body = valid(cloud, certs.ec_key())
    made = iam.upload_signing_certificate(CertificateBody=body)["Certificate"]
    assert "UserName" not in made
    other = cloud.account().client("iam")
    with refused("NoSuchEntity", 404):
        other.delete_signing_certificate(CertificateId=made["CertificateId"])
    other.upload_signing_certificate(CertificateBody=body)  # no account learns of another's
    iam.delete_signing_certificate(CertificateId=made["CertificateId"])
    assert len(other.list_signing_certificates()["Certificates"]) == 1 and not iam.list_signing_certificates()["Certificates"]


def test_what_signs_nothing(sqlite_cloud: TestCloud) -> None:
    cloud, iam, key = sqlite_cloud, sqlite_cloud.client("iam"), certs.ec_key()
    now = cloud.clock.now()
    for body in ("hello", certs.private(key), certs.public_pem(key), valid(cloud, key)[:-60]):
        with refused("MalformedCertificate", 400):
            iam.upload_signing_certificate(CertificateBody=body)
    for body in (valid(cloud, key, start=now - 9 * certs.DAY, end=now - certs.DAY), valid(cloud, key, start=now + certs.DAY)):
        with refused("InvalidCertificate", 400):
            iam.upload_signing_certificate(CertificateBody=body)
    made = iam.upload_signing_certificate(CertificateBody=valid(cloud, key))["Certificate"]["CertificateId"]
    with refused("InvalidInput", 400):
        iam.update_signing_certificate(CertificateId=made, Status="Expired")
