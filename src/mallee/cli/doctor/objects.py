"""The hops of the object store: index, disks, copies, garbage, scrub, and a round trip."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from mallee.cli import calls
from mallee.cli.bucket_usage import human, scrub_words, since_scrub
from mallee.cli.client import health
from mallee.cli.doctor.examination import Report
from mallee.cli.home import Sorry
from mallee.settings import Settings

OLD_GARBAGE = datetime.timedelta(hours=1)
OLD_SCRUB = datetime.timedelta(days=30)
LOGS = "See ./mallee logs cloud."


def examine(chosen: Settings, report: Report) -> None:
    if health(chosen) is None:
        return  # which was said before
    mallee = calls.administrator(chosen)
    try:
        found = calls.ask(mallee.describe_object_store)["ObjectStore"]
    except Sorry as sorry:
        report.bad("objects", str(sorry), f"The object store does not work: {sorry}.", LOGS)
        return
    report.well(
        "objects", f"{found['Objects']}, {human(found['Bytes'])}; engine {found['Engine']}, index in {found['IndexDatabase']}"
    )
    now = datetime.datetime.now(datetime.UTC)
    _disks(found, report)
    _garbage(found, now, report)
    _scrub(found, now, report)
    try:
        done = calls.ask(mallee.probe_object_store)
    except Sorry as sorry:
        report.bad("round trip", str(sorry), f"An object cannot be written, read and removed: {sorry}.", LOGS)
        return
    report.well("round trip", f"two objects written, read and removed in {done['Seconds'] * 1000:.0f} ms")


def _disks(found: Mapping[str, Any], report: Report) -> None:
    for disk in found.get("Disks", ()):
        text = f"{disk['Path']}, {human(disk['FreeBytes'])} of {human(disk['TotalBytes'])} free"
        fault = disk.get("Fault")
        if fault is None:
            report.well("object disk", text)
        else:
            report.bad("object disk", f"{disk['Path']}: {fault['Cause']}", fault["Cause"], fault["Remedy"])
    told = {disk["Fault"]["Code"] for disk in found.get("Disks", ()) if disk.get("Fault")}
    for fault in found["Faults"]:
        if fault["Code"] not in told:
            report.bad(fault["Code"], fault["Cause"], fault["Cause"], fault["Remedy"])


def _garbage(found: Mapping[str, Any], now: datetime.datetime, report: Report) -> None:
    since = found.get("GarbageSince")
    waiting = f"{found['Garbage']} contents to be discarded"
    wrong = f"Contents that nobody needs any more wait since {calls.plain(since)} to be discarded."
    report.check("garbage", since is None or now - since < OLD_GARBAGE, waiting, wrong, LOGS)


def _scrub(found: Mapping[str, Any], now: datetime.datetime, report: Report) -> None:
    running, age = found.get("Scrub"), since_scrub(found, now)
    text = scrub_words(running or found.get("LastScrub"))
    if age is None and running is None:
        report.note("scrub", "has not begun")
        return
    if age is None:
        assert running is not None
        age = now - running["BeganAt"]
    wrong = f"The object store was not verified as a whole for {age.days} days."
    report.check(
        "scrub", age < OLD_SCRUB, text, wrong, "The reconciler objects-scrub does it: ./mallee status says whether it fails."
    )
