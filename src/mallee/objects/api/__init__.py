"""The operations of S3 and S3 Control, one file per resource."""

from __future__ import annotations

from types import ModuleType

from mallee.objects.api import buckets, deleting, listing, objects

OPERATIONS: dict[str, tuple[ModuleType, ...]] = {"s3": (buckets, objects, listing, deleting)}
