"""How much of S3 one account may have. The defaults are AWS's."""

from __future__ import annotations

from mallee.identity.quotas import Quota, Rows
from mallee.objects import records
from mallee.objects.points import ACCESS_POINTS

BUCKETS = Quota(
    "s3", "L-DC2B2D3D", "General purpose buckets", 10_000, Rows(records.BUCKETS, records.BUCKETS.c.internal.is_(False)),
    "s3:quota-bucketnumber", "s3:CreateBucket", is_global=True,
    description="The number of Amazon S3 general purpose buckets that you can create in an account.",
)  # fmt: skip

POINTS = Quota(
    "s3", "L-FAABEEBA", "Access Points", 10_000, Rows(ACCESS_POINTS),
    description="The number of Amazon S3 Access Points that you can create per region in an account.",
)  # fmt: skip

QUOTAS = (BUCKETS, POINTS)
