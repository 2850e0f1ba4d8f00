"""Who may deliver access logs: S3's own service, which a bucket lets in by its ACL, where it has one, or its policy."""

from __future__ import annotations

from typing import Final

from mallee.identity.rules.principals import service
from mallee.objects import acl, delivering
from mallee.objects.records import ENFORCED, Bucket

DELIVERY: Final = service("logging.s3.amazonaws.com")


def lets_in(partition: str, target: Bucket, key: str, source: Bucket) -> bool:
    """Whether the target takes the source's log."""
    held = {granted for grantee, granted in target.grants or () if grantee == acl.LOG_DELIVERY}
    if target.ownership != ENFORCED and (acl.FULL_CONTROL in held or {acl.WRITE, acl.READ_ACP} <= held):
        return True
    return delivering.lets_in(partition, DELIVERY, target, key, source)
