"""A process that is killed in mid-load: what it answered is there whole, and nothing else stays after the sweep."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import sqlalchemy as sa

from mallee.objects.index import listing, uploads, usage, versions
from mallee.objects.index.index import Index
from mallee.objects.index.tables import GARBAGE
from mallee.store import Database

from .engines import FolderEngine

ROOT = Path(__file__).parents[3]

LOAD = """
import base64, random, sys, threading
from pathlib import Path
from mallee.objects.index import uploads, versions
from mallee.objects.index.index import Index
from mallee.objects.index.rows import New
from mallee.store import Database
from tests.objects.index.engines import FolderEngine

url, folder, seed = sys.argv[1:]
index = Index(Database(url, synchronous=False), FolderEngine(Path(folder)))
lock = threading.Lock()


def label(key):
    return {"kind": "object", "bucket": "b", "key": base64.b64encode(key).decode()}


def say(*words):
    with lock:
        print(*words, flush=True)


def load(number):
    dice = random.Random(f"{seed}-{number}")
    for n in range(100000):
        key = b"%d/%d" % (number, dice.randrange(6))
        data = f"{seed} {number} {n} ".encode() * dice.randrange(1, 50)
        what = dice.randrange(4)
        say("begin", key.decode())
        if what < 2:
            new = lambda at: New("b", key, len(data), "e", "1", ((at, len(data)),))
            index.run(lambda tx, at: versions.put(tx, "", new(at[0])), [(label(key), data)])
            say("put", key.decode(), data.hex())
        elif what == 2:
            index.run(lambda tx: versions.delete(tx, "", "b", key, "1"))
            say("delete", key.decode())
        else:
            upload = index.run(
                lambda tx: uploads.create(tx, "b", key, owner="1", initiator="1", storage_class="", attributes={})
            )
            put = lambda tx, at: uploads.put_part(tx, upload, 1, size=len(data), etag="", content=((at[0], len(data)),))
            index.run(put, [(label(key), data)])
            if dice.randrange(2):
                index.run(lambda tx: uploads.abort(tx, upload))
                say("nothing", key.decode())
                continue

            def complete(tx):
                content = uploads.part(tx, upload.upload_id, 1).content
                versions.put(tx, "", New("b", key, len(data), "e", "1", content))
                assert uploads.complete(tx, upload, [1], {})

            index.run(complete)
            say("put", key.decode(), data.hex())


for number in range(8):
    threading.Thread(target=load, args=(number,)).start()
"""


def test_killed_in_mid_load(objects: Database, tmp_path: Path) -> None:
    folder = tmp_path / "contents"
    folder.mkdir()
    answered: dict[str, bytes | None] = {}
    url = objects.engine.url.render_as_string(hide_password=False)
    again = Database(url, synchronous=False)  # with the clock that the children have
    for seed in range(4):
        unsure = kill(url, folder, str(seed), answered)
        check(again, folder, answered, unsure)
        assert len(answered) > 20
    again.close()


def kill(url: str, folder: Path, seed: str, answered: dict[str, bytes | None]) -> set[str]:
    """Loads for a while and kills; the keys whose last change was not answered."""
    command = [sys.executable, "-c", LOAD, url, str(folder), seed]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env={"PYTHONPATH": f"{ROOT}/src:{ROOT}"})
    assert child.stdout is not None
    begun: set[str] = set()
    count, killed = 0, False
    for line in child.stdout:
        if not line.endswith("\n"):
            break
        what, key, *data = line.split()
        if what == "begin":
            begun.add(key)
            continue
        begun.discard(key)
        if what != "nothing":
            answered[key] = bytes.fromhex(data[0]) if data else None
        count += 1
        if count >= 150 + 37 * int(seed) and not killed:
            killed = True
            child.send_signal(signal.SIGKILL)
    assert child.wait(30) == -signal.SIGKILL
    child.stdout.close()
    return begun


def check(objects: Database, folder: Path, answered: dict[str, bytes | None], unsure: set[str]) -> None:
    engine = FolderEngine(folder)
    index = Index(objects, engine)  # type: ignore[arg-type]
    settle(objects)
    index.reclaim()
    engine.sweep(index.is_live)
    held: set[str] = set()
    with index.reading() as tx:
        for entry in listing.objects(tx, "b").entries:
            found = versions.current(tx, "b", entry.key)
            assert found is not None
            data = b"".join(engine.read(location) for location, _ in found.content)
            assert len(data) == found.size == found.content[0][1]
            held |= {location for location, _ in found.content}
            key = entry.key.decode()
            if key not in unsure:
                assert data == answered[key]
            else:
                answered[key] = data
        there = {entry.key.decode() for entry in listing.objects(tx, "b").entries}
        assert {key for key, data in answered.items() if data is not None and key not in unsure} <= there
        for key in unsure - there:
            answered[key] = None
        assert tx.all(sa.select(GARBAGE)) == []
        assert usage.usage(tx, "b") == usage.count(tx, "b")
        for upload in uploads.find(tx, "b").entries:
            held |= {location for part in uploads.parts(tx, upload.upload_id) for location, _ in part.content}
    assert set(engine.all()) == held
    index.close()


def settle(objects: Database) -> None:
    """PostgreSQL's session of a killed process may be at its end still."""
    if objects.kind != "postgresql":
        return
    end = time.monotonic() + 30
    query = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND state <> 'idle'"
    )
    while time.monotonic() < end:
        session = objects.engine.begin("BEGIN")
        busy = session.command(query).fetchone()[0]
        objects.engine.rollback(session)
        if not busy:
            return
        time.sleep(0.05)
