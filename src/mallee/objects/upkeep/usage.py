"""What buckets hold, written down every hour (``usage_records``)."""

from __future__ import annotations

from mallee.durable import reconciler
from mallee.objects import records, store, usage_records
from mallee.objects.index import usage
from mallee.store import Clock, Database, Tx


@reconciler("objects-usage", every=3600)
def record_usage(database: Database, clock: Clock) -> None:
    """Counters are read first: a bucket that is made meanwhile has none."""
    with store.at(database).index.reading() as tx:
        counted = usage.all_usage(tx)

    def write(tx: Tx) -> None:
        usage_records.sample(tx, [each for each in records.all_buckets(tx) if not each.internal], counted)

    database.run(write, durable=False)
