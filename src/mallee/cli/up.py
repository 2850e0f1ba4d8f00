"""`mallee up`: from a checkout to a running cloud, step by step; each looks first and does only what is missing.

Nothing is remembered about a run: the next one finds out again what is there. That makes it safe to interrupt at any point, and
to run at any time.
"""

from __future__ import annotations

import ipaddress
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mallee import settings as settings_module
from mallee.cli import first, home, packages, preflight, processes, starter_image
from mallee.cli.client import health
from mallee.cli.progress import Progress
from mallee.settings import Settings

POOL = "198.51.100.0/24"  # TEST-NET-2: for documentation, on no real network


@dataclass(slots=True)
class Wishes:
    """What the command line asked for; None means: as it is, or the default."""

    simulated: bool = False
    settings: dict[str, Any] | None = None
    first_instance: bool = True


class Up:
    def __init__(self, path: Path, wishes: Wishes, progress: Progress) -> None:
        self.home, self.wishes, self.progress = path, wishes, progress
        self.fresh = not (path / settings_module.FILE).exists()

    def run(self) -> Settings:
        chosen = self._settings()
        already = any(home.running(chosen, name) is not None for name in ("supervisor", "cloud"))
        self._check_machine(chosen, already)
        if not chosen.simulated:
            self._packages(chosen)
        chosen = self._prepare(chosen)
        if not chosen.simulated:
            self._starter_image(chosen)
        self._start(chosen)
        if not chosen.simulated and self.wishes.first_instance and not first.marker(chosen).exists():
            self._first_instance(chosen)
        self._summary(chosen)
        return chosen

    # ------------------------------------------------------------------------------------------------------- settings

    def _settings(self) -> Settings:
        """What is set, changed by what was asked for; nothing is written yet."""
        wanted = {name: value for name, value in (self.wishes.settings or {}).items() if value is not None}
        try:
            if self.fresh:
                return settings_module.Settings(home=self.home, simulated=self.wishes.simulated, **wanted)
            present = settings_module.load(self.home)
        except settings_module.SettingsError as error:
            raise home.Sorry(str(error)) from error
        changed = {name: value for name, value in wanted.items() if getattr(present, name) != value}
        if self.wishes.simulated and not present.simulated:
            changed["simulated"] = True
        if changed:
            raise home.Sorry(
                f"the cloud in {self.home} was set up with another {', '.join(changed)}. Another cloud beside it needs a home"
                f" of its own (MALLEE_HOME=… ./mallee up …); to change this one: ./mallee down, then edit {present.file}"
            )
        return present

    def _check_machine(self, chosen: Settings, already: bool) -> None:
        with self.progress.step("check the machine") as step:
            checks = preflight.machine(self.home, chosen.simulated)
            if not already:
                listeners = {"the API": chosen.port, "metrics": chosen.metrics_port}
                checks += preflight.ports(chosen.host, listeners | ({"the API by TLS": chosen.tls_port} if chosen.tls else {}))
            if not chosen.simulated and not preflight.readable_by_others(home.SOURCE):
                checks.append(preflight.Check("source", False, f"{home.SOURCE} is private", f"chmod -R go+rX {home.SOURCE}"))
            failed = [check for check in checks if check.ok is False]
            step.unchanged = True
            step.note = "; ".join(check.detail for check in checks if check.ok and not check.name.startswith("port"))
        for check in failed:
            self.progress.line(f"  [red]{check.name}[/]: {check.detail}. {check.remedy}")
        if failed:
            raise home.Sorry("nothing was changed")
        if self.fresh:
            self._announce(chosen, checks)

    def _announce(self, chosen: Settings, checks: list[preflight.Check]) -> None:
        say = self.progress.line
        for check in checks:
            if check.ok is None:
                say(f"  {check.detail}")
        if chosen.simulated:
            say(f"  I will make a simulated cloud in {self.home}, API on port {chosen.port}; nothing else here changes.")
            return
        wanted = packages.missing(packages.NODE) + packages.for_objects(chosen.objects_engine)
        say(f"  I will {'install ' + ', '.join(wanted) if wanted else 'install no package'};")
        say(f"  keep everything in {self.home}; start the API on {chosen.host}:{chosen.port} (TLS {chosen.tls_port});")
        say("  make one veth pair, network namespaces and routes named mle-…, and one nftables table for the pool;")
        say("  and launch a first instance. ./mallee down --destroy takes all of it away again.")

    # -------------------------------------------------------------------------------------------------------- set-up

    def _packages(self, chosen: Settings) -> None:
        with self.progress.step("packages") as step:
            wanted = packages.missing(packages.NODE) + packages.for_objects(chosen.objects_engine)
            if wanted:
                step.say("installing " + " ".join(wanted))
                try:
                    packages.install(wanted, chosen.log / "packages.log")
                except packages.PackagesMissing as error:
                    raise home.Sorry(str(error)) from error
            step.unchanged = not wanted
            step.note = f"{len(wanted)} installed" if wanted else "all there"
        with self.progress.step("Python packages of the node") as step:
            step.unchanged = _node_requirements()
        with self.progress.step("kernel features") as step:
            failed = [check for check in preflight.kernel() if check.ok is False]
            step.unchanged = True
        if failed:
            raise home.Sorry("; ".join(f"{check.name}: {check.detail} ({check.remedy})" for check in failed))

    def _prepare(self, chosen: Settings) -> Settings:
        """The home and its settings; database, account, keys and certificate are the cloud's own work at every start."""
        with self.progress.step("settings") as step:
            wanted = {name: value for name, value in (self.wishes.settings or {}).items() if value is not None}
            if self.fresh and not chosen.simulated and "public_pool" not in wanted:
                wanted["public_pool"] = (_free_pool(chosen),)
            step.unchanged = not self.fresh
            chosen = settings_module.ensure(self.home, simulated=chosen.simulated, **wanted)
            for folder in (chosen.run, chosen.log, chosen.cloud):
                folder.mkdir(mode=0o755, parents=True, exist_ok=True)
            step.note = f"region {chosen.region}, zones {', '.join(chosen.zones)}, account {chosen.admin_account_id}"
        return chosen

    def _starter_image(self, chosen: Settings) -> None:
        with self.progress.step("starter image") as step:
            changed = starter_image.ensure(chosen, step.say)
            step.unchanged = not changed
            step.note = "built" if changed else "there"
        if changed and home.running(chosen, "cloud") is not None:
            processes.stop(chosen.run / "cloud.pid", seconds=20)  # its supervisor starts it again, and it registers the new image

    # --------------------------------------------------------------------------------------------------------- start

    def _start(self, chosen: Settings) -> None:
        with self.progress.step("cloud and node") as step:
            step.unchanged = not start(chosen)
            wait_ready(chosen)
            kinds = "simulated node" if chosen.simulated else "node"
            step.note = f"API at {chosen.endpoint}, {chosen.simulated_nodes if chosen.simulated else 1} {kinds}"

    def _first_instance(self, chosen: Settings) -> None:
        with self.progress.step("first instance") as step:
            instance_id = first.launch(chosen)
            instance = first.wait_for_ssh(chosen, instance_id, first.KEY, step)
            first.remember(chosen, instance_id)
            step.note = (
                f"{instance_id} at {instance.get('PublicIpAddress', instance['PrivateIpAddress'])} answers ssh;"
                f" its security group {first.GROUP!r} opens port 22"
            )

    def _summary(self, chosen: Settings) -> None:
        say = self.progress.line
        command = "./mallee" if Path.cwd() == home.SOURCE else str(home.SOURCE / "mallee")
        say(f"\nThe cloud is up ({self.progress.total():.1f} s). Try next:")
        say(f'  eval "$({command} env)" && aws ec2 describe-instances')
        known = first.remembered(chosen)
        say(f"  {command} ssh {known}" if known else f"  {command} status")
        say(f"  {command} doctor{' ' + known if known else ''}")


def _node_requirements() -> bool:
    """Installs requirements-node.txt into the environment; True when all was there."""
    file = home.SOURCE / "requirements-node.txt"
    check = "import importlib.metadata as m, sys\nfor l in open(sys.argv[1]):\n l = l.split('#')[0].strip()\n"
    check += " if l: n, v = l.split('=='); assert m.version(n) == v"
    if subprocess.run([sys.executable, "-c", check, str(file)], capture_output=True, check=False).returncode == 0:
        return True
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", str(file)]
    done = subprocess.run(pip, capture_output=True, text=True, check=False)
    if done.returncode:
        raise home.Sorry("pip failed: " + "\n".join(done.stderr.strip().splitlines()[-5:]))
    return False


def _free_pool(chosen: Settings) -> str:
    """TEST-NET-2; for a further cloud on the same machine one of the range for carriers' own use instead."""
    routes = json.loads(subprocess.run(["ip", "-j", "-4", "route"], capture_output=True, check=True).stdout or b"[]")
    taken = [ipaddress.ip_network(each["dst"]) for each in routes if each.get("dst") not in (None, "default")]
    # 100.64.0.0/10 (RFC 6598) is no machine's own network; the links of nodes are in 198.18.0.0/15
    start = int(chosen.tag, 16)
    others = (f"100.{64 + (start + number) % 64}.{(start >> 6) % 256}.0/24" for number in range(64))
    for pool in (POOL, *others):
        if not any(ipaddress.ip_network(pool).overlaps(each) for each in taken):
            return pool
    raise home.Sorry("every network for public addresses is in use here; name one with --public-pool CIDR")


def start(chosen: Settings) -> bool:
    """Starts the supervisor, detached; False when it runs already."""
    if home.running(chosen, "supervisor") is not None:
        return False
    word = "simulator" if chosen.simulated else "node"
    children = {"cloud": _module(chosen, "mallee.cloud"), word: _module(chosen, f"mallee.{word}")}
    command = [sys.executable, "-m", "mallee.cli.supervisor", "--home", str(chosen.home)]
    for name, words in children.items():
        command += ["--child", f"{name}=" + "\t".join(words)]
    processes.spawn(command, chosen.log / "supervisor.log")
    return True


def _module(chosen: Settings, module: str) -> list[str]:
    words = [sys.executable, "-m", module, "--home", str(chosen.home)]
    if module != "mallee.cloud" or os.geteuid() != 0 or preflight.reachable(home.SOURCE, chosen.uid):
        return words
    # The checkout lies where only root can walk (/root, say): the cloud, without privileges, sees it at another place.
    seen = chosen.run / "source"
    seen.mkdir(exist_ok=True)
    words[0] = str(seen / Path(sys.executable).relative_to(home.SOURCE))
    script = f"mount --bind {shlex.quote(str(home.SOURCE))} {shlex.quote(str(seen))} && exec {shlex.join(words)}"
    return [shutil.which("unshare") or "unshare", "--mount", "--propagation", "private", "sh", "-c", script]


def wait_ready(chosen: Settings, seconds: float = 60) -> None:
    """Until the API answers and every node has joined."""
    until = time.monotonic() + seconds
    nodes = chosen.simulated_nodes if chosen.simulated else 1
    while time.monotonic() < until:
        found = health(chosen, timeout=1)
        if found is not None and found.get("status") == "ok" and found.get("nodes", 0) >= nodes:
            return
        if home.running(chosen, "supervisor") is None and time.monotonic() > until - seconds + 3:
            raise home.Sorry(f"the supervisor ended; see {chosen.log / 'supervisor.log'}")
        time.sleep(0.05)
    last = [line for line in _tail(chosen.log / "cloud.out") if line.strip()][-1:]
    raise home.Sorry(f"the cloud does not answer after {seconds:.0f} s{': ' + last[0] if last else ''}. See ./mallee logs")


def _tail(file: Path, size: int = 4096) -> list[str]:
    try:
        with file.open("rb") as source:
            source.seek(max(0, file.stat().st_size - size))
            return source.read().decode(errors="replace").splitlines()
    except OSError:
        return []
