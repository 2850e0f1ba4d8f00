"""Server access logs are delivered: what the edge has noted becomes objects in the buckets that their owners chose."""

from __future__ import annotations

import datetime
import logging
import secrets
from collections.abc import Iterable, Mapping
from typing import Any

from mallee.durable import reconciler
from mallee.identity.records import accounts
from mallee.objects import access_log, acl, delivering, kinds, lookup, store
from mallee.objects.engine.base import EngineError
from mallee.objects.index.rows import BucketClosed
from mallee.objects.log_delivery import lets_in
from mallee.objects.records import ENFORCED, Bucket
from mallee.objects.rules import access_log as rules
from mallee.objects.rules.access_log import Entry
from mallee.objects.store import Store
from mallee.store import Clock, Database, StoreUnavailable, Tx
from mallee.wire.errors import AwsError

log = logging.getLogger("mallee.objects")

Entries = list[tuple[Entry, bool]]


@reconciler("objects-logs", every=60)
def deliver_logs(database: Database, clock: Clock) -> None:
    """Writes what has been noted since the last time; what can't be written now stays for the next."""
    objects = store.at(database)
    noted = access_log.of(database)
    for name, entries in noted.take().items():
        try:
            _deliver(objects, clock, name, entries)
        except (EngineError, StoreUnavailable) as problem:
            log.warning("the access log of %s waits: %s", name, problem)
            noted.give_back(name, entries)
        except BucketClosed:
            pass
        except Exception:
            log.exception("the access log of %s is not delivered", name)


def _deliver(objects: Store, clock: Clock, name: str, entries: Entries) -> None:
    settings = objects.settings
    with objects.database.reading() as tx:
        source = lookup.named(tx, name)
        wanted = None if source is None else (source.configuration(kinds.LOGGING) or {}).get("LoggingEnabled")
        target = None if wanted is None else lookup.named(tx, wanted["TargetBucket"])
        if source is None or wanted is None or target is None or target.account_id != source.account_id:
            return
        grants = _grants(tx, wanted, target)
        lines = [(entry, _line(tx, source, entry, copied)) for entry, copied in entries]
    format = wanted.get("TargetObjectKeyFormat")
    for at, some in _by_day(lines, clock.now(), rules.is_by_event(format)):
        unique = secrets.token_hex(8).upper()
        key = rules.object_key(wanted["TargetPrefix"], format, at, unique, source.account_id, settings.region, source.name)
        if not lets_in(settings.partition, target, key, source):
            log.info("the bucket %s does not let the access log of %s in", target.name, source.name)
            return
        delivering.put(objects, target, key, ("\n".join(some) + "\n").encode(), "text/plain", acl=grants)


def _by_day(
    lines: list[tuple[Entry, str]], now: datetime.datetime, by_event: bool
) -> Iterable[tuple[datetime.datetime, list[str]]]:
    if not by_event:
        return [(now, [text for _, text in lines])]
    found: dict[datetime.date, tuple[datetime.datetime, list[str]]] = {}
    for entry, text in lines:
        found.setdefault(entry.at.date(), (entry.at, []))[1].append(text)
    return list(found.values())


def _line(tx: Tx, source: Bucket, entry: Entry, copied: bool) -> str:
    requester = accounts.canonical_id(tx, entry.root) if entry.root else entry.requester
    return rules.line(entry, accounts.canonical_id(tx, source.account_id), source.name, requester, copied)


def _grants(tx: Tx, wanted: Mapping[str, Any], target: Bucket) -> list[Any] | None:
    """TargetGrants, as the list of an object."""
    given = wanted.get("TargetGrants")
    if not given or target.ownership == ENFORCED:
        return None
    owner = accounts.canonical_id(tx, target.account_id)
    try:
        asked = {"AccessControlPolicy": {"Owner": {"ID": owner}, "Grants": given}}
        found = acl.from_request(tx, asked, target.account_id, target.account_id, ownership=target.ownership)
    except AwsError:  # whom it names is gone
        return None
    return None if found is None else [[owner, acl.FULL_CONTROL], *found]
