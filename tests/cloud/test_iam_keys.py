"""Access keys, public SSH keys and service-specific credentials through boto3."""

from __future__ import annotations

import datetime
import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from mallee.identity import credentials, records
from mallee.identity.records import uses
from mallee.store.tables import journal
from tests.cloud import people
from tests.cloud.harness import Account, TestCloud, refused
from tests.cloud.iam import at_once
from tests.identity import certs


def keys_of(iam, **given) -> list[str]:
    return [key["AccessKeyId"] for key in iam.list_access_keys(**given)["AccessKeyMetadata"]]


# ------------------------------------------------------------------------------------------------------------ access keys


def test_a_key_of_a_user_works_until_it_is_inactive_or_gone(cloud: TestCloud) -> None:
    iam = cloud.client("iam")
    people.user(cloud, "alice")
    made = iam.create_access_key(UserName="ALICE")["AccessKey"]
    assert made["UserName"] == "alice" and made["Status"] == "Active" and made["AccessKeyId"].startswith("AKIA")
    assert len(made["AccessKeyId"]) == 20 and len(made["SecretAccessKey"]) == 40 and made["CreateDate"].tzinfo is not None
    mine = Account(cloud, type(cloud.admin.credentials)(cloud.admin.id, made["AccessKeyId"], made["SecretAccessKey"]))
    sts = mine.client("sts")
    assert sts.get_caller_identity()["Arn"].endswith(":user/alice")
    iam.update_access_key(UserName="alice", AccessKeyId=made["AccessKeyId"], Status="Inactive")
    with refused("InvalidClientTokenId", 403):
        sts.get_caller_identity()
    shown = {key["AccessKeyId"]: key["Status"] for key in iam.list_access_keys(UserName="alice")["AccessKeyMetadata"]}
    assert shown[made["AccessKeyId"]] == "Inactive" and "Active" in shown.values()
    iam.update_access_key(UserName="alice", AccessKeyId=made["AccessKeyId"], Status="Active")
    assert sts.get_caller_identity()["Account"] == cloud.admin.id
    iam.delete_access_key(UserName="alice", AccessKeyId=made["AccessKeyId"])
    with refused("InvalidClientTokenId", 403):
        sts.get_caller_identity()
    with refused("NoSuchEntity", 404) as told:
        iam.delete_access_key(UserName="alice", AccessKeyId=made["AccessKeyId"])
    assert told() == f"The Access Key with id {made['AccessKeyId']} cannot be found."


def test_two_keys_and_no_more(cloud: TestCloud) -> None:
    iam = cloud.client("iam")
    people.user(cloud, "alice")
    iam.create_access_key(UserName="alice")
    with refused("LimitExceeded", 409) as told:
        iam.create_access_key(UserName="alice")
    assert told() == "Cannot exceed quota for AccessKeysPerUser: 2"
    iam.create_access_key()  # the root's second
    with refused("LimitExceeded"):
        iam.create_access_key()


def test_without_a_name_the_caller_is_meant(sqlite_cloud: TestCloud) -> None:
    cloud, iam = sqlite_cloud, sqlite_cloud.client("iam")
    alice = people.user(cloud, "alice", "iam:*")
    (root_key,) = iam.list_access_keys()["AccessKeyMetadata"]
    assert root_key["AccessKeyId"] == cloud.admin.credentials.access_key_id and "UserName" not in root_key
    assert keys_of(alice.client("iam")) == [alice.credentials.access_key_id] == keys_of(iam, UserName="alice")
    made = alice.client("iam").create_access_key()["AccessKey"]
    assert made["UserName"] == "alice"
    with refused("NoSuchEntity"):  # alice's keys are not the root's
        iam.delete_access_key(AccessKeyId=made["AccessKeyId"])
    alice.client("iam").delete_access_key(AccessKeyId=made["AccessKeyId"])


def test_one_users_key_is_not_anothers(sqlite_cloud: TestCloud) -> None:
    cloud, iam = sqlite_cloud, sqlite_cloud.client("iam")
    alice, _ = people.user(cloud, "alice"), people.user(cloud, "bob")
    for action in (iam.delete_access_key, lambda **given: iam.update_access_key(Status="Inactive", **given)):
        with refused("NoSuchEntity"):
            action(UserName="bob", AccessKeyId=alice.credentials.access_key_id)
    for status in ("Expired", "active", ""):
        with pytest.raises(Exception, match=r"InvalidInput|ValidationError"):
            iam.update_access_key(UserName="alice", AccessKeyId=alice.credentials.access_key_id, Status=status)
    with refused("NoSuchEntity", 404) as told:
        iam.create_access_key(UserName="carol")
    assert told() == "The user with name carol cannot be found."


def test_keys_are_listed_in_pages(sqlite_cloud: TestCloud) -> None:
    cloud, iam = sqlite_cloud, sqlite_cloud.client("iam")
    people.user(cloud, "alice")
    iam.create_access_key(UserName="alice")
    first = iam.list_access_keys(UserName="alice", MaxItems=1)
    assert first["IsTruncated"] and len(first["AccessKeyMetadata"]) == 1
    second = iam.list_access_keys(UserName="alice", MaxItems=1, Marker=first["Marker"])
    assert not second["IsTruncated"] and second["AccessKeyMetadata"] != first["AccessKeyMetadata"]


def test_keys_at_once_are_two_still(cloud: TestCloud) -> None:
    people.user(cloud, "alice")
    assert at_once(cloud, 4, lambda iam: iam.create_access_key(UserName="alice")) == ["LimitExceeded"] * 3 + ["done"]
    assert len(keys_of(cloud.client("iam"), UserName="alice")) == 2


def test_a_user_who_manages_its_own_credentials_manages_no_others(sqlite_cloud: TestCloud) -> None:
    """The policy of AWS's own tutorial: the variable is the caller's name, whatever case or name the request has."""
    cloud, own = sqlite_cloud, f"arn:aws:iam::{sqlite_cloud.admin.id}:user/${{aws:username}}"
    bob = people.user(cloud, "bob")
    alice = people.user(cloud, "alice", "iam:*AccessKey*", "iam:*SSHPublicKey*", "iam:*SigningCertificate*", on=own).client("iam")
    key_id = alice.create_access_key()["AccessKey"]["AccessKeyId"]
    assert alice.get_access_key_last_used(AccessKeyId=key_id)["UserName"] == "alice"
    alice.delete_access_key(UserName="ALICE", AccessKeyId=key_id)
    alice.upload_ssh_public_key(UserName="alice", SSHPublicKeyBody=certs.ssh_line(certs.rsa_key()))
    alice.upload_signing_certificate(CertificateBody=certs.certificate(certs.ec_key()))
    for act, given in (
        (alice.create_access_key, {}),
        (alice.list_access_keys, {}),
        (alice.delete_access_key, {"AccessKeyId": bob.credentials.access_key_id}),
        (alice.update_access_key, {"AccessKeyId": bob.credentials.access_key_id, "Status": "Inactive"}),
        (alice.list_ssh_public_keys, {}),
        (alice.upload_signing_certificate, {"CertificateBody": certs.certificate(certs.ec_key(1))}),
    ):
        for name in ("bob", "BOB", "nobody"):
            with refused("AccessDenied", 403):
                act(UserName=name, **given)
    for unknown in (bob.credentials.access_key_id, cloud.admin.credentials.access_key_id, "AKIA" + "2" * 16):
        with refused("AccessDenied", 403):
            alice.get_access_key_last_used(AccessKeyId=unknown)
    with refused("NoSuchEntity", 404):  # her own name does not open another's key
        alice.delete_access_key(UserName="alice", AccessKeyId=bob.credentials.access_key_id)


def test_secrets_are_nowhere_in_the_journal(sqlite_cloud: TestCloud) -> None:
    cloud, iam = sqlite_cloud, sqlite_cloud.client("iam")
    people.user(cloud, "alice")
    made = iam.create_access_key(UserName="alice")["AccessKey"]
    iam.delete_access_key(UserName="alice", AccessKeyId=made["AccessKeyId"])
    with cloud.database.reading() as tx:
        entries = [json.dumps([row.before, row.after]) for row in tx.all(journal.select()) if row.kind == "access_keys"]
    assert entries and all(made["SecretAccessKey"] not in entry for entry in entries)


def test_when_a_key_was_last_used(sqlite_cloud: TestCloud) -> None:
    cloud, iam = sqlite_cloud, sqlite_cloud.client("iam")
    alice = people.user(cloud, "alice")
    key_id = alice.credentials.access_key_id
    never = iam.get_access_key_last_used(AccessKeyId=key_id)
    assert never["UserName"] == "alice"
    assert never["AccessKeyLastUsed"] == {"ServiceName": "N/A", "Region": "N/A"}
    moment = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
    with cloud.database.transaction() as tx:
        uses.note(tx, [uses.KeyUse(key_id, moment, "ec2", "local-1")], [])
    used = iam.get_access_key_last_used(AccessKeyId=key_id)["AccessKeyLastUsed"]
    assert used == {"LastUsedDate": moment, "ServiceName": "ec2", "Region": "local-1"}
    iam.delete_access_key(UserName="alice", AccessKeyId=key_id)
    with cloud.database.reading() as tx:
        assert uses.key_use(tx, key_id) is None


def test_another_accounts_key_is_denied_as_an_unknown_one_is(sqlite_cloud: TestCloud) -> None:
    cloud = sqlite_cloud
    other = cloud.account()
    theirs = people.user(cloud, "eve", account=other).credentials.access_key_id
    told = []
    for caller in (cloud.client("iam"), people.user(cloud, "alice", "iam:*").client("iam")):
        for key_id in (theirs, other.credentials.access_key_id, "AKIA" + "2" * 16):
            with refused("AccessDenied", 403) as message:
                caller.get_access_key_last_used(AccessKeyId=key_id)
            told.append(message().replace(key_id, "<key>"))
    assert len(set(told)) == 2  # one per caller


# --------------------------------------------------------------------------------------------------------------- SSH keys


def test_ssh_keys(cloud: TestCloud) -> None:
    iam = cloud.client("iam")
    people.user(cloud, "alice")
    line = certs.ssh_line(certs.rsa_key())
    made = iam.upload_ssh_public_key(UserName="alice", SSHPublicKeyBody=f"{line} alice@laptop")["SSHPublicKey"]
    assert made["SSHPublicKeyId"].startswith("APKA") and made["Status"] == "Active"
    assert made["SSHPublicKeyBody"] == f"{line} alice@laptop" and made["Fingerprint"].count(":") == 15
    asked = {"UserName": "alice", "SSHPublicKeyId": made["SSHPublicKeyId"]}
    assert iam.get_ssh_public_key(Encoding="SSH", **asked)["SSHPublicKey"]["SSHPublicKeyBody"] == line
    pem = iam.get_ssh_public_key(Encoding="PEM", **asked)["SSHPublicKey"]["SSHPublicKeyBody"]
    assert pem == certs.public_pem(certs.rsa_key())
    with refused("DuplicateSSHPublicKey", 400):
        iam.upload_ssh_public_key(UserName="alice", SSHPublicKeyBody=pem)
    iam.update_ssh_public_key(Status="Inactive", **asked)
    (listed,) = iam.list_ssh_public_keys(UserName="alice")["SSHPublicKeys"]
    assert listed["Status"] == "Inactive" and "SSHPublicKeyBody" not in listed
    iam.delete_ssh_public_key(**asked)
    with refused("NoSuchEntity", 404) as told:
        iam.get_ssh_public_key(Encoding="SSH", **asked)
    assert told() == f"The Public Key with id {made['SSHPublicKeyId']} cannot be found."


def test_ssh_keys_that_are_none(sqlite_cloud: TestCloud) -> None:
    iam = sqlite_cloud.client("iam")
    people.user(sqlite_cloud, "alice")
    line = certs.ssh_line(ed25519.Ed25519PrivateKey.generate())
    for body, code in (
        ("hello", "UnrecognizedPublicKeyEncoding"),
        (line, "UnrecognizedPublicKeyEncoding"),
        ("ssh-rsa AAAA", "InvalidPublicKey"),
        (certs.ssh_line(certs.rsa_key(1024)), "InvalidPublicKey"),
        (certs.public_pem(certs.ec_key()), "InvalidPublicKey"),
    ):
        with refused(code, 400):
            iam.upload_ssh_public_key(UserName="alice", SSHPublicKeyBody=body)
    body = certs.ssh_line(certs.rsa_key())
    made = iam.upload_ssh_public_key(UserName="alice", SSHPublicKeyBody=body)["SSHPublicKey"]["SSHPublicKeyId"]
    people.user(sqlite_cloud, "bob")
    with refused("NoSuchEntity"):
        iam.get_ssh_public_key(UserName="bob", SSHPublicKeyId=made, Encoding="SSH")
    iam.upload_ssh_public_key(UserName="bob", SSHPublicKeyBody=body)


def test_five_ssh_keys(sqlite_cloud: TestCloud) -> None:
    iam = sqlite_cloud.client("iam")
    people.user(sqlite_cloud, "alice")
    for number in range(5):
        iam.upload_ssh_public_key(UserName="alice", SSHPublicKeyBody=certs.ssh_line(certs.rsa_key(2048, number)))
    with refused("LimitExceeded", 409):
        iam.upload_ssh_public_key(UserName="alice", SSHPublicKeyBody=certs.ssh_line(certs.rsa_key(2048, 5)))


# ---------------------------------------------------------------------------------------------- service-specific credentials


def test_no_service_has_credentials_of_its_own(sqlite_cloud: TestCloud) -> None:
    iam = sqlite_cloud.client("iam")
    people.user(sqlite_cloud, "alice")
    with refused("NotSupportedService", 404):
        iam.create_service_specific_credential(UserName="alice", ServiceName="codecommit.amazonaws.com")
    assert iam.list_service_specific_credentials(UserName="alice")["ServiceSpecificCredentials"] == []
    assert iam.list_service_specific_credentials(AllUsers=True)["ServiceSpecificCredentials"] == []
    id = "ACCA" + "2" * 17
    with refused("NoSuchEntity", 404):
        iam.reset_service_specific_credential(UserName="alice", ServiceSpecificCredentialId=id)
    with refused("NoSuchEntity", 404):
        iam.update_service_specific_credential(UserName="alice", ServiceSpecificCredentialId=id, Status="Active")
    with refused("NoSuchEntity", 404):
        iam.delete_service_specific_credential(UserName="alice", ServiceSpecificCredentialId=id)
    with refused("NoSuchEntity", 404):
        iam.create_service_specific_credential(UserName="nobody", ServiceName="codecommit.amazonaws.com")


# ------------------------------------------------------------------------------------------------------- DeleteUser's way


def test_what_is_in_the_way_of_a_users_end(sqlite_cloud: TestCloud) -> None:
    cloud, iam = sqlite_cloud, sqlite_cloud.client("iam")
    alice = people.user(cloud, "alice")

    def way() -> str | None:
        with cloud.database.reading() as tx:
            user = records.user_by_name(tx, cloud.admin.id, "alice")
            assert user is not None
            return credentials.credentials_of(tx, cloud.admin.id, user.id)

    key = iam.upload_ssh_public_key(UserName="alice", SSHPublicKeyBody=certs.ssh_line(certs.rsa_key()))["SSHPublicKey"]
    signing = iam.upload_signing_certificate(UserName="alice", CertificateBody=certs.certificate(certs.ec_key()))["Certificate"]
    assert way() == "delete access keys first"
    iam.delete_access_key(UserName="alice", AccessKeyId=alice.credentials.access_key_id)
    assert way() == "delete signing certificates first"
    iam.delete_signing_certificate(UserName="alice", CertificateId=signing["CertificateId"])
    assert way() == "delete SSH public keys first"
    iam.delete_ssh_public_key(UserName="alice", SSHPublicKeyId=key["SSHPublicKeyId"])
    assert way() is None
