"""The reconcilers of objects: what stands in the index and in buckets' configurations is made true, again and again."""

from mallee.objects.upkeep.expiring import remove_expired
from mallee.objects.upkeep.inventory import make_inventories
from mallee.objects.upkeep.lifecycle import expire_objects
from mallee.objects.upkeep.logs import deliver_logs
from mallee.objects.upkeep.replication import replicate, replicate_existing, replicate_to_remotes
from mallee.objects.upkeep.storage import (
    check_disks,
    checkpoint_index,
    compact_packs,
    forget_uploads,
    reclaim_garbage,
    scrub_contents,
    sweep_contents,
)
from mallee.objects.upkeep.usage import record_usage

__all__ = [
    "check_disks",
    "checkpoint_index",
    "compact_packs",
    "deliver_logs",
    "expire_objects",
    "forget_uploads",
    "make_inventories",
    "reclaim_garbage",
    "record_usage",
    "remove_expired",
    "replicate",
    "replicate_existing",
    "replicate_to_remotes",
    "scrub_contents",
    "sweep_contents",
]
