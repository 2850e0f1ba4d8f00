"""Identity's machines.

``directory`` is the synchronisation of users and groups from a directory, one life as long as it is configured.

One job means that no two synchronisations ever run beside each other. It rests until the interval is over or somebody asks for a
synchronisation now, then does one. A directory that does not answer is a fault that stands until it does.

``iam-report`` builds one report that was asked for, in one transaction, and ends.
"""

from __future__ import annotations

from typing import Any

from mallee.durable import Done, Go, Idle, Job, Machine, Outcome, Wait, act, faults, record
from mallee.identity import credential_report, last_accessed
from mallee.identity.directory import synchronisation
from mallee.identity.records import reports
from mallee.identity.records.directories import DIRECTORY, directory, run_of
from mallee.store import Tx

NOW = "synchronise"
REMOVE = "remove"
FAULT = "directory-failing"


class DirectoryLife(Machine):
    name = "directory"
    first = "rest"
    interrupts = {REMOVE: "end"}
    destroying = frozenset({"end"})

    @record
    def rest(self, tx: Tx, job: Job) -> Outcome:
        last, configured = run_of(tx), directory(tx)
        if job.take(NOW):
            synchronisation.note_run(tx, None)
            return Go("synchronise")
        if configured is None or configured.interval is None:
            return Idle()
        left = configured.interval - (tx.now - last.began_at).total_seconds() if last is not None else 0.0
        if left > 0:
            return Wait(left)
        synchronisation.note_run(tx, None)
        return Go("synchronise")

    @act(deadline=900, lease=600)
    def synchronise(self, world: Any, job: Job) -> Outcome:
        done = synchronisation.synchronise(world.database, world.settings, world.tools, world.ask_directory)
        return Go("note", changes=done.changes, skipped=done.skipped[:100], problem=done.problem)

    @record
    def note(self, tx: Tx, job: Job) -> Outcome:
        done = synchronisation.Outcome(job.state["changes"], job.state["skipped"], job.state["problem"])
        synchronisation.note_run(tx, done)
        if done.problem:
            faults.raise_(tx, FAULT, DIRECTORY, problem=done.problem)
        else:
            faults.clear(tx, FAULT, DIRECTORY)
        return Go("rest")

    @record
    def end(self, tx: Tx, job: Job) -> Outcome:
        faults.clear(tx, FAULT, DIRECTORY)
        return Done()


class ReportLife(Machine):
    """``state["partition"]`` is that of the ARNs in the report."""

    name = "iam-report"
    first = "build"

    @record
    def build(self, tx: Tx, job: Job) -> Outcome:
        asked = reports.report(tx, job.id)
        if asked is None or asked.finished_at is not None:
            return Done()
        own, partition = tx.of(asked.account_id), job.state["partition"]
        if asked.kind == reports.CREDENTIALS:
            content: str | None = credential_report.build(own, asked.account_id, partition)
        else:
            assert asked.subject is not None and asked.granularity is not None
            content = last_accessed.build(own, asked.account_id, asked.subject, asked.granularity, partition)
        if content is None:
            reports.finish(tx, asked, problem=f"{asked.subject} was deleted before the report was built.")
        else:
            reports.finish(tx, asked, content=content)
        return Done()
