"""Which requests to a bucket are counted apart: settings that are kept and told."""

from __future__ import annotations

from typing import Any

from mallee.identity.call import Call
from mallee.objects import access, kinds
from mallee.objects.listed import Listed
from mallee.objects.rules import filters

ACCESS = {
    "get_bucket_metrics_configuration": access.bucket("s3:GetMetricsConfiguration"),
    "list_bucket_metrics_configurations": access.bucket("s3:GetMetricsConfiguration"),
    "put_bucket_metrics_configuration": access.bucket("s3:PutMetricsConfiguration"),
    "delete_bucket_metrics_configuration": access.bucket("s3:PutMetricsConfiguration"),
}


def _check(call: Call, given: dict[str, Any]) -> None:
    filters.check(given.get("Filter"))


_ALL = Listed(kinds.METRICS, "MetricsConfiguration", "MetricsConfigurationList", _check)


def get_bucket_metrics_configuration(call: Call) -> dict[str, Any]:
    return _ALL.get(call)


def list_bucket_metrics_configurations(call: Call) -> dict[str, Any]:
    return _ALL.list(call)


def put_bucket_metrics_configuration(call: Call) -> None:
    _ALL.put(call)


def delete_bucket_metrics_configuration(call: Call) -> None:
    _ALL.delete(call)
