"""Storage class analysis of buckets: settings that are kept and told."""

from __future__ import annotations

from typing import Any

from mallee.identity.call import Call
from mallee.objects import access, kinds
from mallee.objects.listed import Listed
from mallee.objects.rules import filters
from mallee.objects.rules.refusals import invalid

ACCESS = {
    "get_bucket_analytics_configuration": access.bucket("s3:GetAnalyticsConfiguration"),
    "list_bucket_analytics_configurations": access.bucket("s3:GetAnalyticsConfiguration"),
    "put_bucket_analytics_configuration": access.bucket("s3:PutAnalyticsConfiguration"),
    "delete_bucket_analytics_configuration": access.bucket("s3:PutAnalyticsConfiguration"),
}


def _check(call: Call, given: dict[str, Any]) -> None:
    filters.check(given.get("Filter"))
    export = given["StorageClassAnalysis"].get("DataExport")
    if export is not None:
        wanted = export["Destination"]["S3BucketDestination"]["Bucket"]
        if not wanted.startswith(f"arn:{call.settings.partition}:s3:::"):
            raise invalid("Invalid bucket ARN.", "Bucket", wanted)


_ALL = Listed(kinds.ANALYTICS, "AnalyticsConfiguration", "AnalyticsConfigurationList", _check)


def get_bucket_analytics_configuration(call: Call) -> dict[str, Any]:
    return _ALL.get(call)


def list_bucket_analytics_configurations(call: Call) -> dict[str, Any]:
    return _ALL.list(call)


def put_bucket_analytics_configuration(call: Call) -> None:
    _ALL.put(call)


def delete_bucket_analytics_configuration(call: Call) -> None:
    _ALL.delete(call)
