"""What is to be replicated: decided when a version is made, marked deleted or changed, and written down in the same transaction.

The destinations are those of the bucket's rules at that moment. ``upkeep.replication`` does what stands here. What a lifecycle does is not
replicated, nor the delete of one version, nor a replica, as with AWS.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/replication-what-is-isnot-replicated.html
"""

from __future__ import annotations

import datetime
from typing import Any, Final

from mallee.identity.call import Call
from mallee.objects import kinds, remotes
from mallee.objects.index import tasks, versions
from mallee.objects.index.rows import Version
from mallee.objects.records import Bucket
from mallee.objects.rules import replication as rules
from mallee.objects.rules.lifecycle import Thing
from mallee.store import Tx

HERE, REMOTE = "replication", "replication-remote"
"""Kinds of tasks, and the topics that wake who does them: an endpoint that is away holds nothing that stays in the cloud."""
KINDS: Final = (HERE, REMOTE)
REPLICA_HEADER: Final = "x-amz-mallee-replica"
"""By which one Mallee tells another that what it writes is a replica, of the version of that id: it goes no further."""
CHANGES: Final = ("tags", "acl", "lock")
"""Of a version's attributes, that may change and are replicated."""

Detail = dict[str, Any]
"""``what``, the ``role`` that does it, ``to``: the destinations that are left, ``size``: bytes to copy; between tries ``failed`` and ``told``."""

_NEVER = datetime.datetime.fromtimestamp(0, datetime.UTC)


def planned(bucket: Bucket, key: bytes, size: int, made: dict[str, Any]) -> Detail | None:
    """For a new version, whose attributes then say that it is pending. None: it is not replicated."""
    document = bucket.configuration(kinds.REPLICATION)
    if document is None or bucket.versioning != "Enabled" or made.get("replication") == rules.REPLICA:
        return None
    detail = _detail(document, rules.OBJECT, _thing(key, size, made), form=_form(made))
    if detail is not None:
        made["replication"] = rules.PENDING
    return detail


def note(tx: Tx, stored: Version, detail: Detail | None) -> None:
    """``detail``: what was planned for it."""
    if detail is None:
        return
    for kind in KINDS:
        to = [each for each in detail["to"] if (remotes.named_in(each["Bucket"]) is not None) == (kind == REMOTE)]
        if to:
            tasks.add(tx, kind, stored.bucket_id, stored.key, stored.version_id, {**detail, "to": to})


def marked(tx: Tx, bucket: Bucket, marker: Version | None) -> None:
    """A delete marker was made, by somebody and not by a rule."""
    document = bucket.configuration(kinds.REPLICATION)
    if document is not None and marker is not None and marker.version_id != "null":
        note(tx, marker, _detail(document, rules.MARKER, _thing(marker.key, 0, {})))


def changed(tx: Tx, bucket: Bucket, found: Version, made: dict[str, Any]) -> dict[str, Any]:
    """``made``: the attributes that a version is about to have; those that it shall have instead."""
    document = bucket.configuration(kinds.REPLICATION)
    status = found.attributes.get("replication")
    if document is None or status is None or all(made.get(name) == found.attributes.get(name) for name in CHANGES):
        return made
    replica = status == rules.REPLICA or bool(found.attributes.get("replica"))
    for attributes in (made, found.attributes):  # a tag that was taken away may be the one that the rule goes by
        detail = _detail(document, rules.CHANGE, _thing(found.key, found.size, attributes), form=_form(made), replica=replica)
        if replica:
            detail = _within_the_cloud(detail)
        if detail is not None:
            note(tx, found, detail)
            return {**made, "replication": rules.PENDING} | ({"replica": True} if replica else {})
    return made


def existing(tx: Tx, bucket: Bucket, found: Version) -> bool:
    """One that was there before the rule; whether there is one for it."""
    document = bucket.configuration(kinds.REPLICATION)
    if document is None or found.deleted or found.attributes.get("replication"):
        return False
    detail = _detail(document, rules.EXISTING, _thing(found.key, found.size, found.attributes), form=_form(found.attributes))
    if not found.is_latest:  # other endpoints take the last that comes for the latest
        detail = _within_the_cloud(detail)
    if detail is None or versions.change(tx, found, attributes={**found.attributes, "replication": rules.PENDING}) is None:
        return False
    note(tx, found, detail)
    return True


def _detail(document: dict[str, Any], what: str, thing: Thing, form: str | None = None, replica: bool = False) -> Detail | None:
    to = rules.destinations(document, what, thing, form=form, replica=replica)
    return {"what": what, "role": document.get("Role", ""), "to": to, "size": 0 if what == rules.CHANGE else thing.size} if to else None


def _within_the_cloud(detail: Detail | None) -> Detail | None:
    to = [each for each in (detail or {}).get("to", ()) if remotes.named_in(each["Bucket"]) is None]
    return {**detail, "to": to} if detail is not None and to else None


def is_replica(call: Call) -> bool:
    """Whether the request brings a replica of another cloud; that it may was asked with the call."""
    return call.header(REPLICA_HEADER.encode()) is not None


def _thing(key: bytes, size: int, attributes: dict[str, Any]) -> Thing:
    return Thing(key.decode("utf-8", "replace"), size, attributes.get("tags") or {}, _NEVER, "STANDARD")


def _form(attributes: dict[str, Any]) -> str | None:
    sse = attributes.get("sse")
    return None if sse is None else sse["form"]
