"""`mallee bucket usage`, `quota`, `records`: what buckets hold, may hold, and held."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import typer

from mallee.cli import calls, home
from mallee.cli.calls import AsJson, ask
from mallee.cli.home import Sorry

BucketName = Annotated[str, typer.Argument(metavar="NAME", help="a bucket")]
Account = Annotated[str | None, typer.Option(help="buckets of this account only, by id or alias")]

_UNITS = ("", "Ki", "Mi", "Gi", "Ti", "Pi")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGTP]?)(i?)B?", re.ASCII | re.IGNORECASE)
_COUNTS = ("Objects", "Bytes", "NoncurrentVersions", "NoncurrentBytes", "Uploads", "UploadBytes")

COLUMNS = {
    "bucket": "BucketName",
    "account": "AccountId",
    "objects": "Objects",
    "size": "Bytes",
    "older versions": "NoncurrentVersions",
    "their size": "NoncurrentBytes",
    "uploads": "Uploads",
    "their parts": "UploadBytes",
    "quota": "Quota",
}
RECORDS = {
    "day": "Day",
    "bucket": "BucketName",
    "account": "AccountId",
    "objects": "Objects",
    "size": "Bytes",
    "older versions": "NoncurrentVersions",
    "their size": "NoncurrentBytes",
    "peak": "PeakBytes",
    "GiB hours": "GiBHours",
}


def usage(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="this bucket only")] = None,
    account: Account = None,
    disks: Annotated[
        bool, typer.Option("--disks", help="the object store itself: disks, what is to be given back, upkeep")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """What buckets hold and may hold."""
    mallee = calls.administrator(home.settings())
    if disks:
        show_store(ask(mallee.describe_object_store)["ObjectStore"], as_json)
        return
    owner = None if account is None else calls.account_id(mallee, account)
    found = list(calls.every(mallee, "describe_bucket_usage", "Buckets", BucketName=name, AccountId=owner))
    sums: dict[str, Any] = {member: sum(each[member] for each in found) for member in _COUNTS}
    if as_json:
        calls.print_json({"Buckets": found, "Sum": sums})
        return
    rows = [_row(each) for each in found]
    if len(rows) > 1:
        rows.append(_row(sums | {"BucketName": "sum"}))
    calls.show(rows, COLUMNS, False)


def quota(
    name: BucketName,
    bytes: Annotated[str | None, typer.Option("--bytes", help="how much it may hold, such as 10GiB")] = None,
    objects: Annotated[
        int | None, typer.Option("--objects", min=0, help="how many objects it may hold, each version counted")
    ] = None,
    none: Annotated[bool, typer.Option("--none", help="take its quota away")] = False,
    as_json: AsJson = False,
) -> None:
    """Bound what a bucket may hold; without an option, show it."""
    mallee = calls.administrator(home.settings())
    if none:
        if bytes is not None or objects is not None:
            raise Sorry("--none takes the quota away: it goes with no limit")
        ask(mallee.delete_bucket_quota, BucketName=name)
    elif bytes is not None or objects is not None:
        ask(mallee.put_bucket_quota, BucketName=name, Bytes=None if bytes is None else size(bytes), Objects=objects)
    found = ask(mallee.describe_bucket_usage, BucketName=name)["Buckets"]
    calls.show(found if as_json else [_row(each) for each in found], COLUMNS, as_json)


def records(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="this bucket only")] = None,
    since: Annotated[str | None, typer.Option(help="from this day on, such as 2026-11-01; the last 31 days without it")] = None,
    until: Annotated[str | None, typer.Option(help="up to this day, included")] = None,
    account: Account = None,
    as_json: AsJson = False,
) -> None:
    """What buckets held, day by day: for bills."""
    mallee = calls.administrator(home.settings())
    owner = None if account is None else calls.account_id(mallee, account)
    given = {"BucketName": name, "AccountId": owner, "Since": since, "Until": until}
    found = list(calls.every(mallee, "list_bucket_usage_records", "Records", **given))
    calls.show(found if as_json else [_record(each) for each in found], RECORDS, as_json)


def _row(found: Mapping[str, Any]) -> dict[str, Any]:
    limits = [human(found["QuotaBytes"])] if "QuotaBytes" in found else []
    limits += [f"{found['QuotaObjects']} objects"] if "QuotaObjects" in found else []
    return {**found, **_human(found, ("Bytes", "NoncurrentBytes", "UploadBytes")), "Quota": ", ".join(limits) or None}


def _record(found: Mapping[str, Any]) -> dict[str, Any]:
    sizes = _human(found, ("Bytes", "NoncurrentBytes", "PeakBytes"))
    return {**found, **sizes, "GiBHours": f"{found['ByteHours'] / 2**30:.3f}"}


def _human(found: Mapping[str, Any], members: Iterable[str]) -> dict[str, str]:
    return {member: human(found[member]) for member in members}


# --------------------------------------------------------------------------------------------------------- the store


def show_store(found: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        calls.print_json(found)
        return
    if found.get("Disks"):
        disks = [
            {**disk, **_human(disk, ("TotalBytes", "FreeBytes")), "State": disk.get("Fault", {}).get("Cause", "works")}
            for disk in found["Disks"]
        ]
        calls.show(disks, {"disk": "Path", "size": "TotalBytes", "free": "FreeBytes", "": "State"}, False)
    facts = {"engine": found["Engine"], "copies": found.get("Copies"), "index": found["IndexDatabase"]}
    facts["objects"] = f"{found['Objects']}, {human(found['Bytes'])}"
    facts["older versions"] = f"{found['NoncurrentVersions']}, {human(found['NoncurrentBytes'])}"
    facts["uploads"] = f"{found['Uploads']}, {human(found['UploadBytes'])}"
    if "Packs" in found:
        facts["packs"] = (
            f"{found['Packs']}, {human(found['PackBytes'])}, of which compaction can give back {human(found['DeadBytes'])}"
        )
        facts["copies owed"] = found["Owed"]
    since = f", the oldest since {calls.plain(found['GarbageSince'])}" if found.get("GarbageSince") else ""
    facts["garbage"] = f"{found['Garbage']} contents{since}"
    facts["scrub"] = scrub_words(found.get("Scrub"))
    facts["last scrub"] = scrub_words(found.get("LastScrub"))
    calls.show_one(facts, False)
    for fault in found["Faults"]:
        print(f"fault {fault['Code']}: {fault['Cause']} {fault['Remedy']}")
    if found["Walks"]:
        columns = {"walk": "Name", "bucket": "BucketName", "began": "BeganAt", "ended": "EndedAt", "progress": "Progress"}
        calls.show(found["Walks"], columns, False)


def scrub_words(found: Mapping[str, Any] | None) -> str:
    """One pass of the scrub in a line."""
    if found is None:
        return "none"
    end = found.get("EndedAt")
    ended = f"ended {calls.plain(end)}" if end is not None else "under way"
    words = [
        f"pass {found['Number']}, began {calls.plain(found.get('BeganAt'))}, {ended}",
        f"{human(found['VerifiedBytes'])} verified",
    ]
    words += [f"{found[member]} {member.lower()}" for member in ("Mended", "Missing", "Damaged") if found.get(member) is not None]
    return ", ".join(words)


def since_scrub(found: Mapping[str, Any], now: datetime.datetime) -> datetime.timedelta | None:
    """How long ago the last whole pass ended; None if there was none yet."""
    last = found.get("LastScrub")
    return None if last is None or last.get("EndedAt") is None else now - last["EndedAt"]


def human(size: int) -> str:
    if size < 1024:
        return f"{size} B"
    value, unit = float(size), 0
    while value >= 1024 and unit + 1 < len(_UNITS):
        value, unit = value / 1024, unit + 1
    return f"{value:.1f} {_UNITS[unit]}B"


def size(text: str) -> int:
    """``10GiB``, ``1.5T`` (both by 1024), ``10GB`` (by 1000), ``4096``."""
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise Sorry(f"{text} is no size: write 10GiB, 500MB, or a number of bytes")
    number, letter, binary = found.groups()
    exponent = ("", "K", "M", "G", "T", "P").index(letter.upper())
    base = 1000 if letter and not binary and text.strip().upper().endswith("B") else 1024
    return int(float(number) * base**exponent)
