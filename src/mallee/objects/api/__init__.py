"""The operations of S3 and S3 Control, one file per resource."""

from __future__ import annotations

from types import ModuleType

from mallee.objects.api import (
    abac,
    analytics,
    bucket_acl,
    bucket_lock,
    bucket_logging,
    bucket_tagging,
    buckets,
    cors,
    deleting,
    encryption,
    intelligent_tiering,
    inventory,
    lifecycle,
    listing,
    metrics,
    notifications,
    objects,
    ownership,
    payment,
    policy,
    public_access,
    replication,
    versioning,
    website,
)

_BUCKETS = (
    buckets, abac, analytics, bucket_acl, bucket_lock, bucket_logging, bucket_tagging, cors, encryption, intelligent_tiering, inventory,
    lifecycle, metrics, notifications, ownership, payment, policy, public_access, replication, versioning, website,
)  # fmt: skip
_OBJECTS = (objects, listing, deleting)

OPERATIONS: dict[str, tuple[ModuleType, ...]] = {"s3": (*_BUCKETS, *_OBJECTS)}
