"""What the runner promises at its edges: urgent signals, deadlines, poison, leases that were lost. The rest is in tests/life/test_runner.py."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from mallee.durable import Done, Go, Idle, Job, Runner, Wait, faults, job_of, record, signal, start, wake
from mallee.store import Constraint, Database, ManualClock, Tx
from tests.durable.machines import MACHINES, POISONED, Act, Late, Poison, Waits, Walk, begin, job, marks, signals_left


@pytest.fixture
def world() -> list[Any]:
    return []


@pytest.fixture
def runner(database: Database, clock: ManualClock, world: list[Any]) -> Runner:
    return runner_of(database, world)


@pytest.fixture
def poison() -> Iterator[None]:
    POISONED.add("now")
    yield
    POISONED.clear()


def runner_of(database: Database, world: Any) -> Runner:
    return Runner(database, [kind() for kind in MACHINES], world)


def say(database: Database, name: str, job_id: str = "j-1") -> None:
    database.run(lambda tx: signal(tx, job_id, name))


def look(database: Database, job_id: str = "j-1") -> bool:
    with database.transaction() as tx:
        return wake(tx, job_id)


def raised(database: Database) -> list[str]:
    with database.reading() as tx:
        return [fault.code for fault in faults.open_(tx)]


# ------------------------------------------------------------------------------------------------------------ outcomes


def test_what_starts_a_job_commits_with_it_or_not_at_all(database: Database, runner: Runner) -> None:
    with pytest.raises(ZeroDivisionError), database.transaction() as tx:
        start(tx, Walk.name, "j-1")
        _ = 1 / 0
    assert not runner.run_once()
    begin(database, Walk)
    with pytest.raises(Constraint):
        begin(database, Walk)


def test_the_end_is_the_end(database: Database, runner: Runner, clock: ManualClock) -> None:
    begin(database, Waits)
    say(database, "go")
    say(database, "unheard")
    runner.run_until_idle()
    found = job(database)
    assert found.done_at == clock.now() and found.due is None and found.deadline is None
    assert signals_left(database) == []
    assert not look(database)
    say(database, "go")
    assert signals_left(database) == [] and not runner.run_once()
    with database.reading() as tx:
        assert job_of(tx, "j-none") is None


# ------------------------------------------------------------------------------------------------------------- signals


def test_a_signal_that_a_step_took_is_there_again_when_the_step_fails(
    database: Database, clock: ManualClock, world: list[Any]
) -> None:
    """The step takes the signal, and its process dies before the commit."""

    class Died(BaseException):
        pass

    def crash(where: str) -> None:
        if where == "before commit rest":
            raise Died

    begin(database, Walk)
    runner_of(database, world).run_until_idle()
    say(database, "paint")
    with pytest.raises(Died):
        Runner(database, [Walk()], world, crash=crash).run_until_idle()
    assert signals_left(database) == ["paint"] and "painted" not in marks(database)
    clock.advance(16)
    runner_of(database, world).run_until_idle()
    assert marks(database)[-2:] == ["painted", "rest"] and signals_left(database) == []


@pytest.mark.parametrize("steps", [0, 1, 2, 3])
def test_an_urgent_signal_comes_before_any_step(database: Database, runner: Runner, world: list[Any], steps: int) -> None:
    begin(database, Walk)
    for _ in range(steps):
        assert runner.run_once()
    before = marks(database), len(world)
    say(database, "end")
    runner.run_until_idle()
    assert marks(database) == [*before[0], "leave"]
    assert [name for name, _ in world[before[1] :]] == ["tear"]
    assert job(database).done_at is not None and signals_left(database) == []


def test_the_teardown_itself_is_not_interrupted(database: Database, runner: Runner, world: list[Any]) -> None:
    begin(database, Walk)
    say(database, "end")
    runner.run_once()
    assert job(database).step == "tear"
    say(database, "abort")  # would lead past the act that cleans up
    runner.run_until_idle()
    assert [name for name, _ in world] == ["tear"] and job(database).done_at is not None


@pytest.mark.parametrize("outcome", [Done(), Idle(), Wait(1000), Go("next")], ids=lambda outcome: type(outcome).__name__)
def test_an_urgent_signal_during_an_act_is_not_lost(database: Database, outcome: Any) -> None:
    """Even one whose life would have ended with this act: what the act made has to be torn down."""

    def world(_: Any) -> Any:
        say(database, "end")
        return outcome

    begin(database, Act)
    runner_of(database, world).run_until_idle()
    assert marks(database) == ["undo"] and job(database).done_at is not None


def test_a_signal_during_an_act_that_the_act_did_not_see_stays(database: Database) -> None:
    heard: list[bool] = []

    def world(given: Any) -> Any:
        heard.append(given.take("news"))
        if len(heard) == 1:
            say(database, "news")
        return Idle()

    begin(database, Act)
    runner_of(database, world).run_until_idle()
    assert heard == [False, True] and signals_left(database) == []


# ----------------------------------------------------------------------------------------------------------- deadlines


def test_a_missed_deadline_is_a_fault_until_the_step_is_left(database: Database, runner: Runner, clock: ManualClock) -> None:
    begin(database, Waits)
    for seconds in (0, 30, 30, 30):
        clock.advance(seconds)
        runner.run_until_idle()
    assert raised(database) == []
    clock.advance(10)  # not 30: the deadline is looked at when it is over
    assert runner.run_until_idle() == 1
    assert raised(database) == ["step-overdue"]
    clock.advance(200)  # and again, without a second fault
    runner.run_until_idle()
    assert raised(database) == ["step-overdue"] and job(database).step == "wait"
    say(database, "go")
    runner.run_until_idle()
    assert raised(database) == [] and job(database).done_at is not None


def test_a_deadline_holds_for_a_step_that_only_raises(database: Database, runner: Runner, clock: ManualClock) -> None:
    begin(database, Late, hopeless=True)
    for _ in range(40):
        runner.run_until_idle()
        if job(database).done_at is not None:
            break
        clock.advance(2)
    assert marks(database) == ["overdue", "left because of TooLate"]
    assert (clock.now() - job(database).started_at).total_seconds() == 60


# ------------------------------------------------------------------------------------------------------------ failures


@pytest.mark.usefixtures("poison")
def test_a_poisoned_job_holds_up_no_other(database: Database, runner: Runner) -> None:
    begin(database, Poison, "j-bad")
    begin(database, Walk, "j-good")
    runner.run_until_idle()
    assert marks(database, "j-good") == ["one", "rest"]


def test_a_step_that_a_later_release_dropped_is_a_failing_step(database: Database, runner: Runner) -> None:
    from mallee.durable.records import JOBS

    begin(database, Walk)
    with database.transaction() as tx:
        tx.change(JOBS, "j-1", step="dropped")
    assert runner.run_once()
    assert "no step 'dropped'" in str(job(database).error)
    say(database, "end")  # and it can be torn down all the same
    runner.run_until_idle()
    assert job(database).done_at is not None


# ------------------------------------------------------------------------------------------------------------- fencing


def test_a_worker_that_lost_its_lease_has_no_effect(database: Database, clock: ManualClock) -> None:
    """The first is slower than its lease; a second does the act and goes on; what the first comes back with is nothing."""
    calls: list[str] = []

    def slow(given: Any) -> Any:
        calls.append("slow")
        clock.advance(61)
        assert runner_of(database, fast).run_until_idle() == 2
        given.take("news")
        return Done()

    def fast(_: Any) -> Any:
        calls.append("fast")
        return Go("next", by="fast")

    begin(database, Act)
    say(database, "news")
    runner_of(database, slow).run_once()
    found = job(database)
    assert calls == ["slow", "fast"]
    assert (found.step, dict(found.state), found.done_at) == ("next", {"by": "fast"}, None)
    assert marks(database) == ["next"] and signals_left(database) == ["news"]


def test_a_worker_that_lost_its_lease_and_then_raises_has_no_effect(database: Database, clock: ManualClock) -> None:
    def slow(_: Any) -> Any:
        clock.advance(61)
        runner_of(database, lambda job: Go("next")).run_until_idle()
        raise RuntimeError("too late")

    begin(database, Act)
    runner_of(database, slow).run_once()
    found = job(database)
    assert (found.step, found.error, found.tries) == ("next", None, 0)


def test_a_signal_taken_by_a_step_that_raises_past_its_deadline_is_there_for_the_next(
    database: Database, clock: ManualClock
) -> None:
    """What the step took is undone with it, though the machine's answer to the deadline moves the job on."""
    begin(database, Hopeful)
    say(database, "news")
    clock.advance(60)
    Runner(database, [Hopeful()]).run_once()
    assert job(database).step == "leave" and signals_left(database) == ["news"]


class Hopeful(Late):
    """As Late, but it takes a signal before it gives up."""

    name = "sample-hopeful"

    @record(deadline=60)
    def hope(self, tx: Tx, job: Job) -> Any:
        job.take("news")
        raise RuntimeError("no hope")
