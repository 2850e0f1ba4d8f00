"""Key pairs through boto3."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from tests.cloud.harness import refused


def _public_line(key) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)


@pytest.mark.parametrize("kind", ["rsa", "ed25519"])
@pytest.mark.parametrize("form", ["pem", "ppk"])
def test_a_created_key_pair_is_handed_out_once(sqlite_cloud, kind, form):
    ec2 = sqlite_cloud.client("ec2")
    tags = [{"Key": "team", "Value": "a"}]
    made = ec2.create_key_pair(
        KeyName="mine", KeyType=kind, KeyFormat=form, TagSpecifications=[{"ResourceType": "key-pair", "Tags": tags}]
    )
    begins = {"pem": "-----BEGIN ", "ppk": "PuTTY-User-Key-File-2: "}[form]
    assert made["KeyMaterial"].startswith(begins) and made["KeyPairId"].startswith("key-") and made["Tags"] == tags
    (shown,) = ec2.describe_key_pairs(KeyNames=["mine"])["KeyPairs"]
    assert shown["KeyFingerprint"] == made["KeyFingerprint"] and shown["KeyType"] == kind and shown["Tags"] == tags
    assert "KeyMaterial" not in shown and "PublicKey" not in shown and shown["CreateTime"].tzinfo is not None


def test_an_imported_key_shows_its_public_half(cloud):
    ec2 = cloud.client("ec2")
    line = _public_line(ed25519.Ed25519PrivateKey.generate())
    made = ec2.import_key_pair(KeyName="mine", PublicKeyMaterial=line + b" somebody@somewhere")
    (shown,) = ec2.describe_key_pairs(KeyPairIds=[made["KeyPairId"]], IncludePublicKey=True)["KeyPairs"]
    assert shown["PublicKey"] == line.decode() + " mine" and shown["KeyFingerprint"] == made["KeyFingerprint"]


def test_names_are_unique_within_an_account_only(cloud):
    ec2, other = cloud.client("ec2"), cloud.account().client("ec2")
    ec2.create_key_pair(KeyName="mine", KeyType="ed25519")
    with refused("InvalidKeyPair.Duplicate", 400):
        ec2.create_key_pair(KeyName="mine", KeyType="ed25519")
    with refused("InvalidKeyPair.Duplicate"):
        ec2.import_key_pair(KeyName="mine", PublicKeyMaterial=_public_line(ed25519.Ed25519PrivateKey.generate()))
    other.create_key_pair(KeyName="mine", KeyType="ed25519")
    assert len(other.describe_key_pairs()["KeyPairs"]) == 1
    other.delete_key_pair(KeyName="mine")
    assert len(ec2.describe_key_pairs()["KeyPairs"]) == 1


def test_deleting_is_idempotent_and_takes_the_tags_along(cloud):
    ec2 = cloud.client("ec2")
    made = ec2.create_key_pair(
        KeyName="mine",
        KeyType="ed25519",
        TagSpecifications=[{"ResourceType": "key-pair", "Tags": [{"Key": "a", "Value": "b"}]}],
    )
    assert ec2.describe_tags()["Tags"]
    assert ec2.delete_key_pair(KeyPairId=made["KeyPairId"])["KeyPairId"] == made["KeyPairId"]
    assert ec2.delete_key_pair(KeyName="mine")["Return"] is True
    assert ec2.describe_key_pairs()["KeyPairs"] == [] and ec2.describe_tags()["Tags"] == []


def test_key_pairs_are_filtered(sqlite_cloud):
    ec2 = sqlite_cloud.client("ec2")
    for name in ("web-1", "web-2", "db"):
        ec2.create_key_pair(
            KeyName=name,
            KeyType="ed25519",
            TagSpecifications=[{"ResourceType": "key-pair", "Tags": [{"Key": "role", "Value": name[:2]}]}],
        )

    def names(**filters):
        wanted = [{"Name": key.replace("_", "-"), "Values": values} for key, values in filters.items()]
        return [key["KeyName"] for key in ec2.describe_key_pairs(Filters=wanted)["KeyPairs"]]

    known = {key["KeyName"]: key for key in ec2.describe_key_pairs()["KeyPairs"]}
    assert names(key_name=["web-*"]) == ["web-1", "web-2"]
    assert names(**{"tag:role": ["db"]}) == ["db"]
    assert names(tag_key=["role"], key_name=["db"]) == ["db"]
    assert names(fingerprint=[known["db"]["KeyFingerprint"]]) == ["db"]
    assert names(key_pair_id=[known["web-2"]["KeyPairId"]]) == ["web-2"]
    with refused("InvalidParameterValue"):
        names(colour=["red"])


def test_what_is_wrong_is_said(sqlite_cloud):
    ec2 = sqlite_cloud.client("ec2")
    with refused("InvalidKeyPair.NotFound") as message:
        ec2.describe_key_pairs(KeyNames=["none"])
    assert message() == "The key pair 'none' does not exist"
    with refused("InvalidKeyPair.NotFound"):
        ec2.describe_key_pairs(KeyPairIds=["key-0123456789abcdef0"])
    with refused("InvalidKey.Format"):
        ec2.import_key_pair(KeyName="mine", PublicKeyMaterial=b"ssh-rsa nonsense")
    for name in ("x" * 256, "über", " mine"):
        with refused("InvalidParameterValue"):
            ec2.create_key_pair(KeyName=name)
    with refused("InvalidParameterValue"):
        ec2.create_key_pair(KeyName="mine", KeyType="dsa")
    with refused("MissingParameter"):
        ec2.delete_key_pair()
    with refused("DryRunOperation", 412):
        ec2.create_key_pair(KeyName="mine", KeyType="ed25519", DryRun=True)
    assert ec2.describe_key_pairs()["KeyPairs"] == []
