"""Is this the code that the holder's MFA device shows now? For STS, sign-in and whatever else asks for a second factor.

A code counts once: one that was accepted, and all before it, are refused from then on. Wrong codes are counted for the
holder, whichever device they were for, and make the next wait (``records.attempts``): six digits would otherwise be
guessed in a day.
"""

from __future__ import annotations

from mallee.identity import totp
from mallee.identity.call import Kept
from mallee.identity.records import attempts
from mallee.identity.records import mfa as records
from mallee.identity.vault import Vault
from mallee.store import Tx
from mallee.wire.errors import AwsError

REACH = 1  # steps of thirty seconds to either side of ours that a code may come from


def check(tx: Tx, vault: Vault, holder_id: str, serial: str, code: str) -> None:
    """Returns when ``code`` is good now for the device ``serial`` that the holder has enabled: a user, by its id, or the root, by
    the account's. Raises AccessDenied else. The transaction must write; the refusal keeps what was counted (``Kept``)."""
    device = next((each for each in records.mfa_devices_of(tx, holder_id) if each.serial == serial), None)
    if device is None:
        told = "MultiFactorAuthentication failed, unable to validate MFA code. "
        raise AwsError(
            "AccessDenied", f"{told} Please verify your MFA serial number is valid and associated with this user.", status=403
        )
    if not accepts(tx, vault, holder_id, device, code):
        raise Kept("AccessDenied", "MultiFactorAuthentication failed with invalid MFA one time pass code. ", status=403)


def check_any(tx: Tx, vault: Vault, holder_id: str, code: str) -> records.MfaDevice | None:
    """The holder's device that shows ``code`` now; None if none does, which is counted. For sign-in, where people type a code
    and name no device."""
    subject = _subject(holder_id)
    if attempts.attempts_of(tx, subject).blocked(tx.now):
        return None
    for device in records.mfa_devices_of(tx, holder_id):
        if _takes(tx, vault, device, code):
            attempts.forget_failures(tx, subject)
            return device
    attempts.count_failure(tx, subject)
    return None


def accepts(tx: Tx, vault: Vault, holder_id: str, device: records.MfaDevice, code: str) -> bool:
    """Whether ``code`` is good for this device of the holder's. Counted and remembered either way."""
    subject = _subject(holder_id)
    if attempts.attempts_of(tx, subject).blocked(tx.now):
        return False
    if not _takes(tx, vault, device, code):
        attempts.count_failure(tx, subject)
        return False
    attempts.forget_failures(tx, subject)
    return True


def _takes(tx: Tx, vault: Vault, device: records.MfaDevice, code: str) -> bool:
    seed = vault.open(device.serial, device.seed)
    step = totp.step_of(seed, code, totp.step_at(tx.now) + device.drift, REACH, records.last_step(tx, device.serial))
    if step is None:
        return False
    records.note_step(tx, device.serial, step)
    return True


def _subject(holder_id: str) -> str:
    return f"mfa/{holder_id}"
