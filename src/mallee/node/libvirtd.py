"""The node's own libvirtd: private directories, private network namespace, no relation to a libvirt that the user has.

libvirt keeps its places compiled in (/run/libvirt, /var/lib/libvirt, …). The daemon is therefore started in a mount
namespace of its own, in which the node's directories lie over them; nobody else sees that. It lives in the network
namespace ``mle-<tag>-node``, where it makes the guests' taps.

The guests' files are shown to QEMU below /var/lib/libvirt/mallee in that namespace: there its unprivileged uid
reaches them wherever the home lies, and a document never holds a path that somebody chose. Consoles lie on a memory
filesystem of bounded size (see console.py).

The daemon outlives the agent: it is found again by its pid file, which names the process and its start time, so that
a reused pid is never mistaken for it. Guests outlive both; a daemon that is started again finds them by the status
files in its run directory.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import shutil
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from mallee.node.config import NodeConfig
from mallee.node.network.namespaces import node_namespace

log = logging.getLogger(__name__)

BINARY = Path("/usr/sbin/libvirtd")
PLACES = {
    "lib": "/var/lib/libvirt",
    "cache": "/var/cache/libvirt",
    "log": "/var/log/libvirt",
    "etc": "/etc/libvirt",
}
SHOWN = Path("/var/lib/libvirt/mallee")  # where QEMU sees the directories below
SHARED = ("images", "guests", "consoles")  # of the node's home
CONSOLES_MIB = 128
RUN_MIB = 64
_DEFAULT_USER = "libvirt-qemu"
_START_TIMEOUT = 60.0

# Arguments: the node's libvirt directory, then place=target pairs. /run is a new one altogether: to make and remove
# /run/libvirt on the machine would take the place from under the mounts of another cloud's daemon. libvirtd refuses to
# start where the user that Debian compiled in as its default does not exist, so it sees a user database that has one.
# /dev/kvm gets a node of our own, because guests run as a uid that is in no group.
_LAUNCH = """
set -e
umask 022
base=$1; shift
mount --make-rprivate /
exec 9< "$base/run"
for pair in "$@"; do mkdir -p "${pair#*=}"; mount --bind "$base/${pair%%=*}" "${pair#*=}"; done
for name in $SHARED; do mkdir -p "$SHOWN/$name"; mount --bind "$base/../$name" "$SHOWN/$name"; done
for file in passwd group; do mount --bind "$base/$file" "/etc/$file"; done
if [ -c /dev/kvm ]; then
    mount -t tmpfs -o size=64k,mode=755 own "$base/dev"
    if [ "$ACCELERATOR" = kvm ]; then
        mknod -m 600 "$base/dev/kvm" c "0x$(stat -c %t /dev/kvm)" "0x$(stat -c %T /dev/kvm)"
        chown "$QEMU_UID" "$base/dev/kvm"
    else
        : > "$base/dev/kvm"
    fi
    mount --bind "$base/dev/kvm" /dev/kvm
fi
mkdir -p "$base/cgroup"
mount --rbind /sys/fs/cgroup "$base/cgroup"
mount -t sysfs sysfs /sys
mount --rbind "$base/cgroup" /sys/fs/cgroup
umount -l "$base/cgroup"
mount -t tmpfs -o size=1m,mode=755 own /run
mkdir /run/libvirt
mount --bind /proc/self/fd/9 /run/libvirt
exec 9<&-
exec "$LIBVIRTD" --config /etc/libvirt/libvirtd.conf --pid-file /run/libvirt/libvirtd.pid
"""

_DAEMON_CONF = """\
unix_sock_dir = "/run/libvirt"
unix_sock_group = "root"
unix_sock_rw_perms = "0700"
unix_sock_ro_perms = "0700"
auth_unix_rw = "none"
auth_unix_ro = "none"
log_outputs = "3:file:/var/log/libvirt/libvirtd.log"
host_uuid = "{host_uuid}"
min_workers = 2
max_workers = 20
max_client_requests = 32
keepalive_interval = -1
admin_min_workers = 1
admin_max_workers = 1
"""

# No security driver, ownership or cgroups of libvirt's: the agent owns the files and sets the limits itself, see guests.py and limits.py.
_QEMU_CONF = """\
user = "+{uid}"
group = "+{uid}"
security_driver = "none"
dynamic_ownership = 0
remember_owner = 0
cgroup_controllers = [ ]
namespaces = [ ]
stdio_handler = "file"
seccomp_sandbox = 1
clear_emulator_capabilities = 1
auto_dump_path = "/var/lib/libvirt/qemu/dump"
max_core = 0
"""


class DaemonError(Exception):
    """The node's libvirtd does not start; the text says why and what to do."""


class Daemon:
    """The one libvirtd of this node. ``ensure`` may be called at any time by the agent's one thread that keeps the connection."""

    def __init__(self, config: NodeConfig, accelerator: str = "tcg") -> None:
        self.config = config
        self.accelerator = accelerator
        self.base = config.home / "libvirt"
        self._child: subprocess.Popen[bytes] | None = None

    # ------------------------------------------------------------------------------------------------------------ state

    def pid(self) -> int | None:
        """The running daemon, ours beyond doubt, or ``None``."""
        if self._child is not None and self._child.poll() is not None:
            self._child = None
        try:
            pid, began, boot = (self.base / "daemon.pid").read_text().split()
        except (FileNotFoundError, ValueError):
            return None
        return int(pid) if boot == boot_id() and start_time(int(pid)) == began else None

    def uri(self) -> str:
        """Where to connect. A socket's path may have 107 bytes; a longer one is reached through the daemon's own root."""
        path = self.base / "run/libvirt-sock"
        if len(os.fsencode(path)) > 100:
            path = Path(f"/proc/{self.pid()}/root/run/libvirt/libvirt-sock")
        return f"qemu+unix:///system?socket={path}"

    @property
    def socket(self) -> Path:
        return self.base / "run/libvirt-sock"

    # ------------------------------------------------------------------------------------------------------- start, stop

    def ensure(self) -> bool:
        """Has the daemon running and answering; True when it had to be started. Raises ``DaemonError``."""
        with self._alone():
            if self.pid() is not None:
                if self.socket.exists():
                    return False
                end(self.pid(), 5.0)  # nobody can reach it any more
            if not BINARY.exists():
                raise DaemonError("libvirtd is missing: install the packages libvirt-daemon and libvirt-daemon-driver-qemu.")
            self.prepare()
            self._configure()
            self._start()
            return True

    def prepare(self) -> None:
        """The directories that guests and agent share, before anybody looks into them."""
        for name in SHARED:
            directory = self.config.home / name
            directory.mkdir(parents=True, exist_ok=True)
            if name == "consoles":
                self._mount_memory(directory, CONSOLES_MIB)
            os.chown(directory, 0, self.config.qemu_uid)
            directory.chmod(0o710)

    def _mount_memory(self, directory: Path, mib: int) -> None:
        if os.path.ismount(directory):
            return
        command = [
            "mount",
            "-t",
            "tmpfs",
            "-o",
            f"size={mib}m,mode=755,nosuid,nodev,noexec",
            f"mallee-{self.config.tag}",
            str(directory),
        ]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            raise DaemonError(f"A memory filesystem could not be mounted at {directory}: {done.stderr.strip()}")

    def _configure(self) -> None:
        for place in (*PLACES, "run", "dev"):
            (self.base / place).mkdir(parents=True, exist_ok=True)
        # As /run is: gone with the machine's boot, like the guests it speaks of. On a disk, libvirt's many synchronous writes cost each launch 0.5 s.
        self._mount_memory(self.base / "run", RUN_MIB)
        for name in ("libvirt-sock", "libvirt-sock-ro", "libvirtd.pid"):
            (self.base / "run" / name).unlink(missing_ok=True)
        (self.base / "etc/qemu").mkdir(exist_ok=True)
        identity = self.base / "host-uuid"
        if not identity.exists():
            write_whole(identity, str(uuid.uuid4()))
        write_whole(self.base / "etc/libvirtd.conf", _DAEMON_CONF.format(host_uuid=identity.read_text().strip()))
        write_whole(self.base / "etc/qemu.conf", _QEMU_CONF.format(uid=self.config.qemu_uid))
        for name, entry in (("passwd", ":x:{0}:{0}::/nonexistent:/usr/sbin/nologin\n"), ("group", ":x:{0}:\n")):
            known = [
                line
                for line in Path("/etc", name).read_text().splitlines(keepends=True)
                if not line.startswith(f"{_DEFAULT_USER}:")
            ]
            write_whole(self.base / name, "".join(known) + _DEFAULT_USER + entry.format(self.config.qemu_uid), 0o644)
        log_file = self.base / "log/libvirtd.log"
        if log_file.exists() and log_file.stat().st_size > 1 << 20:
            log_file.replace(log_file.with_suffix(".log.1"))

    def _start(self) -> None:
        pairs = [f"{place}={target}" for place, target in PLACES.items()]
        command = [
            "nsenter",
            f"--net=/run/netns/{node_namespace(self.config.tag)}",
            "--",
            "unshare",
            "--mount",
            "--propagation",
            "private",
            "--",
        ]
        command += ["sh", "-c", _LAUNCH, "libvirtd", str(self.base), *pairs]
        environment = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "LC_ALL": "C",
            "HOME": "/",
            "LIBVIRTD": str(BINARY),
            "QEMU_UID": str(self.config.qemu_uid),
        }
        environment |= {"ACCELERATOR": self.accelerator, "SHOWN": str(SHOWN), "SHARED": " ".join(SHARED)}
        with open(self.base / "log/start.log", "wb") as output:
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                cwd="/",
                env=environment,
                close_fds=True,
            )
        # nsenter, unshare and sh replace themselves: the child's pid is the daemon's.
        write_whole(self.base / "daemon.pid", f"{child.pid} {start_time(child.pid)} {boot_id()}")
        self._child = child
        limit = time.monotonic() + _START_TIMEOUT
        while not self.socket.exists():
            if child.poll() is not None:
                raise DaemonError(f"libvirtd ended at its start with code {child.returncode}: {self._last_words()}")
            if time.monotonic() > limit:
                child.kill()
                raise DaemonError(f"libvirtd did not open its socket within {_START_TIMEOUT:.0f} s; see {self.base}/log.")
            time.sleep(0.02)
        log.info("libvirtd started, pid %d", child.pid)

    def _last_words(self) -> str:
        words: list[str] = []
        for name in ("start.log", "libvirtd.log"):
            try:
                words += (self.base / "log" / name).read_text(errors="replace").strip().splitlines()[-1:]
            except FileNotFoundError:
                continue
        return "; ".join(words) or f"see {self.base}/log"

    def stop(self, seconds: float = 10.0) -> None:
        """Ends the daemon; guests go on. To have it gone is the point, so it is killed when asking does not help."""
        with self._alone():
            end(self.pid(), seconds)
            (self.base / "daemon.pid").unlink(missing_ok=True)

    def remove(self) -> None:
        """Forgets everything of libvirt's on this node. Guests and daemon must have ended before."""
        for place in (self.config.home / "consoles", self.base / "run"):
            if os.path.ismount(place):
                subprocess.run(["umount", "--lazy", str(place)], check=False, capture_output=True)
        shutil.rmtree(self.base, ignore_errors=True)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        self.base.mkdir(parents=True, exist_ok=True)
        with open(self.base / "daemon.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


# ---------------------------------------------------------------------------------------------------------------- helpers


def boot_id() -> str:
    """Names the present boot of the machine."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def start_time(pid: int) -> str | None:
    """What tells this process from a later one with the same number: its start in clock ticks. ``None``: there is none (a zombie is none)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else fields[19]


def end(pid: int | None, seconds: float) -> None:
    """Asks the process to end, and kills it when it has not after ``seconds``."""
    if pid is None:
        return
    began = start_time(pid)
    for number, patience in ((signal.SIGTERM, seconds), (signal.SIGKILL, 10.0)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        limit = time.monotonic() + patience
        while began is not None and start_time(pid) == began:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
            if time.monotonic() > limit:
                break
            time.sleep(0.02)
        else:
            return


def write_whole(path: Path, text: str, mode: int = 0o600, durable: bool = True) -> None:
    """The file has the new text or the old one, never a part. ``durable``: also when the machine loses its power right after."""
    fresh = path.with_name(f".{path.name}.new")
    with open(fresh, "w") as file:
        os.fchmod(file.fileno(), mode)
        file.write(text)
        if durable:
            file.flush()
            os.fsync(file.fileno())
    fresh.replace(path)
