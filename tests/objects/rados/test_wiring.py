"""The engine that the settings ask for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from mallee.objects import wiring
from mallee.objects.engine.rados import RadosEngine
from mallee.settings import Settings
from tests import ceph
from tests.objects.engine_suite import label, read
from tests.objects.rados.conftest import House


def test_by_the_settings(house: House, tmp_path: Path) -> None:
    engine = wiring.make_engine(
        Settings(
            home=tmp_path,
            admin_account_id="123456789012",
            objects_engine="rados",
            objects_rados_conf=str(house.cluster.conf),
            objects_rados_pool=ceph.POOL,
            objects_rados_user=ceph.USER,
            objects_rados_keyring=str(house.cluster.keyring),
        )
    )
    assert isinstance(engine, RadosEngine) and engine.name == "rados"
    engine.close()


def test_nothing_of_it_is_loaded_for_local_disks(tmp_path: Path) -> None:
    (tmp_path / "cloud").mkdir()
    code = (
        "import sys; from mallee.objects import wiring; from mallee.settings import Settings;"
        f"wiring.make_engine(Settings(home={str(tmp_path)!r}, objects_disks=({str(tmp_path / 'disk')!r},))).close();"
        "assert not any('rados' in name for name in sys.modules); assert 'librados' not in open('/proc/self/maps').read()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": str(Path(__file__).parents[3] / "src")})


def test_nothing_of_ceph_is_loaded_before_it_is_used(house: House) -> None:
    code = f"{house.source}\nassert 'librados' not in open('/proc/self/maps').read()\nengine.close()"
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": str(Path(__file__).parents[3] / "src")})
    assert read(house.engine, house.engine.append([(label("x"), b"x")])[0]) == b"x"
