"""What goes wrong with a cluster: it is away, it is full, it refuses; each is an EngineError that says what to do, and it goes on by itself."""

from __future__ import annotations

import ctypes
import os
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mallee.objects.engine.base import EngineError
from mallee.objects.engine.rados import RadosEngine, librados, link
from tests import ceph
from tests.objects.engine_suite import MIB, Rows, label, read, rows
from tests.objects.rados.conftest import House

__all__ = ["rows"]


def until(work: Callable[[], object], seconds: float = 90) -> None:
    """Again and again, until it raises no EngineError any more."""
    end = time.monotonic() + seconds
    while True:
        try:
            work()
            return
        except EngineError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


def test_an_osd_is_killed_and_comes_back(house: House, rows: Rows) -> None:
    engine = house.again(timeout=2)
    rows.write(engine, "before", 9 * MIB)
    rows.append(engine, {"small before": 3000})
    opened = engine.open(rows.at["before"])
    writer, aborted = engine.writer(), engine.writer()
    for each in (writer, aborted):
        each.write(bytes(5 * MIB))
    house.cluster.kill("osd")
    try:
        works: list[Callable[[], object]] = [
            lambda: engine.append([(label("x"), b"x")]),
            lambda: engine.open(rows.at["before"]),
            lambda: engine.open(rows.at["small before"]),
            lambda: opened.read(0, 5 * MIB),
            lambda: engine.discard([rows.at["before"]]),
            lambda: engine.sweep(rows.is_live),
            lambda: writer.finish(label("x")),
        ]
        for work in works:
            with pytest.raises(EngineError) as caught:
                work()
            assert "did not answer in time" in caught.value.cause and "ceph -s" in caught.value.remedy
        aborted.abort()
    finally:
        house.cluster.start("osd")
    until(lambda: rows.append(engine, {"small after": 3000}))
    until(lambda: rows.write(engine, "after", 9 * MIB))
    until(lambda: rows.check(engine))
    assert opened.read(0, 9 * MIB) == rows.data["before"]
    house.later(10 * 3600)
    until(lambda: engine.sweep(rows.is_live))
    assert len(house.things()) == 6, "two contents of three stripes; what was cut off is gone"
    rows.check(engine)


def test_the_monitor_is_away_when_it_starts(house: House, rows: Rows) -> None:
    engine = house.again(timeout=1)
    house.cluster.kill("mon")
    try:
        for _ in range(2):
            with pytest.raises(EngineError, match="did not answer in time"):
                engine.append([(label("x"), b"x")])
        assert engine.faults()[0].name == "objects-ceph-away"
        engine.close()
    finally:
        house.cluster.start("mon")
    other = house.again(timeout=5)
    until(lambda: rows.append(other, {"x": 1}))
    rows.check(house.engine)


def test_a_client_that_was_thrown_out_comes_back(house: House, rows: Rows) -> None:
    rows.append(house.engine, {"x": 100})
    pool = house.engine._link.pool()
    found = ctypes.c_char_p()
    pool.lib.rados_getaddrs(pool.cluster.handle, ctypes.byref(found))
    (address,) = re.findall(r"127\.0\.0\.1:0/\d+", (found.value or b"").decode())
    house.cluster.ceph("osd", "blocklist", "add", address)
    try:
        with pytest.raises(EngineError) as caught:
            for _ in range(200):  # until the OSD has heard of it
                rows.append(house.engine, {"y": 100})
        assert "shut this client out" in caught.value.cause
        until(lambda: rows.append(house.engine, {"z": 100}))
        rows.check(house.engine)
    finally:
        house.cluster.ceph("osd", "blocklist", "rm", address)


def refused(house: House, **settings: object) -> EngineError:
    conf, pool, user = (str(settings.pop(name, plain)) for name, plain in PLAIN(house).items())
    engine = RadosEngine(
        conf, pool, user, **{"keyring": str(house.cluster.keyring), "owner": "the tests", "timeout": 5} | settings
    )  # type: ignore[arg-type]
    with pytest.raises(EngineError) as caught:
        engine.append([(label("x"), b"x")])
    with pytest.raises(EngineError):
        engine.open("c." + "a" * 26 + ".5")
    engine.close()
    assert caught.value.cause.endswith(".") and caught.value.remedy.endswith(".")
    return caught.value


def PLAIN(house: House) -> dict[str, object]:
    return {"conf": house.cluster.conf, "pool": ceph.POOL, "user": ceph.USER}


def test_refusals_say_what_to_do(house: House, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.keyring"
    wrong.write_text("[client.mallee]\n\tkey = AQAAAAAAAAAAEAAAAAAAAAAAAAAAAAAAAAAAAA==\n")
    poor = tmp_path / "poor.keyring"
    house.cluster.grant("client.poor", poor, "mon", "allow r")
    assert "pool nowhere" in refused(house, pool="nowhere").cause
    assert "ceph osd pool create" in refused(house, pool="nowhere").remedy
    assert "refuses client.mallee" in refused(house, keyring=str(wrong)).cause
    assert "allow rwx pool=mallee-objects" in refused(house, user="client.poor", keyring=str(poor)).remedy
    assert "no key for client.mallee" in refused(house, keyring=str(tmp_path / "none")).cause
    assert "configuration cannot be read" in refused(house, conf=tmp_path / "none").cause


def test_a_pool_belongs_to_one_cloud(house: House) -> None:
    house.engine.append([(label("x"), b"x")])
    found = refused(house, owner="another cloud")
    assert "belongs to another cloud" in found.cause and "objects_rados_pool" in found.remedy


def test_without_the_library(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(librados, "LIBRARY", "librados.so.99")
    monkeypatch.setattr(librados, "_loaded", None)
    monkeypatch.setattr(link, "PAUSE", 0.0)
    assert "apt-get install librados2" in refused(house).remedy


def test_a_full_pool_takes_nothing_but_gives(house: House, rows: Rows) -> None:
    name, admin = "small-pool", {"keyring": str(house.cluster.home / "keyring"), "owner": "the tests", "timeout": 20}
    house.cluster.ceph("osd", "pool", "create", name, "8")
    engine = RadosEngine(str(house.cluster.conf), name, "client.admin", **admin)  # type: ignore[arg-type]
    try:
        rows.write(engine, "a", 5 * MIB)
        rows.append(engine, {"small": 1000})
        house.cluster.ceph("osd", "pool", "set-quota", name, "max_bytes", str(MIB))
        with pytest.raises(EngineError) as caught:
            end = time.monotonic() + 60  # until the monitor has summed up and every OSD knows
            while time.monotonic() < end:
                engine.append([(label("x"), os.urandom(1000))])
        assert "quota is used up" in caught.value.cause and "ceph df" in caught.value.remedy
        writer = engine.writer()
        writer.write(bytes(300_000))
        with pytest.raises(EngineError, match="quota is used up"):
            writer.finish(label("x"))
        rows.check(engine)
        rows.remove(engine, "a", "small")
        house.cluster.ceph("osd", "pool", "set-quota", name, "max_bytes", "0")
        until(lambda: rows.append(engine, {"again": 1000}))
        rows.check(engine)
    finally:
        engine.close()
        house.cluster.ceph("osd", "pool", "rm", name, name, "--yes-i-really-really-mean-it")


def test_more_than_there_is_room_for_is_refused_at_once(house: House) -> None:
    with pytest.raises(EngineError, match="no room"):
        house.engine.writer(2**50)
    house.engine.writer(100 * MIB).abort()
    assert house.engine.faults() == []


def test_closing_with_everything_open(house: House, rows: Rows) -> None:
    engine = house.again()
    location = rows.write(engine, "it", 20 * MIB)
    content, writer = engine.open(location), engine.writer()
    content.read(0, 1000)
    content.read(1000, 1000)
    writer.write(bytes(9 * MIB))
    engine.close()
    content.close()
    writer.abort()
    with pytest.raises(EngineError, match="ending"):
        engine.append([(label("x"), b"x")])
    assert read(house.engine, location) == rows.data["it"]
