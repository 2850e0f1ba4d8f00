"""A PostgreSQL server of the tests' own: in a temporary directory, on a unix socket, under an unprivileged user, gone with the tests."""

from __future__ import annotations

import ctypes
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg
from psycopg import sql

PREFIX = "mallee-pg-"
OPTIONS = {
    "listen_addresses": "",
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "shared_buffers": "32MB",
    "max_connections": "100",
    "autovacuum": "off",
    "logging_collector": "off",
}


def binaries() -> Path | None:
    """The folder of the newest PostgreSQL on this machine."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(re.sub(r"\D", "", path.parent.name) or 0))
    candidates = [path for path in reversed(found) if (path / "initdb").exists()]
    if candidates:
        return candidates[0]
    on_path = shutil.which("initdb")
    return Path(on_path).parent if on_path else None


class Server:
    """Started when made; ``url(name)`` names one of its databases."""

    def __init__(self, folder: Path) -> None:
        self._binaries = folder
        self._user = self._unprivileged()
        _sweep()
        self.home = Path(
            tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir="/tmp")
        )  # pytest's own folders are closed to other users
        try:
            self._start()
        except BaseException:
            shutil.rmtree(self.home, ignore_errors=True)
            raise

    def _start(self) -> None:
        if os.getuid() == 0:
            os.chown(self.home, pwd.getpwnam(self._user).pw_uid, -1)
        with (self.home / "log").open("w") as log:
            options = ["-U", "mallee", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
            self._run([self._binaries / "initdb", "-D", self.home / "data", *options], log)
        self.resume()

    def resume(self) -> None:
        """Starts the server on what it holds."""
        options = [word for name, value in OPTIONS.items() for word in ("-c", f"{name}={value}")]
        command = [str(self._binaries / "postgres"), "-D", str(self.home / "data"), "-k", str(self.home), *options]
        with (self.home / "log").open("a") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, cwd="/", preexec_fn=_die_with_parent, **self._identity()
            )
        self._await()

    def _run(self, command: list[object], log: object) -> None:
        subprocess.run([str(word) for word in command], check=True, stdout=log, stderr=log, cwd="/", **self._identity())  # type: ignore[call-overload]

    def _await(self) -> None:
        end = time.monotonic() + 30
        while True:
            try:
                psycopg.connect(self.dsn("postgres"), connect_timeout=5).close()
                return
            except psycopg.OperationalError:
                if self._process.poll() is not None or time.monotonic() > end:
                    raise RuntimeError(f"PostgreSQL did not start: {(self.home / 'log').read_text()[-2000:]}") from None
                time.sleep(0.02)

    @staticmethod
    def _unprivileged() -> str:
        if os.getuid() != 0:
            return pwd.getpwuid(os.getuid()).pw_name
        for name in ("postgres", "nobody"):
            try:
                return pwd.getpwnam(name).pw_name
            except KeyError:
                continue
        raise RuntimeError("there is no unprivileged user to run PostgreSQL as")

    def _identity(self) -> dict[str, object]:
        if os.getuid() != 0:
            return {}
        entry = pwd.getpwnam(self._user)
        return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}

    def dsn(self, name: str) -> str:
        return f"host={self.home} user=mallee dbname={name}"

    def url(self, name: str) -> str:
        return f"postgresql+psycopg://mallee@/{name}?host={self.home}"

    def create(self, name: str) -> str:
        """A new, empty database; its URL."""
        with psycopg.connect(self.dsn("postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return self.url(name)

    def drop(self, name: str) -> None:
        with psycopg.connect(self.dsn("postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def empty(self, name: str) -> None:
        """Removes all rows, of those tables only that have some: truncating is slower than looking."""
        with psycopg.connect(self.dsn(name), autocommit=True) as connection:
            found = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
            tables = [sql.Identifier(row[0]) for row in found]
            if not tables:
                return
            looks = [
                sql.SQL("SELECT {} WHERE EXISTS (SELECT 1 FROM {})").format(sql.Literal(t.as_string()[1:-1]), t) for t in tables
            ]
            dirty = [sql.Identifier(row[0]) for row in connection.execute(sql.SQL(" UNION ALL ").join(looks)).fetchall()]
            if dirty:
                connection.execute(sql.SQL("TRUNCATE {} RESTART IDENTITY CASCADE").format(sql.SQL(", ").join(dirty)))

    def halt(self) -> None:
        """Ends the server in order, whoever is connected."""
        self._process.send_signal(signal.SIGINT)
        self._process.wait(timeout=30)

    def stop(self) -> None:
        self._process.send_signal(signal.SIGQUIT)  # at once: nothing here is worth a checkpoint
        self._process.wait(timeout=30)
        shutil.rmtree(self.home, ignore_errors=True)


def _sweep() -> None:
    """Removes what killed test runs have left."""
    for left in Path("/tmp").glob(f"{PREFIX}*"):
        owner = left.name.removeprefix(PREFIX).partition("-")[0]
        if owner.isdigit() and not Path(f"/proc/{owner}").exists():
            shutil.rmtree(left, ignore_errors=True)


def _die_with_parent() -> None:
    """Even a killed test run leaves no server behind."""
    ctypes.CDLL(None).prctl(1, signal.SIGQUIT)
