"""DescribeInstanceStatus: what the nodes see of their instances."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mallee.compute import named, records, rules
from mallee.compute.answers import path
from mallee.ec2 import filters, paging
from mallee.ec2.access import checked
from mallee.identity.call import Call
from mallee.network import names
from mallee.nodes import records as nodes


def _absent(answer: dict[str, Any]) -> Any:
    return None


_FILTERS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "application-status.status": _absent,
    "attached-ebs-status.status": path("AttachedEbsStatus", "Status"),
    "availability-zone": path("AvailabilityZone"),
    "availability-zone-id": path("AvailabilityZoneId"),
    "event.code": _absent,
    "event.description": _absent,
    "event.instance-event-id": _absent,
    "event.not-after": _absent,
    "event.not-before": _absent,
    "event.not-before-deadline": _absent,
    "instance-state-code": path("InstanceState", "Code"),
    "instance-state-name": path("InstanceState", "Name"),
    "instance-status.reachability": path("InstanceStatus", "Details", "Status"),
    "instance-status.status": path("InstanceStatus", "Status"),
    "operator.managed": path("Operator", "Managed"),
    "operator.principal": _absent,
    "system-status.reachability": path("SystemStatus", "Details", "Status"),
    "system-status.status": path("SystemStatus", "Status"),
}


def describe_instance_status(call: Call) -> dict[str, Any]:
    """Only running instances, unless ``IncludeAllInstances`` asks for all."""
    paging.refuse_with_ids(call, "InstanceIds", "instancesSet")
    asked = named.ids(call)
    accepts: Callable[[dict[str, Any]], bool] = filters.compiled(call.input.get("Filters"), _FILTERS)
    rows = records.rows(call.tx, asked)
    if asked is not None:
        named.require(asked, {row.id for row in rows})
    if not call.input.get("IncludeAllInstances"):
        rows = [row for row in rows if row.state == rules.RUNNING]
    reports = nodes.guest_reports(call.tx.everyone(), [row.id for row in rows])
    silent = {node.id: node.seen_at for node in nodes.nodes(call.tx.everyone()) if not node.reachable}
    found = [_describe(call, row, reports.get(row.id), silent) for row in rows]
    found = [answer for answer in found if accepts(answer)]
    found, token = paging.page(call, found, key=path("InstanceId"))
    return {"InstanceStatuses": found, "NextToken": token}


def _describe(call: Call, row: Any, report: nodes.Guest | None, silent: dict[str, Any]) -> dict[str, Any]:
    system, guest = rules.health(row.state, report)
    since = None
    if report is not None and report.node_id in silent and row.state == rules.RUNNING:
        system = guest = "impaired"
        since = silent[report.node_id]
    elif report is not None and guest == "impaired":
        since = report.reported_at
    volumes = guest if guest == "not-applicable" else "ok" if system == "ok" else system
    return {
        "InstanceId": row.id,
        "AvailabilityZone": row.zone,
        "AvailabilityZoneId": names.zone_id(call.region, row.zone),
        "InstanceState": rules.STATE_SETS[row.state],
        "InstanceStatus": _status(guest, since),
        "SystemStatus": _status(system, since if system == "impaired" else None),
        "AttachedEbsStatus": _status(volumes, since if volumes == "impaired" else None),
        "Events": [],
        "Operator": {"Managed": False},
    }


def _status(value: str, since: Any) -> dict[str, Any]:
    reachability = rules.REACHABILITY.get(value)
    if reachability is None:
        return {"Status": value}
    return {
        "Status": value,
        "Details": [{"Name": "reachability", "Status": reachability, "ImpairedSince": since}],
    }


ACCESS = {"describe_instance_status": checked()}
