"""What the runner promises: one worker at a job, nothing lost, nothing silent."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from sqlalchemy import Column, func, select

from mallee.durable import Done, Fail, Go, Idle, Job, Machine, Runner, Wait, act, faults, job_of, record, signal, start, wake
from mallee.durable.machine import ACT_LEASE, RECORD_LEASE
from mallee.durable.records import JOBS, SIGNALS
from mallee.durable.runner import FAILING, back_off
from mallee.store import Clock, Database, Integer, ManualClock, Text, Tx, plain_table

COUNTS = plain_table("sample_counts", Column("id", Text, primary_key=True), Column("count", Integer, nullable=False))

Script = Callable[..., Any]


class Puppet(Machine):
    """Does what a test tells it to."""

    name = "sample-puppet"
    first = "write"
    interrupts: ClassVar[dict[str, str]] = {"end": "finish"}
    destroying = frozenset({"finish"})

    def __init__(self, write: Script | None = None, work: Script | None = None, overdue: Script | None = None) -> None:
        self.on_write = write or (lambda tx, job: Idle())
        self.on_work = work or (lambda world, job: Go("write"))
        self.on_overdue = overdue

    @record(deadline=100)
    def write(self, tx: Tx, job: Job) -> Any:
        return self.on_write(tx, job)

    @act(deadline=100)
    def work(self, world: Any, job: Job) -> Any:
        return self.on_work(world, job)

    @record
    def finish(self, tx: Tx, job: Job) -> Any:
        return Done()

    def overdue(self, tx: Tx, job: Job) -> Any:
        return self.on_overdue(tx, job) if self.on_overdue else super().overdue(tx, job)


def begin(database: Database, *names: str, **state: Any) -> None:
    with database.transaction() as tx:
        for name in names or ("j-1",):
            start(tx, Puppet.name, name, **state)


def job(database: Database, name: str = "j-1") -> Job:
    with database.reading() as tx:
        found = job_of(tx, name)
    assert found is not None
    return found


def say(database: Database, name: str, to: str = "j-1") -> None:
    database.run(lambda tx: signal(tx, to, name))  # as API calls do: a worker may be at the job


def standing(database: Database) -> list[str]:
    with database.reading() as tx:
        return [fault.code for fault in faults.open_(tx)]


def run(database: Database, machine: Machine, **options: Any) -> int:
    return Runner(database, [machine], **options).run_until_idle()


# ------------------------------------------------------------------------------------------------------------- outcomes


def test_idle_waits_for_a_wake_and_nothing_else(database: Database, clock: ManualClock) -> None:
    begin(database)
    assert run(database, Puppet()) == 1
    assert run(database, Puppet()) == 0
    with database.transaction() as tx:
        assert wake(tx, "j-1")
        assert not wake(tx, "j-none")
    assert run(database, Puppet()) == 1


def test_wait_comes_back_in_time(database: Database, clock: ManualClock) -> None:
    begin(database)
    assert run(database, Puppet(lambda tx, job: Wait(30))) == 1
    clock.advance(29.9)
    assert run(database, Puppet()) == 0
    clock.advance(0.1)
    assert run(database, Puppet()) == 1


def test_go_merges_state_and_enters_the_step(database: Database, clock: ManualClock) -> None:
    begin(database, a=1, b=1)
    clock.advance(5)

    def write(tx: Tx, job: Job) -> Any:
        return Go("finish", b=2, c=3) if "c" in job.state else Go("work", b=2)

    run(database, Puppet(write, lambda world, job: Go("write", c=world)), world="w")
    found = job(database)
    assert (found.step, dict(found.state)) == ("finish", {"a": 1, "b": 2, "c": 3})
    assert found.entered_at == clock.now() and found.done_at == clock.now() and found.due is None


def test_fail_leads_to_teardown_and_keeps_the_first_reason(database: Database) -> None:
    begin(database)
    run(database, Puppet(lambda tx, job: Fail("Server.NoRoom", "There is none.")))
    found = job(database)
    assert found.done_at is not None and found.state["reason"] == {"code": "Server.NoRoom", "message": "There is none."}
    begin(database, "j-2", reason={"code": "First", "message": ""})
    run(database, Puppet(lambda tx, job: Fail("Second")))
    assert job(database, "j-2").state["reason"]["code"] == "First"


def test_a_step_that_does_not_exist_is_an_error_of_that_job_only(database: Database, clock: ManualClock) -> None:
    begin(database, "j-1", "j-2")
    run(database, Puppet(lambda tx, job: Go("nowhere") if job.id == "j-1" else Done()))
    assert "no step 'nowhere'" in (job(database).error or "") and job(database).step == "write"
    assert job(database, "j-2").done_at is not None


def test_what_is_no_outcome_is_an_error(database: Database) -> None:
    begin(database)
    run(database, Puppet(lambda tx, job: None))
    assert "returned None" in (job(database).error or "")


# -------------------------------------------------------------------------------------------------------------- signals


def test_a_signal_is_taken_once(database: Database) -> None:
    taken: list[bool] = []

    def write(tx: Tx, job: Job) -> Any:
        taken.append(job.take("reboot"))
        return Idle()

    begin(database)
    say(database, "reboot")
    say(database, "reboot")
    run(database, Puppet(write))
    with database.transaction() as tx:
        wake(tx, "j-1")
    run(database, Puppet(write))
    assert taken == [True, False]


def test_a_signal_taken_by_a_step_that_fails_is_not_lost(database: Database, clock: ManualClock) -> None:
    tries: list[bool] = []

    def write(tx: Tx, job: Job) -> Any:
        tries.append(job.take("reboot"))
        if len(tries) == 1:
            raise OSError("once")
        return Idle()

    begin(database)
    say(database, "reboot")
    run(database, Puppet(write))
    clock.advance(60)
    run(database, Puppet(write))
    assert tries == [True, True]


def test_a_signal_to_nobody_is_nothing(database: Database) -> None:
    say(database, "end", to="j-none")
    with database.reading() as tx:
        assert tx.value(select(func.count()).select_from(SIGNALS)) == 0


def test_an_interrupt_comes_before_any_step(database: Database) -> None:
    begin(database)
    say(database, "end")
    ran: list[str] = []
    run(database, Puppet(lambda tx, job: ran.append("write")))
    assert not ran and job(database).done_at is not None


def test_an_interrupt_during_the_last_act_is_not_lost(database: Database) -> None:
    """The act says Done, but meanwhile somebody has asked for the end: what the act made has to be torn down."""
    begin(database)

    def work(world: Any, job: Job) -> Any:
        say(database, "end")
        return Done()

    run(database, Puppet(lambda tx, job: Go("work"), work))
    assert job(database).step == "finish" and job(database).done_at is not None


@pytest.mark.parametrize("outcome", [Idle(), Wait(1000)])
def test_a_wake_during_an_act_is_not_lost(database: Database, outcome: Any) -> None:
    begin(database)
    runs: list[int] = []

    def work(world: Any, job: Job) -> Any:
        runs.append(1)
        if len(runs) == 1:
            with database.transaction() as tx:
                wake(tx, "j-1")
        return outcome

    run(database, Puppet(lambda tx, job: Go("work"), work))
    assert len(runs) == 2


def test_a_wake_during_an_act_does_not_start_it_twice_at_once(database: Database, clock: ManualClock) -> None:
    begin(database)
    inside: list[int] = []

    def work(world: Any, job: Job) -> Any:
        with database.transaction() as tx:
            wake(tx, "j-1")
        inside.append(Runner(database, [Puppet(work=work)]).run_until_idle())
        return Done()

    run(database, Puppet(lambda tx, job: Go("work"), work))
    assert inside == [0]


# ---------------------------------------------------------------------------------------------------- leases and fencing


class Died(BaseException):
    pass


@pytest.mark.parametrize(("first", "lease"), [("write", RECORD_LEASE), ("work", ACT_LEASE)])
def test_a_dead_workers_job_is_due_again_when_its_lease_is_over(
    database: Database, clock: ManualClock, first: str, lease: float
) -> None:
    begin(database)
    if first == "work":
        run(database, Puppet(lambda tx, job: Go("work"), lambda world, job: Wait(1)))
        clock.advance(1)

    def die(where: str) -> None:
        if where == "after claim":
            raise Died

    with pytest.raises(Died):
        run(database, Puppet(), crash=die)
    ends = Puppet(lambda tx, job: Done(), lambda world, job: Done())
    assert run(database, ends) == 0
    clock.advance(lease + back_off(1) + 0.001)
    assert run(database, ends) == 1
    assert job(database).tries == 0


def test_a_worker_that_was_too_slow_changes_nothing(database: Database, clock: ManualClock) -> None:
    begin(database)

    def slow(tx: Tx, job: Job) -> Any:
        return Go("work")

    def work(world: Any, job: Job) -> Any:
        clock.advance(ACT_LEASE + 10)  # meanwhile another worker takes the job and ends it
        assert run(database, Puppet(work=lambda world, job: Go("finish", by="the other"))) == 2
        return Go("write", by="the slow one")

    run(database, Puppet(slow, work))
    assert job(database).state == {"by": "the other"} and job(database).done_at is not None


def test_a_new_process_on_sqlite_frees_the_leases_of_the_dead(database: Database, clock: ManualClock) -> None:
    begin(database, "j-1", "j-2")
    with database.transaction() as tx:
        tx.change(JOBS, "j-1", lease="dead", due=tx.now.replace(year=2030), tries=1)
        tx.change(JOBS, "j-2", lease="dead", due=tx.now.replace(year=2030), tries=4)
    Runner(database, [Puppet()]).free_leases()
    assert job(database).due == clock.now()
    due = job(database, "j-2").due
    assert due is not None and (due - clock.now()).total_seconds() == back_off(4)  # it may be what kills the process


def test_two_runners_share_the_jobs(database: Database) -> None:
    names = [f"j-{n}" for n in range(30)]
    begin(database, *names)
    with database.transaction() as tx:
        tx.insert_many(COUNTS, [{"id": name, "count": 0} for name in names])

    def write(tx: Tx, job: Job) -> Any:
        row = tx.get(COUNTS, job.id)
        assert row is not None
        tx.change(COUNTS, job.id, count=row[1] + 1)
        return Go("work") if row[1] == 0 else Done()

    runners = [Runner(database, [Puppet(write)]) for _ in range(3)]
    errors: list[BaseException] = []

    def walk(runner: Runner) -> None:
        try:
            runner.run_until_idle()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=walk, args=(runner,)) for runner in runners]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    runners[0].run_until_idle()
    assert not errors
    with database.reading() as tx:
        assert {row.count for row in tx.all(select(COUNTS))} == {2}
        assert tx.value(select(func.count()).select_from(JOBS).where(JOBS.c.done_at.is_(None))) == 0


def test_one_worker_holds_one_act(database: Database) -> None:
    """A slow act must not keep others from the jobs that were claimed with it."""
    begin(database, "j-1", "j-2", "j-3")
    runner = Runner(database, [Puppet(lambda tx, job: Go("work"))])
    runner._run_batch()
    assert {job(database, f"j-{n}").step for n in (1, 2, 3)} == {"work"}
    assert len(runner._claim(16)) == 1
    assert len(runner._claim(16)) == 1


def test_jobs_of_machines_that_this_process_does_not_know_are_left_alone(database: Database) -> None:
    """As during an upgrade: another process, of another release, sees to them."""
    begin(database)
    assert Runner(database, []).run_until_idle() == 0
    assert job(database).tries == 0


# ------------------------------------------------------------------------------------------------- failures and deadlines


def test_back_off_grows_to_a_minute() -> None:
    assert [back_off(n) for n in (0, 1, 2, 3, 4, 8, 9, 100)] == [0.5, 0.5, 1, 2, 4, 60, 60, 60]


def test_a_step_that_keeps_failing_is_a_fault_until_it_succeeds(database: Database, clock: ManualClock) -> None:
    begin(database)
    broken = True

    def write(tx: Tx, job: Job) -> Any:
        tx.insert(COUNTS, id="x", count=1)  # undone each time
        if broken:
            raise OSError("the reason")
        return Idle()

    machine = Puppet(write)
    tries = 0
    while not standing(database):
        tries += run(database, machine)
        clock.advance(1 if tries < 4 else 8)
        assert tries <= FAILING
    assert tries == FAILING
    with database.reading() as tx:
        (fault,) = faults.open_(tx, "j-1")
    assert fault.code == "step-failing" and "OSError: the reason" in fault.cause and "write" in fault.cause
    found = job(database)
    assert found.error == "OSError: the reason" and found.tries == FAILING
    broken = False
    clock.advance(60)
    run(database, machine)
    assert not standing(database) and job(database).error is None and job(database).tries == 0


def test_a_missed_deadline_is_a_fault_that_goes_with_the_step(database: Database, clock: ManualClock) -> None:
    begin(database)
    run(database, Puppet())
    clock.advance(100)
    assert run(database, Puppet()) == 1
    assert standing(database) == ["step-overdue"] and job(database).troubled
    deadline = job(database).deadline
    assert deadline is not None and (deadline - clock.now()).total_seconds() == 100  # once more
    entered = job(database).entered_at
    clock.advance(100)
    run(database, Puppet())
    assert standing(database) == ["step-overdue"] and job(database).entered_at == entered
    with database.transaction() as tx:
        wake(tx, "j-1")
    run(database, Puppet(lambda tx, job: Done()))
    assert not standing(database)


def test_a_machine_may_answer_a_missed_deadline(database: Database, clock: ManualClock) -> None:
    begin(database)
    machine = Puppet(lambda tx, job: Wait(1000), overdue=lambda tx, job: Fail("TooLate"))
    run(database, machine)
    clock.advance(100)
    run(database, machine)
    assert job(database).done_at is not None and job(database).state["reason"]["code"] == "TooLate"


def test_a_step_that_only_raises_misses_its_deadline_too(database: Database, clock: ManualClock) -> None:
    begin(database)

    def write(tx: Tx, job: Job) -> Any:
        raise OSError("always")

    seen: list[str | None] = []

    def overdue(tx: Tx, job: Job) -> Any:
        seen.append(job.error)
        return Go("finish")

    machine = Puppet(write, overdue=overdue)
    for _ in range(20):
        run(database, machine)
        clock.advance(10)
    assert seen == ["OSError: always"] and job(database).done_at is not None
    assert not standing(database)


def test_fail_in_teardown_is_tried_again(database: Database, clock: ManualClock) -> None:
    class Stubborn(Puppet):
        name = "sample-stubborn"

        @record
        def finish(self, tx: Tx, job: Job) -> Any:
            return Done() if job.tries > 2 else Fail("No")

    with database.transaction() as tx:
        start(tx, Stubborn.name, "j-1")
        signal(tx, "j-1", "end")
    for _ in range(3):
        run(database, Stubborn())
        clock.advance(10)
    assert job(database).done_at is not None


def test_machines_that_make_no_sense_are_refused() -> None:
    with pytest.raises(TypeError, match="no step 'nowhere'"):
        type("Lost", (Puppet,), {"name": "sample-lost", "first": "nowhere"})
    with pytest.raises(TypeError, match="must be in destroying"):
        type("Looping", (Puppet,), {"name": "sample-looping", "interrupts": {"end": "write"}})


# --------------------------------------------------------------------------------------------------------- real threads


def test_threads_are_nudged_not_polled(database: Database) -> None:
    database.clock = Clock()
    done = threading.Event()

    def write(tx: Tx, job: Job) -> Any:
        if not job.take("go"):
            return Idle()
        tx.after_commit(done.set)
        return Done()

    runner = Runner(database, [Puppet(write)], workers=2)
    runner.start()
    try:
        begin(database)
        say(database, "go")
        assert done.wait(10)
    finally:
        runner.stop()
    assert job(database).done_at is not None


def test_another_processs_signal_reaches_the_threads(database: Database) -> None:
    database.clock = Clock()
    other = Database(database.url, synchronous=False)
    done = threading.Event()

    def write(tx: Tx, job: Job) -> Any:
        if not job.take("go"):
            return Idle()
        tx.after_commit(done.set)
        return Done()

    runner = Runner(database, [Puppet(write)], workers=1)
    runner.start()
    try:
        begin(other)
        say(other, "go")
        assert done.wait(10)
    finally:
        runner.stop()
        other.close()


def test_stop_returns_when_nothing_was_ever_there(database: Database) -> None:
    runner = Runner(database, [Puppet()])
    runner.start()
    runner.stop()
