"""A small Ceph of the tests' own: Debian's packages, a monitor, a manager and one OSD (BlueStore on a sparse file), on loopback ports, in a
temporary directory, with cephx switched on; gone with the tests.

One copy of everything and no redundancy, but nothing else is pretended: what the engine says is durable was synced by BlueStore, an OSD that
is killed comes back with its file, a keyring without rights is refused.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from pathlib import Path

PREFIX = "mallee-ceph-"
PROGRAMS = ("ceph-mon", "ceph-mgr", "ceph-osd", "ceph", "rados", "ceph-authtool", "monmaptool")
POOL = "mallee-objects"
USER = "client.mallee"

_KEYS = {
    "mon.": {"mon": "allow *"},
    "client.admin": dict.fromkeys(("mon", "osd", "mds", "mgr"), "allow *"),
    "osd.0": {"mon": "allow profile osd", "mgr": "allow profile osd", "osd": "allow *"},
    "mgr.x": {"mon": "allow profile mgr", "osd": "allow *", "mds": "allow *"},
    USER: {"mon": "allow r", "osd": f"allow rwx pool={POOL}"},
}

_CONF = """\
[global]
fsid = {fsid}
mon_initial_members = a
mon_host = v2:127.0.0.1:{port}/0
public_network = 127.0.0.0/8
cluster_network = 127.0.0.0/8
public_addr = 127.0.0.1
ms_bind_port_min = {least}
ms_bind_port_max = {most}
ms_bind_msgr1 = false
auth_cluster_required = cephx
auth_service_required = cephx
auth_client_required = cephx
auth_allow_insecure_global_id_reclaim = false
osd_pool_default_size = 1
osd_pool_default_min_size = 1
mon_allow_pool_size_one = true
mon_allow_pool_delete = true
osd_pool_default_pg_num = 8
osd_pool_default_pgp_num = 8
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
osd_crush_update_on_start = true
run_dir = {home}
log_file = {home}/$name.log
log_to_stderr = false
err_to_stderr = false
pid_file =
admin_socket = {home}/$name.asok
crash_dir = {home}/crash
mon_data = {home}/mon
mgr_data = {home}/mgr
osd_data = {home}/osd
keyring = {home}/keyring
mon_data_avail_warn = 1
mon_data_avail_crit = 1
mon_osd_down_out_interval = 0
mon_osd_adjust_heartbeat_grace = false
osd_heartbeat_grace = 6
osd_heartbeat_interval = 1
mgr_stats_period = 1
mgr_initial_modules =
[mgr]
mgr_module_path = {home}/modules
[osd]
osd_objectstore = bluestore
bluestore_block_path =
bluestore_block_size = {size}
bluestore_block_create = true
bluestore_block_db_create = false
bluestore_block_wal_create = false
osd_memory_target = 939524096
osd_fast_shutdown = true
osd_max_object_name_len = 256
osd_max_object_namespace_len = 64
"""


def missing() -> str:
    """What is not installed here; empty when a cluster can be started."""
    gone = [name for name in PROGRAMS if shutil.which(name) is None]
    return (
        f"Ceph is not installed here ({', '.join(gone)}): apt-get install ceph-mon ceph-mgr ceph-osd ceph-common" if gone else ""
    )


class Cluster:
    """Started when made: ``conf`` and ``keyring`` are what ``client.mallee`` needs for the pool ``POOL``."""

    def __init__(self, gib: int = 20) -> None:
        _sweep()
        self.home = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir="/tmp"))
        self.conf = self.home / "ceph.conf"
        self.keyring = self.home / "client.mallee.keyring"
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        try:
            self._make(gib)
        except BaseException:
            self.stop()
            raise

    def _make(self, gib: int) -> None:
        for name in ("mon", "mgr", "osd", "crash", "modules"):
            (self.home / name).mkdir()
        least = random.randrange(20000, 28000)
        fsid, osd = str(uuid.uuid4()), str(uuid.uuid4())
        self.conf.write_text(
            _CONF.format(fsid=fsid, port=_free_port(), least=least, most=least + 60, home=self.home, size=gib * 1024**3)
        )
        keys = self.home / "keyring"  # the monitor takes them all in when it is made
        self._run("ceph-authtool", "--create-keyring", keys)
        for name, capabilities in _KEYS.items():
            caps = [word for part, may in capabilities.items() for word in ("--cap", part, may)]
            self._run("ceph-authtool", keys, "--gen-key", "-n", name, *caps)
        self.keyring.write_text(self._only(keys, USER))
        port = self.conf.read_text().partition("v2:127.0.0.1:")[2].partition("/")[0]
        self._run("monmaptool", "--create", "--fsid", fsid, "--addv", "a", f"[v2:127.0.0.1:{port}]", self.home / "monmap")
        self._run("ceph-mon", "-c", self.conf, "--mkfs", "-i", "a", "--monmap", self.home / "monmap", "--keyring", keys)
        self.start("mon")
        self.ceph("osd", "new", osd)
        self._run("ceph-osd", "-c", self.conf, "-i", "0", "--mkfs", "--osd-uuid", osd)
        self.start("osd")
        self.start("mgr")
        self.ceph("osd", "pool", "create", POOL, "8")
        self.ceph("osd", "pool", "application", "enable", POOL, "mallee")
        self.await_osd()

    # ------------------------------------------------------------------------------------------------------- commands

    def ceph(self, *words: object) -> str:
        return self._run("ceph", "-c", self.conf, "--connect-timeout", "20", *words)

    def rados(self, *words: object, pool: str = POOL) -> str:
        return self._run("rados", "-c", self.conf, "-p", pool, *words)

    def grant(self, name: str, keyring: Path, *capabilities: str) -> None:
        keyring.write_text(self.ceph("auth", "get-or-create", name, *capabilities))

    @staticmethod
    def _only(keys: Path, name: str) -> str:
        section = keys.read_text().partition(f"[{name}]\n")[2].partition("\n[")[0]
        return f"[{name}]\n{section}\n"

    def _run(self, *words: object) -> str:
        done = subprocess.run([str(word) for word in words], capture_output=True, text=True, cwd="/", timeout=60, check=False)
        if done.returncode:
            raise RuntimeError(f"{' '.join(map(str, words))}: {done.stdout}{done.stderr}")
        return done.stdout

    # -------------------------------------------------------------------------------------------------------- daemons

    def start(self, what: str) -> None:
        """``mon``, ``mgr`` or ``osd``."""
        identity = {"mon": "a", "mgr": "x", "osd": "0"}[what]
        with (self.home / f"{what}.out").open("ab") as out:
            self._running[what] = subprocess.Popen(
                [f"ceph-{what}", "-c", str(self.conf), "-i", identity, "-f"],
                stdout=out,
                stderr=out,
                cwd="/",
                preexec_fn=_die_with_parent,
            )

    def kill(self, what: str, number: int = signal.SIGKILL) -> None:
        process = self._running.pop(what)
        process.send_signal(number)
        process.wait(timeout=30)

    def pause(self, what: str) -> None:
        self._running[what].send_signal(signal.SIGSTOP)

    def resume(self, what: str) -> None:
        self._running[what].send_signal(signal.SIGCONT)

    def pid(self, what: str) -> int:
        return self._running[what].pid

    def await_osd(self, seconds: float = 60) -> None:
        """Until the OSD serves every placement group."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            state = json.loads(self.ceph("osd", "dump", "--format", "json"))
            if any(each["up"] for each in state["osds"]) and self._answers():
                return
            if "osd" in self._running and self._running["osd"].poll() is not None:
                raise RuntimeError(f"ceph-osd ended: {(self.home / 'osd.out').read_text()[-2000:]}")
            time.sleep(0.1)
        raise RuntimeError(f"the OSD did not come up: {(self.home / 'osd.out').read_text()[-2000:]}")

    def _answers(self) -> bool:
        words = ["rados", "-c", str(self.conf), "-p", POOL, "ls"]
        with contextlib.suppress(subprocess.TimeoutExpired):
            return subprocess.run(words, capture_output=True, timeout=10, check=False).returncode == 0
        return False

    def stop(self) -> None:
        for what in ("osd", "mgr", "mon"):
            if what in self._running:
                with contextlib.suppress(ProcessLookupError):
                    self.kill(what)
        shutil.rmtree(self.home, ignore_errors=True)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def _sweep() -> None:
    """Removes what killed test runs have left; their daemons died with them."""
    for left in Path("/tmp").glob(f"{PREFIX}*"):
        owner = left.name.removeprefix(PREFIX).partition("-")[0]
        if owner.isdigit() and not Path(f"/proc/{owner}").exists():
            shutil.rmtree(left, ignore_errors=True)


def _die_with_parent() -> None:
    """Even a killed test run leaves no daemon behind."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
