"""Virtual MFA devices: their codes are really checked."""

from __future__ import annotations

import json
import struct
import threading
import zlib
from typing import Any

import pytest
from botocore.exceptions import ClientError

from mallee.identity import mfa, records, totp
from mallee.identity.call import Kept
from mallee.identity.records import attempts
from mallee.identity.records import mfa as mfa_records
from mallee.store.tables import journal
from mallee.wire import AwsError
from tests.cloud import people
from tests.cloud.harness import TestCloud, refused


class Device:
    """An authenticator with a clock of its own."""

    def __init__(self, cloud: TestCloud, name: str = "phone", client: Any = None, ahead: int = 0, **given: Any) -> None:
        self.cloud, self.ahead = cloud, ahead
        made = (client or cloud.client("iam")).create_virtual_mfa_device(VirtualMFADeviceName=name, **given)["VirtualMFADevice"]
        self.serial, self.seed, self.made = made["SerialNumber"], made["Base32StringSeed"].decode(), made

    def code(self, off: int = 0) -> str:
        return totp.code(self.seed, totp.step_at(self.cloud.clock.now()) + self.ahead + off)

    def pair(self, off: int = 0) -> dict[str, str]:
        return {"AuthenticationCode1": self.code(off - 1), "AuthenticationCode2": self.code(off)}

    def enable(self, name: str = "alice", client: Any = None) -> None:
        (client or self.cloud.client("iam")).enable_mfa_device(UserName=name, SerialNumber=self.serial, **self.pair())


@pytest.fixture
def alice(sqlite_cloud: TestCloud) -> records.User:
    return made_user(sqlite_cloud)


def made_user(cloud: TestCloud, name: str = "alice") -> records.User:
    people.user(cloud, name)
    with cloud.database.reading() as tx:
        found = records.user_by_name(tx, cloud.admin.id, name)
    assert found is not None
    return found


def check(cloud: TestCloud, holder_id: str, serial: str, code: str) -> bool:
    """As STS does it: a refusal keeps what was counted."""

    def work(tx: Any) -> bool:
        try:
            mfa.check(tx, cloud.cloud.vault, holder_id, serial, code)
        except Kept as refusal:
            assert refusal.code == "AccessDenied" and refusal.status == 403
            return False
        return True

    return cloud.database.run(work, cloud.admin.id)


# ---------------------------------------------------------------------------------------------------------------- devices


def test_a_device_lives(cloud: TestCloud) -> None:
    iam = cloud.client("iam")
    made_user(cloud)
    phone = Device(cloud, "Phone", Path="/a/", Tags=[{"Key": "k", "Value": "v"}])
    assert phone.serial == f"arn:aws:iam::{cloud.admin.id}:mfa/a/Phone" and phone.made["Tags"] == [{"Key": "k", "Value": "v"}]
    assert "User" not in phone.made and "EnableDate" not in phone.made
    with refused("EntityAlreadyExists", 409) as told:
        Device(cloud, "phone", Path="/a/")
    assert told() == "MFADevice entity at the same path and name already exists."
    Device(cloud, "Phone")
    phone.enable("ALICE")
    (listed,) = iam.list_mfa_devices(UserName="alice")["MFADevices"]
    assert listed == {"UserName": "alice", "SerialNumber": phone.serial, "EnableDate": cloud.clock.now()}
    found = iam.get_mfa_device(UserName="alice", SerialNumber=phone.serial)
    assert found["SerialNumber"] == phone.serial and found["UserName"] == "alice"
    with refused("EntityAlreadyExists", 409):
        phone.enable()
    with refused("DeleteConflict", 409):
        iam.delete_virtual_mfa_device(SerialNumber=phone.serial)
    iam.deactivate_mfa_device(UserName="alice", SerialNumber=phone.serial)
    assert iam.list_mfa_devices(UserName="alice")["MFADevices"] == []
    with refused("NoSuchEntity", 404):
        iam.deactivate_mfa_device(UserName="alice", SerialNumber=phone.serial)
    iam.delete_virtual_mfa_device(SerialNumber=phone.serial)
    with refused("NoSuchEntity", 404) as told:
        iam.delete_virtual_mfa_device(SerialNumber=phone.serial)
    assert told() == f"VirtualMFADevice with serial number {phone.serial} doesn't exist."


def test_the_picture_holds_the_seed(sqlite_cloud: TestCloud) -> None:
    """The PNG is a QR code of the documented URI: drawn again from that URI it is the same picture."""
    import io

    import segno

    phone = Device(sqlite_cloud, "phone")
    picture = phone.made["QRCodePNG"]
    assert picture[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", picture[16:24])
    assert width == height >= 100
    at, data = 8, b""
    while at < len(picture):
        (length,), kind = struct.unpack(">I", picture[at : at + 4]), picture[at + 4 : at + 8]
        body = picture[at + 8 : at + 8 + length]
        assert struct.unpack(">I", picture[at + 8 + length : at + 12 + length])[0] == zlib.crc32(kind + body)
        data += body if kind == b"IDAT" else b""
        at += 12 + length
    assert zlib.decompress(data)
    again = io.BytesIO()
    alias = sqlite_cloud.settings.admin_alias or sqlite_cloud.admin.id
    text = f"otpauth://totp/phone@{alias}?secret={phone.seed}"
    segno.make(text, error="m", micro=False).save(again, kind="png", scale=4)
    assert again.getvalue() == picture


def test_lists_of_all_devices(sqlite_cloud: TestCloud, alice: records.User) -> None:
    cloud, iam = sqlite_cloud, sqlite_cloud.client("iam")
    first, second = Device(cloud, "a"), Device(cloud, "b")
    first.enable()
    Device(cloud, "theirs", cloud.account().client("iam"))

    def serials(status: str) -> list[str]:
        return [each["SerialNumber"] for each in iam.list_virtual_mfa_devices(AssignmentStatus=status)["VirtualMFADevices"]]

    assert serials("Any") == [first.serial, second.serial]
    assert serials("Assigned") == [first.serial] and serials("Unassigned") == [second.serial]
    held, free = iam.list_virtual_mfa_devices()["VirtualMFADevices"]
    assert held["User"]["UserName"] == "alice" and held["User"]["UserId"] == alice.id and held["EnableDate"]
    assert "User" not in free and not any("Base32StringSeed" in each or "QRCodePNG" in each for each in (held, free))
    page = iam.list_virtual_mfa_devices(MaxItems=1)
    rest = iam.list_virtual_mfa_devices(MaxItems=1, Marker=page["Marker"])["VirtualMFADevices"]
    assert page["IsTruncated"] and [each["SerialNumber"] for each in rest] == [second.serial]


def test_eight_devices(sqlite_cloud: TestCloud, alice: records.User) -> None:
    for number in range(8):
        Device(sqlite_cloud, f"d{number}").enable()
    with refused("LimitExceeded", 409) as told:
        Device(sqlite_cloud, "d8").enable()
    assert told() == "Cannot exceed quota for MFADevicesPerUser: 8"


def test_the_roots_own_device(sqlite_cloud: TestCloud) -> None:
    cloud, iam = sqlite_cloud, sqlite_cloud.client("iam")
    admin = people.user(cloud, "alice", "iam:*").client("iam")
    phone = Device(cloud, "root-account-mfa-device")
    with refused("NoSuchEntity", 404):  # no user may act for the root
        phone.enable(cloud.admin.id, admin)
    phone.enable(cloud.admin.id)
    assert [each["SerialNumber"] for each in iam.list_mfa_devices()["MFADevices"]] == [phone.serial]
    (shown,) = iam.list_virtual_mfa_devices(AssignmentStatus="Assigned")["VirtualMFADevices"]
    assert shown["User"]["Arn"] == f"arn:aws:iam::{cloud.admin.id}:root" and "UserName" not in shown["User"]
    with refused("NoSuchEntity", 404):
        admin.deactivate_mfa_device(UserName="alice", SerialNumber=phone.serial)
    with refused("NoSuchEntity", 404):
        admin.deactivate_mfa_device(UserName=cloud.admin.id, SerialNumber=phone.serial)
    assert admin.list_mfa_devices()["MFADevices"] == []
    cloud.clock.advance(60)
    assert check(cloud, cloud.admin.id, phone.serial, phone.code())
    iam.deactivate_mfa_device(SerialNumber=phone.serial)


def test_another_accounts_device_is_missing(sqlite_cloud: TestCloud, alice: records.User) -> None:
    cloud, other = sqlite_cloud, sqlite_cloud.account().client("iam")
    phone = Device(cloud)
    phone.enable()
    absent = f"arn:aws:iam::{cloud.admin.id}:mfa/absent"
    told = []
    for serial in (phone.serial, absent):
        for act in (
            other.delete_virtual_mfa_device,
            other.list_mfa_device_tags,
            other.get_mfa_device,
            other.deactivate_mfa_device,
        ):
            with refused("NoSuchEntity", 404) as message:
                act(SerialNumber=serial)
            told.append(message().replace(serial, "<serial>"))
    assert told[:4] == told[4:]


def test_a_serial_is_its_own_spelling(sqlite_cloud: TestCloud, alice: records.User) -> None:
    """A policy that denies one device is not got round by another case."""
    phone = Device(sqlite_cloud, "Phone")
    with refused("NoSuchEntity", 404):
        sqlite_cloud.client("iam").delete_virtual_mfa_device(SerialNumber=phone.serial.replace("Phone", "PHONE"))


def test_tags_of_devices(sqlite_cloud: TestCloud) -> None:
    iam, phone = sqlite_cloud.client("iam"), Device(sqlite_cloud)
    iam.tag_mfa_device(SerialNumber=phone.serial, Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
    iam.untag_mfa_device(SerialNumber=phone.serial, TagKeys=["A"])
    assert iam.list_mfa_device_tags(SerialNumber=phone.serial)["Tags"] == [{"Key": "b", "Value": "2"}]
    iam.delete_virtual_mfa_device(SerialNumber=phone.serial)
    again = Device(sqlite_cloud)
    assert again.seed != phone.seed
    assert iam.list_mfa_device_tags(SerialNumber=again.serial)["Tags"] == []


def test_seeds_are_sealed(sqlite_cloud: TestCloud) -> None:
    phone = Device(sqlite_cloud)
    with sqlite_cloud.database.reading() as tx:
        (device,) = mfa_records.mfa_devices_in(tx, sqlite_cloud.admin.id)
        entries = json.dumps([[row.before, row.after] for row in tx.all(journal.select()) if row.kind == "iam_mfa_devices"])
    assert phone.seed.encode() not in device.seed and phone.seed not in entries and device.seed.hex() not in entries


def test_a_user_manages_its_own_device(sqlite_cloud: TestCloud) -> None:
    """AWS's own policy for it: the device bears the user's name."""
    cloud, arn = sqlite_cloud, f"arn:aws:iam::{sqlite_cloud.admin.id}"
    bob = people.user(cloud, "bob", "iam:*MFADevice*", on=f"{arn}:user/${{aws:username}}").client("iam")
    alice = people.user(
        cloud, "alice", "iam:*MFADevice*", on=[f"{arn}:{each}/${{aws:username}}" for each in ("user", "mfa")]
    ).client("iam")
    with refused("AccessDenied", 403):
        Device(cloud, "bob", bob)
    with refused("AccessDenied", 403):
        Device(cloud, "other", alice)
    mine, bobs = Device(cloud, "alice", alice), Device(cloud, "bob")
    mine.enable("alice", alice)
    bobs.enable("bob", bob)
    for act in (
        lambda: alice.deactivate_mfa_device(UserName="bob", SerialNumber=bobs.serial),
        lambda: alice.delete_virtual_mfa_device(SerialNumber=bobs.serial),
        lambda: alice.list_mfa_devices(UserName="bob"),
        lambda: alice.tag_mfa_device(SerialNumber=bobs.serial, Tags=[{"Key": "a", "Value": "b"}]),
        lambda: alice.list_virtual_mfa_devices(),
        lambda: bob.delete_virtual_mfa_device(SerialNumber=bobs.serial),
    ):
        with refused("AccessDenied", 403):
            act()
    with refused("NoSuchEntity", 404):
        alice.get_mfa_device(SerialNumber=bobs.serial)
    alice.deactivate_mfa_device(SerialNumber=mine.serial)
    alice.delete_virtual_mfa_device(SerialNumber=mine.serial)


def test_one_code_at_once_counts_once(cloud: TestCloud) -> None:
    alice, phone = made_user(cloud), Device(cloud)
    phone.enable()
    cloud.clock.advance(60)
    code, told, start = phone.code(), [], threading.Barrier(4)

    def one() -> None:
        start.wait()
        told.append(check(cloud, alice.id, phone.serial, code))

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(told) == [False, False, False, True]


# ------------------------------------------------------------------------------------------------------------------ codes


def test_two_codes_in_a_row(sqlite_cloud: TestCloud, alice: records.User) -> None:
    iam, phone = sqlite_cloud.client("iam"), Device(sqlite_cloud)
    wrong = [
        phone.pair() | {"AuthenticationCode1": "000000"},
        {"AuthenticationCode1": phone.code(), "AuthenticationCode2": phone.code()},
        {"AuthenticationCode1": phone.code(0), "AuthenticationCode2": phone.code(-1)},
        {"AuthenticationCode1": phone.code(-2), "AuthenticationCode2": phone.code(0)},
        phone.pair(100),
    ]
    for pair in wrong:
        with refused("InvalidAuthenticationCode", 403) as told:
            iam.enable_mfa_device(UserName="alice", SerialNumber=phone.serial, **pair)
        assert told() == "Authentication code for device is not valid"
    assert iam.list_mfa_devices(UserName="alice")["MFADevices"] == []
    phone.enable()


def test_digits_of_other_scripts_are_no_codes(sqlite_cloud: TestCloud, alice: records.User) -> None:
    iam, phone = sqlite_cloud.client("iam", validate=False), Device(sqlite_cloud)
    arabic = {name: code.translate({48 + n: 0x660 + n for n in range(10)}) for name, code in phone.pair().items()}
    for pair in (arabic, {name: code + " " for name, code in phone.pair().items()}, dict.fromkeys(arabic, "12345")):
        with pytest.raises(ClientError, match=r"ValidationError|InvalidAuthenticationCode"):
            iam.enable_mfa_device(UserName="alice", SerialNumber=phone.serial, **pair)
    phone.enable()
    sqlite_cloud.clock.advance(60)
    assert not check(sqlite_cloud, alice.id, phone.serial, phone.code().translate({48 + n: 0xFF10 + n for n in range(10)}))


def test_a_code_counts_once(cloud: TestCloud) -> None:
    alice, phone = made_user(cloud), Device(cloud)
    phone.enable()
    assert not check(cloud, alice.id, phone.serial, phone.code())  # enabling has used it
    assert not check(cloud, alice.id, phone.serial, phone.code(-1))
    assert check(cloud, alice.id, phone.serial, phone.code(1))
    assert not check(cloud, alice.id, phone.serial, phone.code(1))
    cloud.clock.advance(60)
    assert check(cloud, alice.id, phone.serial, phone.code())
    cloud.clock.advance(30)
    assert not check(cloud, alice.id, phone.serial, phone.code(2)) and not check(cloud, alice.id, phone.serial, phone.code(-2))
    assert check(cloud, alice.id, phone.serial, phone.code(0))


def test_codes_and_devices_of_others(sqlite_cloud: TestCloud, alice: records.User) -> None:
    cloud, bob = sqlite_cloud, made_user(sqlite_cloud, "bob")
    phone, other = Device(cloud, "a"), Device(cloud, "b")
    phone.enable()
    other.enable("bob")
    cloud.clock.advance(60)
    assert not check(cloud, alice.id, phone.serial, other.code())
    with cloud.database.transaction(cloud.admin.id) as tx:
        for holder, serial in ((alice.id, other.serial), (bob.id, phone.serial), (alice.id, "GAHT12345678"), (alice.id, "")):
            with pytest.raises(AwsError, match="verify your MFA serial number") as caught:
                mfa.check(tx, cloud.cloud.vault, holder, serial, other.code())
            assert caught.value.code == "AccessDenied" and not isinstance(caught.value, Kept)
        assert mfa.check_any(tx, cloud.cloud.vault, bob.id, phone.code()) is None
        found = mfa.check_any(tx, cloud.cloud.vault, bob.id, other.code())
        assert found is not None and found.serial == other.serial


def test_guessed_codes_are_slowed_down(cloud: TestCloud) -> None:
    alice, phone, second = made_user(cloud), Device(cloud, "a"), Device(cloud, "b")
    phone.enable()
    second.enable()
    cloud.clock.advance(60)
    for number in range(attempts.FREE + 1):
        assert not check(cloud, alice.id, (phone, second)[number % 2].serial, "000000")
    assert not check(cloud, alice.id, phone.serial, phone.code())  # right, and too soon
    cloud.clock.advance(3)
    assert check(cloud, alice.id, phone.serial, phone.code())


def test_a_device_whose_clock_is_wrong(sqlite_cloud: TestCloud, alice: records.User) -> None:
    cloud, iam = sqlite_cloud, sqlite_cloud.client("iam")
    phone = Device(cloud, ahead=8)
    phone.enable()  # four minutes are taken into account
    cloud.clock.advance(60)
    assert check(cloud, alice.id, phone.serial, phone.code())
    phone.ahead = 900
    cloud.clock.advance(60)
    assert not check(cloud, alice.id, phone.serial, phone.code())
    asked = {"UserName": "alice", "SerialNumber": phone.serial}
    with refused("InvalidAuthenticationCode", 403):
        iam.resync_mfa_device(**asked, AuthenticationCode1="000000", AuthenticationCode2="000000")
    used = phone.pair()
    iam.resync_mfa_device(**asked, **used)
    with refused("InvalidAuthenticationCode", 403):  # a pair counts once, too
        iam.resync_mfa_device(**asked, **used)
    assert not check(cloud, alice.id, phone.serial, phone.code())
    cloud.clock.advance(30)
    assert check(cloud, alice.id, phone.serial, phone.code())
    iam.deactivate_mfa_device(**asked)
    with refused("NoSuchEntity", 404):
        iam.resync_mfa_device(**asked, **phone.pair())
