"""The operations of S3 and S3 Control, one file per resource."""

from __future__ import annotations

from types import ModuleType

from mallee.objects.api import (
    access_points,
    analytics,
    bucket_acl,
    bucket_lock,
    bucket_logging,
    bucket_tagging,
    buckets,
    control_public_access,
    control_tags,
    copying,
    cors,
    deleting,
    encryption,
    intelligent_tiering,
    inventory,
    lifecycle,
    listing,
    metrics,
    multipart,
    notifications,
    object_acl,
    object_attributes,
    object_lock,
    object_tagging,
    objects,
    ownership,
    payment,
    policy,
    public_access,
    renaming,
    replication,
    restoring,
    selecting,
    versioning,
    website,
)

_BUCKETS = (
    buckets, analytics, bucket_acl, bucket_lock, bucket_logging, bucket_tagging, cors, encryption, intelligent_tiering, inventory,
    lifecycle, metrics, notifications, ownership, payment, policy, public_access, replication, versioning, website,
)  # fmt: skip
_OBJECTS = (
    objects, listing, deleting, copying, multipart, object_acl, object_attributes, object_lock, object_tagging, renaming, restoring,
    selecting,
)  # fmt: skip

OPERATIONS: dict[str, tuple[ModuleType, ...]] = {
    "s3": (*_BUCKETS, *_OBJECTS),
    "s3control": (control_public_access, access_points, control_tags),
}

_KEPT = "kept and told; nothing comes of it"

NOTES = {
    "s3": {
        "put_bucket_notification_configuration": "empty ones: there are no destinations yet",
        "put_bucket_notification": "empty ones: there are no destinations yet",
        "put_bucket_versioning": "no MFA delete",
        "put_bucket_inventory_configuration": "CSV",
        "put_bucket_replication": "also to other S3 endpoints",
        "put_bucket_logging": "delivered every minute",
        "put_bucket_metrics_configuration": _KEPT,
        "put_bucket_analytics_configuration": _KEPT,
        "put_bucket_intelligent_tiering_configuration": _KEPT,
        "put_bucket_accelerate_configuration": _KEPT,
        "put_object_retention": "no event holds",
        "rename_object": "in every bucket that never had versioning",
        "restore_object": "after `objects_restore_seconds`, whatever the tier; no SELECT",
        "select_object_content": "CSV and JSON; no Parquet",
    },
    "s3control": {
        "create_access_point": "no scopes, no tags",
        "tag_resource": "buckets",
        "untag_resource": "buckets",
        "list_tags_for_resource": "buckets",
    },
}
