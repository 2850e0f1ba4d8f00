"""The account's credential report: asked for, then read for four hours."""

from __future__ import annotations

from typing import Any

from mallee import durable
from mallee.identity.access import Access
from mallee.identity.call import Call
from mallee.identity.records import reports
from mallee.identity.records.names import unique
from mallee.wire.errors import AwsError

ACCESS = {"generate_credential_report": Access(), "get_credential_report": Access()}


def generate_credential_report(call: Call) -> dict[str, Any]:
    """A report that is not four hours old is as good as a new one."""
    newest = reports.newest(call.tx, call.account_id, reports.CREDENTIALS)
    if newest is not None and newest.finished_at is None:
        return {"State": "INPROGRESS"}
    if newest is not None and not _is_old(call, newest):
        return {"State": "COMPLETE"}
    report_id = unique("report-")
    reports.ask(call.tx, report_id, call.account_id, reports.CREDENTIALS, call.principal.holder_id or call.account_id)
    durable.start(call.tx, "iam-report", report_id, partition=call.settings.partition)
    return {"State": "STARTED", "Description": "No report exists. Starting a new report generation task"}


def get_credential_report(call: Call) -> dict[str, Any]:
    newest = reports.newest(call.tx, call.account_id, reports.CREDENTIALS)
    if newest is None:
        raise AwsError("ReportNotPresent", "No report has been generated. Call GenerateCredentialReport first.", status=410)
    if newest.finished_at is None:
        raise AwsError("ReportInProgress", "The report is still being generated.", status=404)
    if _is_old(call, newest):
        told = "The most recent report is older than four hours. Call GenerateCredentialReport for a new one."
        raise AwsError("ReportExpired", told, status=410)
    assert newest.content is not None
    return {"Content": newest.content.encode(), "ReportFormat": "text/csv", "GeneratedTime": newest.finished_at}


def _is_old(call: Call, found: reports.Report) -> bool:
    return found.finished_at is not None and call.now - found.finished_at > reports.GOOD_FOR
