"""The machine ``iam-report``: a credential report, a report on last uses, and one whose subject is gone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mallee.durable import start
from mallee.identity.life import ReportLife
from mallee.identity.records import policies, reports, users
from mallee.store import Database, ManualClock, Tx, schema
from tests.cloud.harness import ADMIN, TestCloud
from tests.cloud.test_iam_policies import READ
from tests.life.harness import Scenario

REPORT = "report-of-the-stage"
EARLIER = "report-of-before"


@dataclass
class ReportStage:
    cloud: TestCloud
    kind: str
    subject: str | None

    @property
    def world(self) -> Any:
        return self.cloud.world

    def begin(self, tx: Tx) -> str:
        made = users.add_user(tx, ADMIN, "somebody")
        policies.put_inline(tx, ADMIN, made.id, "p", READ)
        granularity = None if self.kind == reports.CREDENTIALS else "ACTION_LEVEL"
        for report_id in (EARLIER, REPORT):
            reports.ask(tx, report_id, ADMIN, self.kind, ADMIN, subject=self.subject, granularity=granularity)
        start(tx, "iam-report", REPORT, partition="aws")
        return REPORT

    def react(self) -> bool:
        return False

    def settled(self, tx: Tx) -> Any:
        """There is one report, and it is whole."""
        found, earlier = reports.report(tx, REPORT), reports.report(tx, EARLIER)
        assert found is not None
        lines = found.content.count("\n") if found.content is not None else None
        return found.finished_at is not None, found.problem, lines, bool(found.content), earlier is not None


def _stage(kind: str, subject: str | None) -> Callable[[Path, Database, ManualClock], Callable[[], ReportStage]]:
    def prepare(home: Path, database: Database, clock: ManualClock) -> Callable[[], ReportStage]:
        schema.load()
        schema.create(database)
        cloud = TestCloud(home, database, clock, zones=("local-1a",))
        return lambda: ReportStage(cloud, kind, subject)

    return prepare


SCENARIOS = (
    Scenario(ReportLife, _stage(reports.CREDENTIALS, None), "report-on-credentials"),
    Scenario(ReportLife, _stage(reports.LAST_ACCESSED, f"arn:aws:iam::{ADMIN}:user/somebody"), "report-on-uses"),
    Scenario(ReportLife, _stage(reports.LAST_ACCESSED, f"arn:aws:iam::{ADMIN}:user/nobody"), "report-on-nobody"),
)
