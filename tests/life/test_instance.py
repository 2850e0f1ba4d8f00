"""The life of an instance through crashes at every point, and its end from every step."""

from __future__ import annotations

import pytest

from mallee.compute.life import InstanceLife
from mallee.durable import Runner
from mallee.store import Database, ManualClock
from tests.life.scenarios.instance import InstanceScenario


@pytest.fixture
def scenario(tmp_path, database: Database, clock: ManualClock):
    made = InstanceScenario(tmp_path, database, clock)
    yield made
    made.cloud.close()


class Died(BaseException):
    """The process is gone: nothing after this line has run."""


class CrashOnce:
    """Dies at every point the first time that it comes by, for each step that the job is in."""

    def __init__(self, scenario: InstanceScenario) -> None:
        self.scenario = scenario
        self.seen: set[tuple[str, str | None]] = set()

    def __call__(self, where: str) -> None:
        step = None if where.startswith("before") else self.scenario.step
        if (where, step) not in self.seen:
            self.seen.add((where, step))
            raise Died(where)


def _settle(scenario: InstanceScenario, crash: CrashOnce | None = None, rounds: int = 400) -> None:
    """Everything works until nothing is left to do; a runner that died is replaced, and its lease runs out."""
    runner: Runner = scenario.runner(crash)
    for _ in range(rounds):
        try:
            busy = runner.run_once()
        except Died:
            runner, busy = scenario.runner(crash), True
            scenario.clock.advance(17)
        if not scenario.world() and not busy:
            return
    raise AssertionError(f"not at rest, in step {scenario.step}")


def _story(scenario: InstanceScenario, crash: CrashOnce | None) -> list[str | None]:
    """A whole life; the states that it comes to rest in."""
    states = []

    def rest() -> None:
        _settle(scenario, crash)
        states.append(scenario.state)

    scenario.create(InstanceInitiatedShutdownBehavior="stop")
    rest()
    scenario.ec2.reboot_instances(InstanceIds=[scenario.id])
    rest()
    scenario.ec2.stop_instances(InstanceIds=[scenario.id])
    rest()
    scenario.ec2.start_instances(InstanceIds=[scenario.id])
    rest()
    scenario.cloud.simulators[0].shut_down(scenario.id)
    rest()
    scenario.ec2.start_instances(InstanceIds=[scenario.id])
    rest()
    scenario.cloud.simulators[0].crash(scenario.id)
    rest()
    scenario.ec2.start_instances(InstanceIds=[scenario.id])
    rest()
    scenario.ec2.terminate_instances(InstanceIds=[scenario.id])
    rest()
    scenario.clock.advance(3700)
    rest()
    return states


WHOLE = ["running", "running", "stopped", "running", "stopped", "running", "stopped", "running", "terminated", None]


def test_a_life_without_crashes(scenario):
    assert _story(scenario, None) == WHOLE and scenario.step is None and scenario.left() == {}


def test_a_life_in_which_every_point_crashes_once(scenario):
    crash = CrashOnce(scenario)
    assert _story(scenario, crash) == WHOLE and scenario.step is None and scenario.left() == {}
    walked = {where.removeprefix("before commit ") for where, _ in crash.seen if where.startswith("before commit ")}
    assert walked == set(InstanceLife.steps) - {"force_off"}


@pytest.mark.parametrize("step", sorted(InstanceLife.steps))
@pytest.mark.parametrize("crashing", [False, True])
def test_the_end_from_every_step(scenario, step, crashing):
    scenario.to(step)
    crash = CrashOnce(scenario) if crashing else None
    scenario.ec2.terminate_instances(InstanceIds=[scenario.id])
    _settle(scenario, crash)
    assert scenario.state == "terminated"
    scenario.clock.advance(3700)
    _settle(scenario, crash)
    assert scenario.step is None and scenario.left() == {}


@pytest.mark.parametrize("step", sorted(InstanceLife.steps))
def test_a_step_done_twice_changes_nothing_more(scenario, step):
    """The step commits, and the job is put back before it: as if nobody could say whether it had been done."""
    from mallee.durable import job_of
    from mallee.durable.records import JOBS

    scenario.to(step)
    with scenario.database.transaction() as tx:
        before = job_of(tx, scenario.id)
    scenario.runner().run_once()
    with scenario.database.transaction() as tx:
        if job_of(tx, scenario.id).done_at is None:
            tx.change(JOBS, scenario.id, step=before.step, state=dict(before.state), deadline=before.deadline, due=tx.now)
    _settle(scenario)
    scenario.ec2.terminate_instances(InstanceIds=[scenario.id])
    _settle(scenario)
    scenario.clock.advance(3700)
    _settle(scenario)
    assert scenario.step is None and scenario.left() == {}
