"""A process that walks jobs is killed, again and again, at whatever instruction it is at; in the end all is as if it had not been."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from mallee.durable import Done, Go, Job, Machine, Runner, act, record, start
from mallee.durable.records import JOBS
from mallee.store import Database, Tx, schema
from tests.life.boats import BERTHS, BOATS

ROOT = Path(__file__).parents[2]
BOATS_IN_ALL = 8


class KilledBoat(Machine):
    """Files in a folder are the world. Twenty turns of writing and making, then it is done."""

    name = "sample-killed-boat"
    first = "berth"

    @record
    def berth(self, tx: Tx, job: Job) -> Any:
        if tx.value(select(BERTHS.c.number).where(BERTHS.c.boat_id == job.id)) is None:
            next(n for n in range(100) if tx.insert_if_free(BERTHS, number=n, boat_id=job.id))
        return Go("make", turn=job.state.get("turn", 0) + 1)

    @act
    def make(self, folder: Path, job: Job) -> Any:
        (folder / f"{job.id}-{job.state['turn']}").write_text("made")
        return Go("note")

    @record
    def note(self, tx: Tx, job: Job) -> Any:
        row = tx.get(BOATS, job.id)
        assert row is not None
        turn = job.state["turn"]
        assert row.state == str(turn - 1), (row.state, turn)  # no turn was noted twice, none left out
        tx.change(BOATS, job.id, state=str(turn))
        return Go("berth") if turn < 20 else Done()


PROCESS = """
import sys, threading
from pathlib import Path
from mallee.durable import Runner
from mallee.store import Database
from tests.life.test_kill import KilledBoat
runner = Runner(Database(sys.argv[1]), [KilledBoat()], Path(sys.argv[2]), workers=2)
runner.start()
print("walking", flush=True)
threading.Event().wait()
"""


def test_kill_again_and_again(tmp_path: Path) -> None:
    world = tmp_path / "world"
    world.mkdir()
    database = Database(f"sqlite:///{tmp_path}/cloud.db")
    schema.create(database)
    with database.transaction() as tx:
        for number in range(BOATS_IN_ALL):
            tx.insert(BOATS, id=f"b-{number}", state="0")
            start(tx, KilledBoat.name, f"b-{number}")
    dice = random.Random(7)
    for _ in range(12):
        command = [sys.executable, "-c", PROCESS, database.url, str(world)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        assert process.stdout is not None and process.stdout.readline() == "walking\n"
        try:
            process.wait(timeout=dice.uniform(0, 0.06))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        process.stdout.close()
        process.wait()
    runner = Runner(database, [KilledBoat()], world)
    runner.free_leases()
    with database.transaction() as tx:  # the time of a back-off is over at once
        tx.change_all(JOBS, JOBS.c.done_at.is_(None), due=tx.now)
    runner.run_until_idle()
    with database.reading() as tx:
        assert {row.state for row in tx.all(select(BOATS))} == {"20"}
        assert tx.value(select(func.count()).select_from(BERTHS)) == BOATS_IN_ALL
        assert tx.value(select(func.count()).select_from(JOBS).where(JOBS.c.done_at.is_(None))) == 0
        assert tx.value(select(func.count()).select_from(JOBS).where(JOBS.c.error.is_not(None))) == 0
    assert len(list(world.iterdir())) == BOATS_IN_ALL * 20
    database.close()
