"""Virtual MFA devices: a name, a sealed seed, and whose they are once enabled.

``serial`` is the device's ARN, looked up as it is; two that differ in case alone cannot be. ``holder_id`` is the id of the
user, or of the account for its root; None while nobody has enabled the device. Which code was used last is bookkeeping
beside the device: a code counts once.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from sqlalchemy import Column, Index, bindparam, func, select

from mallee.identity.records.names import one
from mallee.store import Bytes, Integer, Text, Timestamp, Tx, plain_table, read_all, resource_table

mfa_devices = resource_table(
    "iam_mfa_devices",
    Column("serial", Text, primary_key=True),
    Column("folded_serial", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("seed", Bytes, nullable=False, info={"secret": True}),
    Column("created_at", Timestamp, nullable=False),
    Column("holder_id", Text),
    Column("enabled_at", Timestamp),
    Column("drift", Integer, nullable=False, default=0),
)
Index("iam_mfa_devices_by_holder", mfa_devices.c.holder_id)

mfa_uses = plain_table(
    "iam_mfa_uses",
    Column("serial", Text, primary_key=True),
    Column("step", Integer, nullable=False),
)


@dataclass(frozen=True, slots=True)
class MfaDevice:
    """``drift``: how many time steps the device's clock is ahead of ours."""

    serial: str
    account_id: str
    name: str
    path: str
    seed: bytes
    created_at: datetime.datetime
    holder_id: str | None
    enabled_at: datetime.datetime | None
    drift: int

    @property
    def id(self) -> str:
        """By which its tags are known."""
        return self.serial

    def arn(self, partition: str) -> str:
        return self.serial


_DEVICE = select(mfa_devices).where(
    mfa_devices.c.account_id == bindparam("account_id"), mfa_devices.c.serial == bindparam("serial")
)
_DEVICES = select(mfa_devices).where(mfa_devices.c.account_id == bindparam("account_id")).order_by(mfa_devices.c.serial)
_OF = (
    select(mfa_devices)
    .where(mfa_devices.c.holder_id == bindparam("holder_id"))
    .order_by(mfa_devices.c.enabled_at, mfa_devices.c.serial)
)
_COUNT = select(func.count()).select_from(mfa_devices).where(mfa_devices.c.holder_id == bindparam("holder_id"))
_STEP = select(mfa_uses.c.step).where(mfa_uses.c.serial == bindparam("serial"))


def mfa_device(tx: Tx, account_id: str, serial: str) -> MfaDevice | None:
    return one(MfaDevice, tx.first(_DEVICE, account_id=account_id, serial=serial))


def mfa_devices_in(tx: Tx, account_id: str) -> list[MfaDevice]:
    return read_all(MfaDevice, tx.all(_DEVICES, account_id=account_id))


def mfa_devices_of(tx: Tx, holder_id: str) -> list[MfaDevice]:
    """Those that the user (or, by the account's id, the root) has enabled."""
    return read_all(MfaDevice, tx.all(_OF, holder_id=holder_id))


def count_mfa_devices_of(tx: Tx, holder_id: str) -> int:
    return int(tx.value(_COUNT, holder_id=holder_id))


def last_step(tx: Tx, serial: str) -> int:
    """The time step of the last code that was accepted; -1 if none was."""
    step: int | None = tx.value(_STEP, serial=serial)
    return -1 if step is None else step


def note_step(tx: Tx, serial: str, step: int) -> None:
    tx.put(mfa_uses, serial=serial, step=step)


def remove_mfa_device(tx: Tx, serial: str) -> None:
    tx.remove(mfa_uses, serial)
    tx.remove(mfa_devices, serial)
