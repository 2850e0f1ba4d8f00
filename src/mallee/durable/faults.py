"""Faults: problems that a person should know of, each with its cause and its remedy, standing until they are over.

A fault is known by its code and its subject (an instance, a node, the cloud). To raise one that stands changes nothing but its text; to
clear one that does not stand changes nothing. ``python -m mallee.durable.page`` prints docs/faults.md.
"""

from __future__ import annotations

import string
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from mallee.store import Tx, read_all

from .records import FAULTS


@dataclass(frozen=True, slots=True)
class Entry:
    """What the catalogue says of a code. ``cause`` and ``remedy`` are sentences; ``{names}`` in them are filled from the details."""

    title: str
    cause: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Fault:
    code: str
    subject: str
    cause: str
    remedy: str
    raised_at: datetime


CATALOGUE = {
    "certificate-expired": Entry(
        "The certificate of the TLS port has expired",
        "The certificate in {file} ended at {ended}.",
        "Replace the given certificate, or remove tls_certificate from config.toml to use the cloud's own authority.",
    ),
    "clock-skew": Entry(
        "A host's clock is wrong",
        "The clock of {subject} is {seconds} seconds away from the cloud's.",
        "Run a time service (chrony, systemd-timesyncd) on both hosts: signatures and deadlines depend on it.",
    ),
    "database-unreachable": Entry(
        "The database does not answer",
        "{cause}",
        "Start the database, or correct database_url in config.toml; calls are answered with Unavailable until then and nothing is lost.",
    ),
    "database-corrupt": Entry(
        "The database file is damaged",
        "{cause}",
        "Stop Mallee, keep a copy of the file, check the disk, and restore the latest backup.",
    ),
    "directory-failing": Entry(
        "Users cannot be synchronised from the directory",
        "{problem}",
        "Check the directory and its configuration (aws mallee get-directory); users who are here already are not affected, and it is tried"
        " again at the next interval.",
    ),
    "disk-full": Entry(
        "A disk is full, or nearly",
        "There is hardly any room left on {subject}.",
        "Free space in the cloud's home or terminate instances; what waits for room goes on by itself.",
    ),
    "guest-crashed": Entry(
        "A virtual machine ended unexpectedly",
        "The guest {subject} on node {node} ended without being asked.",
        "Read its console (./mallee doctor {subject}) and start the instance again; its disk is as it was.",
    ),
    "guest-start-failed": Entry(
        "A virtual machine could not be started",
        "The hypervisor refused to start {subject}.",
        "./mallee doctor {subject} shows what it said; ./mallee logs node has the whole of it.",
    ),
    "hypervisor-down": Entry(
        "The hypervisor of a node does not answer",
        "libvirtd of node {subject} does not answer; the agent starts it again.",
        "If it stays, read ./mallee logs libvirtd. Running guests are not affected.",
    ),
    "image-corrupt": Entry(
        "An image does not have the bytes it should have",
        "A blob that {subject} needs does not match its digest.",
        "The node fetches it again by itself. If it comes back, the cloud's own copy is damaged: run ./mallee up to build the starter image anew,"
        " or register the image again.",
    ),
    "image-fetch-failed": Entry(
        "A node cannot fetch an image",
        "The node could not fetch a blob that {subject} needs.",
        "Check that the cloud process runs and that the blob exists in its home; the node tries again by itself.",
    ),
    "instance-late": Entry(
        "An instance does not start in its time",
        "{subject} has been in step {step} for too long on node {node} ({doing}).",
        "./mallee doctor {subject} names the hop where it waits; ./mallee logs node has the details.",
    ),
    "instance-stuck": Entry(
        "An instance does not end in its time",
        "Node {node} has not removed {subject} yet ({doing}); it stays in step {step}.",
        "See whether the node runs (./mallee status). The instance is removed as soon as the node is back; nothing has to be done by hand.",
    ),
    "names-failed": Entry(
        "The resolver of a network does not run",
        "The node could not run the resolver of {subject}; names do not resolve there, everything else works.",
        "./mallee logs node has what dnsmasq said; the node tries again by itself.",
    ),
    "network-failed": Entry(
        "A node could not make a network",
        "The node could not bring {subject} to what it should be.",
        "./mallee logs node has the kernel's answer; the node tries again by itself.",
    ),
    "no-capacity": Entry(
        "There is no room for an instance",
        "No node of zone {zone} has {vcpus} virtual CPUs, {memory_mib} MiB of memory and {disk_gib} GiB of disk left.",
        "Terminate instances, add a node, or choose a smaller instance type.",
    ),
    "node-unreachable": Entry(
        "A node is silent",
        "Node {subject} ({hostname}) has said nothing since {seen_at}.",
        "See on that host whether its agent runs and can reach the cloud. Its guests go on; new instances go to other nodes.",
    ),
    "objects-ceph-away": Entry(
        "The object store's Ceph does not answer",
        "The Ceph cluster of the object store does not answer.",
        "See on a host of the cluster what ceph status says; requests for objects are answered with"
        " ServiceUnavailable until then and nothing is lost.",
    ),
    "objects-ceph-full": Entry(
        "The object store's Ceph is nearly full",
        "The Ceph pool of the object store has hardly any room left.",
        "Delete objects, or add room to the pool.",
    ),
    "objects-copies-owed": Entry(
        "Objects have fewer copies than they should",
        "Some contents of the object store have fewer copies than objects_copies.",
        "Nothing, once all disks work: the scrub makes the missing copies.",
    ),
    "objects-damaged": Entry(
        "Objects are damaged and no copy of them is whole",
        "The scrub found {number} damaged contents without a whole copy, among them {names}.",
        "Restore these objects from where they came, and check the disk (smartctl, the kernel's log). Reads of them are refused, never wrong.",
    ),
    "objects-disk-failed": Entry(
        "A disk of the object store fails",
        "A disk among objects_disks fails.",
        "Check the disk (smartctl, the kernel's log) and replace it; docs/objects-format.md says how.",
    ),
    "objects-disk-left-out": Entry(
        "A disk of the object store is not among objects_disks any more",
        "A disk that holds objects is not named in objects_disks.",
        "Name it again, or say that it is lost; docs/objects-format.md says how.",
    ),
    "objects-disk-refused": Entry(
        "A disk of the object store is not the one it should be",
        "A folder among objects_disks is not the disk that it was.",
        "Mount the right disk there; docs/objects-format.md says how a new one is told.",
    ),
    "port-in-use": Entry(
        "A port is taken",
        "Port {port} of {subject} is in use by another program.",
        "End that program, or choose another port in config.toml.",
    ),
    "public-pool-routed": Entry(
        "The public pool is in use on this machine",
        "The machine already routes a network that overlaps the public pool {pool}.",
        "Choose another pool: ./mallee down, then public_pool in config.toml.",
    ),
    "reconciler-failing": Entry(
        "A reconciler fails",
        "The reconciler {subject} raised {error}",
        "It is called again by itself. If it keeps failing, report it with the lines around it in ./mallee logs cloud.",
    ),
    "step-failing": Entry(
        "A step fails again and again",
        "The step {step} of {subject} ({machine}) has failed {tries} times. {error}",
        "It is tried again by itself. ./mallee doctor {subject} shows where it is; ./mallee logs cloud has the whole of the error.",
    ),
    "step-overdue": Entry(
        "A step has missed its deadline",
        "The step {step} of {subject} ({machine}) takes longer than it should. {error}",
        "./mallee doctor {subject} shows what it waits for.",
    ),
}

_ALL = sa.select(FAULTS).order_by(FAULTS.c.raised_at, FAULTS.c.code, FAULTS.c.subject)
_OF = _ALL.where(FAULTS.c.subject == sa.bindparam("subject"))


class _Known(string.Formatter):
    """Fills what is known; what is not stays a question mark instead of an error within an error."""

    def get_value(self, key: int | str, args: Any, kwargs: Any) -> Any:
        return kwargs.get(str(key), "?")


def raise_(tx: Tx, code: str, subject: str, **details: Any) -> None:
    """Lets the fault stand. ``cause`` and ``remedy`` among the details replace the catalogue's sentences."""
    entry = CATALOGUE.get(code)
    if entry is None and not ("cause" in details and "remedy" in details):
        raise KeyError(f"fault {code} is not in the catalogue: give its cause and remedy")
    known = {"subject": subject, **details}
    cause = details.get("cause") or _Known().vformat(entry.cause if entry else "", (), known).strip()
    remedy = details.get("remedy") or _Known().vformat(entry.remedy if entry else "", (), known)
    here = tx.everyone()
    if here.get(FAULTS, {"code": code, "subject": subject}) is None:
        here.insert(FAULTS, code=code, subject=subject, cause=cause, remedy=remedy, raised_at=tx.now)
    else:
        here.change(FAULTS, {"code": code, "subject": subject}, cause=cause, remedy=remedy)


def clear(tx: Tx, code: str, subject: str) -> None:
    tx.everyone().remove(FAULTS, {"code": code, "subject": subject})


def open_(tx: Tx, subject: str | None = None) -> list[Fault]:
    """The faults that stand, oldest first; of one subject if it is given."""
    here = tx.everyone()
    return read_all(Fault, here.all(_ALL) if subject is None else here.all(_OF, subject=subject))
