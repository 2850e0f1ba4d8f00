"""The cloud's process: everything of one cloud wired together, and its life from start to stop.

``python -m mallee.cloud --home H`` prepares the home (folders, master key, certificate, database, the administrator's
account), binds its ports, gives up root if it has it, and serves: the API with and without TLS, the metrics for this
host, the fabric for the nodes; beside them run the durable machines and the reconcilers. ``--prepare`` stops after the
first part. Whatever prevents the start is one sentence on standard error and exit status 1.

SIGTERM ends it in order: no new connection, every request that had begun is answered, the machines finish their step.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import datetime
import errno
import fcntl
import functools
import gc
import json
import logging
import os
import resource
import shutil
import signal
import socket
import ssl
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mallee import __version__
from mallee.fabric import origin
from mallee.http import tls
from mallee.http.app import Api
from mallee.http.dispatch import Dispatcher
from mallee.http.log import LineLog, install
from mallee.http.metrics import Metrics, Sample
from mallee.http.protocol import Limits
from mallee.http.server import Listener, NodesListener, PortTaken, listen, metrics_app
from mallee.identity import setup, vault
from mallee.identity.authenticate import Authenticator, utc_now
from mallee.identity.directory.synchronisation import Ask
from mallee.identity.federation.jwks import Issuers
from mallee.identity.keys import Keyring
from mallee.identity.tools import Tools
from mallee.identity.usage import Usage
from mallee.objects import condition, wiring
from mallee.objects.access_log import Watch
from mallee.objects.engine.base import EngineError
from mallee.registry import Registry
from mallee.settings import Settings, SettingsError, ensure
from mallee.store import Actor, Database, StoreError, StoreUnavailable, Tx
from mallee.wire import services

log = logging.getLogger("mallee.cloud")

SWITCH = 0.0005  # seconds that a thread may keep the interpreter when others wait
RENEWAL_CHECK = 12 * 3600.0
OPEN_FILES = 65536
ROOM = 4 * 1024 * 1024  # bytes without which a database cannot even be opened


class CannotStart(Exception):
    """Why the cloud does not start, in one sentence."""


@dataclass(frozen=True, slots=True)
class World:
    """What the acts of durable machines may touch."""

    settings: Settings
    database: Database
    tools: Tools
    ask_directory: Ask | None = None  # None: the one that is configured


class Cloud:
    """The parts of a cloud, wired, without any socket: what the process serves and what the tests drive directly."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        secrets: vault.Vault,
        *,
        registry: Registry | None = None,
        lines: LineLog | None = None,
        signature_time: Callable[[], datetime.datetime] = utc_now,
        index_database: Database | None = None,
    ) -> None:
        self.settings = settings
        self.database = database
        self.vault = secrets
        self.objects = wiring.wire(settings, database, secrets, index_database)
        self.registry = registry or Registry()
        self.metrics = Metrics()
        self.keyring = Keyring(database, secrets, settings.partition)
        authenticator = Authenticator(self.keyring, settings, signature_time)
        self.tools = Tools(
            secrets,
            tuple(self.registry.account_hooks()),
            self.registry.quotas(),
            Issuers(waiting=max(1, settings.threads // 4)),
        )
        self.usage = Usage(database, settings.region)
        self.dispatcher = Dispatcher(self.registry, database, authenticator, settings, self.tools, self.usage)
        self.lines = lines
        local = database.kind == "sqlite"
        self.api = Api(self.dispatcher, self.health, self.metrics, lines, settings.threads, at_once=local, watch=Watch(database))
        self.machines = self.registry.machines()
        self.reconcilers = self.registry.reconcilers()
        self.metrics.gauges += [self._gauges, condition.Samples(self.objects)]

    def new_account(self, tx: Tx, alias: str | None = None, **options: Any) -> Any:
        """An account with everything that the domains give it."""
        return setup.create_account(tx, self.settings, alias=alias, hooks=self.registry.account_hooks(), **options)

    def health(self) -> dict[str, Any]:
        """Ready means that the database answers."""
        from mallee.nodes.records import nodes

        found = {"version": __version__, "region": self.settings.region, "database": self.database.kind}
        try:
            with self.database.reading() as tx:
                joined = len(nodes(tx))
        except StoreUnavailable as problem:
            return {"status": "unavailable", **found, "cause": problem.cause, "remedy": problem.remedy}
        return {"status": "ok", **found, "nodes": joined}

    def _gauges(self) -> Iterable[Sample]:
        from mallee.durable import faults, unfinished
        from mallee.nodes.records import nodes

        yield "mallee_internal_errors_total", {}, self.dispatcher.faults
        if self.lines is not None:
            yield "mallee_log_lines_lost", {}, self.lines.lost
        try:
            with self.database.reading() as tx:
                jobs, open_faults, joined = unfinished(tx), faults.open_(tx), len(nodes(tx))
        except StoreUnavailable:
            yield "mallee_database_up", {}, 0
            return
        yield "mallee_database_up", {}, 1
        yield "mallee_nodes", {}, joined
        for machine, step, count in jobs:
            yield "mallee_jobs", {"machine": machine, "step": step}, count
        counts: dict[str, int] = {}
        for fault in open_faults:
            counts[fault.code] = counts.get(fault.code, 0) + 1
        for code, count in sorted(counts.items()):
            yield "mallee_faults_open", {"code": code}, count


# ------------------------------------------------------------------------------------------------------------ preparing


def prepare(settings: Settings) -> bool:
    """Everything that a cloud needs in its home and its database; True if anything was made or changed.

    What is there is left as it is, so that this runs at every start. Run by root, what belongs to the cloud is made by the
    user that the cloud will be."""
    from mallee.store import migrate

    changed = _folders(settings)
    if shutil.disk_usage(settings.cloud).free < ROOM:
        raise CannotStart(f"The disk that holds {settings.cloud} is full: free space on it and start again.")
    os.umask(0o077)
    with _as_owner(settings):
        missing = not (settings.cloud / vault.FILE).exists()
        secrets = vault.at(settings.cloud, create=missing and _may_make_key(settings))
        if settings.tls:
            changed |= tls.ensure(settings)
        database = Database(settings.database_url)
        try:
            changed |= bool(migrate.upgrade(database))
            changed |= wiring.prepare(settings)
            registry = Registry()
            credentials = setup.bootstrap(database, secrets, settings, registry.account_hooks())
            start_hooks(database, settings, registry)
        finally:
            database.close()
    return _hand_out(settings, credentials) or changed or missing


def start_hooks(database: Database, settings: Settings, registry: Registry) -> None:
    """What domains see to at every start, each in a transaction of its own."""
    actor = Actor(f"arn:{settings.partition}:iam::{settings.admin_account_id}:root", settings.admin_account_id, "start")
    for hook in registry.cloud_hooks():
        with database.transaction(None, actor) as tx:
            hook(tx, settings)


def _may_make_key(settings: Settings) -> bool:
    """A master key that went missing must not be replaced: what it sealed would be lost. A database on another machine
    is asked later, by opening the administrator's secret."""
    path = settings.database_url.removeprefix("sqlite:///")
    return path == settings.database_url or not Path(path).exists()


def _folders(settings: Settings) -> bool:
    """``cloud/`` is the cloud's own; ``run/`` and ``log/`` it shares with root, each keeping to its own files (sticky)."""
    new = not settings.cloud.exists()
    shared = os.geteuid() == 0
    for folder, mode in ((settings.home, 0o755), (settings.secrets, 0o700), (settings.run, 0o755), (settings.log, 0o755)):
        folder.mkdir(mode=mode, parents=True, exist_ok=True)
    for folder, mode in ((settings.cloud, 0o755), (settings.blobs, 0o700)):
        folder.mkdir(mode=mode, parents=True, exist_ok=True)
    if shared:
        for folder in (settings.run, settings.log):
            os.chown(folder, 0, settings.uid)
            folder.chmod(0o1775)
        for file in (settings.log / "cloud.log", settings.run / "cloud.lock"):
            if file.exists():
                os.chown(file, settings.uid, settings.uid)
        _hand_over(settings.cloud, settings.uid)
    return new


def _hand_over(folder: Path, uid: int) -> None:
    """Make everything below ``folder`` the cloud's; symbolic links are not followed. Two levels show whether there is
    anything to do: what root puts there, an image or a restored copy, is no deeper."""
    near = [folder, *folder.iterdir(), *(each for part in folder.iterdir() if part.is_dir() for each in part.iterdir())]
    if all(each.lstat().st_uid == uid for each in near):
        return
    for where, folders, files in os.walk(folder):
        for name in [".", *folders, *files]:
            os.chown(os.path.join(where, name), uid, uid, follow_symlinks=False)


@contextmanager
def _as_owner(settings: Settings) -> Iterator[None]:
    """Root acts as the cloud's user meanwhile."""
    if os.geteuid() != 0:
        yield
        return
    os.setegid(settings.uid)
    os.seteuid(settings.uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


def _hand_out(settings: Settings, credentials: setup.Credentials) -> bool:
    """The administrator's keys, for the command line: readable by whoever set the cloud up."""
    file = settings.secrets / "credentials.json"
    text = json.dumps(
        {
            "AccountId": credentials.account_id,
            "AccessKeyId": credentials.access_key_id,
            "SecretAccessKey": credentials.secret_access_key,
        }
    )
    try:
        if file.read_text() == text:
            return False
    except FileNotFoundError:
        pass
    partial = file.with_name(f".{file.name}.{os.getpid()}")
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    partial.replace(file)
    return True


# ------------------------------------------------------------------------------------------------------------- starting


@dataclass(slots=True)
class Sockets:
    """The ports, bound before the privileges are dropped."""

    api: socket.socket
    tls: socket.socket | None
    metrics: socket.socket


def _bind(settings: Settings) -> Sockets:
    return Sockets(
        listen(settings.host, settings.port, "port"),
        listen(settings.host, settings.tls_port, "tls_port") if settings.tls else None,
        listen(settings.metrics_host, settings.metrics_port, "metrics_port"),
    )


def _lock(settings: Settings) -> int:
    """Held for the life of the process; the file says whose it is."""
    descriptor = os.open(settings.run / "cloud.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.read(descriptor, 32).decode(errors="replace").strip() or "unknown"
        raise CannotStart(f"Another cloud already runs on {settings.home} (process {owner}).") from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor


def _drop_privileges(settings: Settings) -> None:
    """From root to the cloud's own user, for good. The user needs no name on the machine."""
    if os.geteuid() != 0:
        return
    os.setgroups([])
    os.setresgid(settings.uid, settings.uid, settings.uid)
    os.setresuid(settings.uid, settings.uid, settings.uid)
    if not os.access(settings.cloud, os.R_OK | os.W_OK | os.X_OK):
        raise CannotStart(
            f"The user {settings.uid}, as which the cloud runs, cannot enter {settings.cloud}: "
            "every folder above it must be open to others (chmod o+x)."
        )
    if not os.access(__file__, os.R_OK):
        raise CannotStart(
            f"The user {settings.uid}, as which the cloud runs, cannot read Mallee's own files in {Path(__file__).parent}: "
            "put Mallee where every user can read it."
        )


def _raise_limits() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _connections(settings: Settings) -> int:
    """Of a port, at most: a quarter of the files that this process may open is left for contents and the databases."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return settings.max_connections if soft == resource.RLIM_INFINITY else max(1, min(settings.max_connections, soft * 3 // 4))


def _tame_memory() -> None:
    """glibc gives every thread a heap of its own; a few threads need two. Of what large answers took, a little is kept: the pages of
    a listing that is asked for again and again are not asked of the system each time."""
    import ctypes

    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return
    for option, value in ((-8, 2), (-3, 16 * 1024 * 1024), (-1, 16 * 1024 * 1024)):  # arenas, mmap and trim thresholds
        mallopt(option, value)


# -------------------------------------------------------------------------------------------------------------- serving


class Process:
    """A cloud with its sockets, threads and log, from ``run`` to the end."""

    def __init__(self, settings: Settings, sockets: Sockets) -> None:
        self.settings = settings
        self.lines = LineLog(settings.log / "cloud.log", settings.log_mib * 1024 * 1024, settings.log_files)
        install(self.lines)
        self.database = Database(settings.database_url)
        self.cloud = Cloud(settings, self.database, vault.at(settings.cloud), lines=self.lines)
        limits = Limits(
            connections=_connections(settings),
            header_seconds=settings.header_seconds,
            body_seconds=settings.body_seconds,
            keep_alive_seconds=settings.keep_alive_seconds,
        )
        self.context: ssl.SSLContext | None = None
        self.listeners = [Listener("api", self.cloud.api, sockets.api, limits)]
        if sockets.tls is not None:
            self.context = tls.context(settings)
            self.listeners.append(Listener("tls", self.cloud.api, sockets.tls, limits, self.context))
        self.listeners.append(NodesListener("vpc", self.cloud.api, settings.run / origin.PLAIN, limits))
        if self.context is not None:
            self.listeners.append(NodesListener("vpc-tls", self.cloud.api, settings.run / origin.TLS, limits, self.context))
        app = functools.partial(metrics_app, self.cloud.metrics.text)
        self.metrics = Listener("metrics", app, sockets.metrics, Limits(connections=16))
        self.cloud.metrics.gauges.append(self._connections)
        self._stopping: asyncio.Event | None = None

    def _connections(self) -> Iterable[Sample]:
        for listener in self.listeners:
            yield "mallee_connections", {"listener": listener.name}, listener.connections
            yield "mallee_connections_refused_total", {"listener": listener.name}, listener.state.refused
            yield "mallee_connections_overdue_total", {"listener": listener.name}, listener.state.overdue

    def run(self) -> None:
        import uvloop

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._live())

    async def _live(self) -> None:
        from mallee.compute import credentials, projection
        from mallee.durable import Reconcilers, Runner
        from mallee.nodes.server import FabricServer
        from mallee.nodes.session import Session
        from mallee.objects.upkeep import deliver_logs

        # Every statement of SQLite lets go of the interpreter; whoever computes meanwhile would keep it for 5 ms each time.
        sys.setswitchinterval(SWITCH)
        loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        cloud, clock = self.cloud, self.database.clock
        issuer = credentials.issuer(self.settings, cloud.vault)
        session = Session(self.database, projection.builder(self.settings), self.settings.blobs, credentials=issuer)
        fabric = FabricServer(session, self.settings.run / "fabric.sock")
        world = World(self.settings, self.database, self.cloud.tools)
        runner = Runner(self.database, cloud.machines, world, clock, workers=self.settings.job_workers)
        slow = [each for each in cloud.reconcilers if each.name.startswith("objects-")]  # they may read for seconds at a time
        others = [each for each in cloud.reconcilers if each not in slow]
        reconcilers = Reconcilers(self.database, others, clock)
        apart = [each for each in slow if each.name in ("objects-replication", "objects-replication-remote")]
        of_objects = [
            Reconcilers(self.database, some, clock, built_in=False)
            for some in ([each for each in slow if each not in apart], *([each] for each in apart))
        ]
        with contextlib.suppress(StoreUnavailable):  # it is not needed, and who needs the database will say so
            self.database.grow_log()
            self.cloud.objects.index.database.grow_log()
        await fabric.start()
        runner.start()
        reconcilers.start()
        for each in of_objects:
            each.start()
        cloud.usage.start()
        for listener in [self.metrics, *self.listeners]:
            await listener.start()
        renewal = asyncio.create_task(self._renew()) if self.context is not None else None
        gc.collect()
        gc.freeze()
        log.info("serving on %s", self.settings.endpoint)
        await self._stopping.wait()
        log.info("stopping")
        await asyncio.gather(*(listener.stop() for listener in self.listeners))
        if renewal is not None:
            renewal.cancel()
        await loop.run_in_executor(None, reconcilers.stop)
        await asyncio.gather(*(loop.run_in_executor(None, each.stop) for each in of_objects))
        await loop.run_in_executor(None, deliver_logs, self.database, clock)  # what is noted is in memory
        await loop.run_in_executor(None, runner.stop)
        await loop.run_in_executor(None, cloud.usage.stop)
        await fabric.stop()
        await self.metrics.stop(1.0)
        cloud.api.close()
        log.info("stopped")

    async def _renew(self) -> None:
        """Twice a day: the certificate that is about to end is replaced without a restart, and one that has ended is a
        fault."""
        loop = asyncio.get_running_loop()
        while True:
            await loop.run_in_executor(None, self._look_at_certificate)
            await asyncio.sleep(RENEWAL_CHECK)

    def _look_at_certificate(self) -> None:
        from mallee.durable import faults

        assert self.context is not None
        settings = self.settings
        try:
            if settings.tls_certificate or tls.ensure(settings):
                tls.load(self.context, settings)
            end = tls.ends(settings)
            file = settings.tls_certificate or str(settings.cloud / "tls" / "cert.pem")
            with self.database.transaction() as tx:
                if end <= tx.now:
                    faults.raise_(tx, "certificate-expired", "cloud", file=file, ended=end.isoformat())
                else:
                    faults.clear(tx, "certificate-expired", "cloud")
        except (tls.CertificateError, StoreUnavailable) as problem:
            log.error("%s", problem)

    def close(self) -> None:
        self.cloud.objects.close()
        self.database.close()
        self.lines.close()


def run(home: Path, only_prepare: bool = False) -> None:
    """Raises one of ``REASONS`` when the cloud cannot start; returns when it was told to stop."""
    os.umask(0o022)
    settings = ensure(home)
    settings.run.mkdir(mode=0o755, parents=True, exist_ok=True)
    lock = _lock(settings)
    if only_prepare:
        changed = prepare(settings)
        os.close(lock)
        print(json.dumps({"changed": changed}))
        return
    _raise_limits()
    sockets = _bind(settings)
    services.cache = settings.cloud / "models"
    _prepare_in_a_child(settings)
    os.umask(0o077)
    pid = settings.run / "cloud.pid"
    pid.write_text(f"{os.getpid()}\n")
    _drop_privileges(settings)
    _tame_memory()
    process = Process(settings, sockets)
    try:
        process.run()
    finally:
        process.close()
        with suppress(OSError):
            pid.unlink()


def _prepare_in_a_child(settings: Settings) -> None:
    """Migrations and certificates need libraries that the cloud then never needs again: they are loaded, and forgotten,
    in a process of their own."""
    child = os.fork()
    if child == 0:
        os._exit(_told(lambda: prepare(settings)))
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 0:
        raise SystemExit(1)  # the child has said why


REASONS = (CannotStart, SettingsError, StoreError, vault.VaultError, PortTaken, tls.CertificateError, EngineError)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m mallee.cloud", description="The process of a Mallee cloud.")
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--prepare", action="store_true", help="prepare the home and the database, and end")
    given = parser.parse_args(arguments)
    return _told(lambda: run(given.home, given.prepare))


def _told(work: Callable[[], object]) -> int:
    """An exit status; what prevented the work is said on standard error."""
    try:
        work()
    except REASONS as reason:
        print(f"mallee cloud: {reason}", file=sys.stderr, flush=True)
    except OSError as reason:
        print(f"mallee cloud: {_sentence(reason)}", file=sys.stderr, flush=True)
    except Exception:
        traceback.print_exc()
    else:
        return 0
    return 1


def _sentence(reason: OSError) -> str:
    if reason.errno == errno.ENOSPC:
        return f"The disk is full ({reason.filename or 'while writing'}): free space on it and start again."
    return f"{reason.filename or 'A file'} cannot be used: {reason.strerror}."


if __name__ == "__main__":
    sys.exit(main())
