"""A user whom a directory's clean deletion removed left the tags of his MFA device to the next device of that name."""

from __future__ import annotations

from mallee.identity import principals, records, totp
from tests.cloud.harness import TestCloud


def test_whoever_is_removed_leaves_nothing_to_a_namesake(sqlite_cloud: TestCloud) -> None:
    iam = sqlite_cloud.client("iam")
    iam.create_user(UserName="ann")
    made = iam.create_virtual_mfa_device(VirtualMFADeviceName="ann", Tags=[{"Key": "k", "Value": "v"}])["VirtualMFADevice"]
    seed, step = made["Base32StringSeed"].decode(), totp.step_at(sqlite_cloud.clock.now())
    codes = {"AuthenticationCode1": totp.code(seed, step - 1), "AuthenticationCode2": totp.code(seed, step)}
    iam.enable_mfa_device(UserName="ann", SerialNumber=made["SerialNumber"], **codes)
    with sqlite_cloud.database.transaction() as tx:
        user = records.user_by_name(tx, sqlite_cloud.admin.id, "ann")
        assert user is not None
        principals.remove_user(tx, user)
    again = iam.create_virtual_mfa_device(VirtualMFADeviceName="ann")["VirtualMFADevice"]
    assert iam.list_mfa_device_tags(SerialNumber=again["SerialNumber"])["Tags"] == []
