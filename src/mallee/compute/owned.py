"""The kinds of resources that compute owns, told to EC2's conventions: what exists, and who cares when tags change."""

from __future__ import annotations

from collections.abc import Sequence

from mallee.compute import changes, records, rules
from mallee.ec2 import resources
from mallee.store import Tx


def retagged(tx: Tx, ids: Sequence[str]) -> None:
    """An instance that shows its tags in its metadata gets the new ones."""
    for instance in records.instances_for_change(tx, ids).values():
        if instance.metadata_tags == "enabled" and instance.power != rules.GONE:
            changes.ask(tx, instance)


resources.own("i", records.existing_instances, retagged)
resources.own("vol", records.existing_volumes)
resources.own("key", records.existing_keys)
for _prefix in ("ami", "aki", "ari"):
    resources.own(_prefix, records.existing_images)
