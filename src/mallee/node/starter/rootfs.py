"""The root filesystem of the starter image: busybox, dropbear and the scripts of ``files/``, as an ext4 image that grows
to its disk.

The same packages and scripts give the same bytes: times, UUID and hash seed are fixed (what ``mke2fs`` copies from
the build host's inodes is overwritten with ``debugfs``).
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from .packages import LOADER, Tree

FILES = Path(__file__).with_name("files")
EPOCH = 1_700_000_000
UUID = "6d616c6c-6565-4000-8000-737461727465"
SIZE_MIB = 64  # of the image; the filesystem grows to the disk at boot
MAX_BLOCKS = 4_194_304 * 64  # room for a 1 TiB filesystem in the group descriptors, so that growing moves nothing

DIRECTORIES = (
    "bin", "sbin", "dev", "proc", "sys", "run", "mnt", "opt", "srv", "usr/bin", "usr/sbin", "usr/lib", "lib64", "lib/x86_64-linux-gnu",
    "lib/modules/boot", "etc/mallee", "etc/acpi/PWRF", "etc/dropbear", "var/log", "var/run", "var/lib/cloud/data", "var/lib/cloud/instances",
)  # fmt: skip
SCRIPTS = {
    "etc/mallee/boot": "boot.sh",
    "etc/mallee/imds": "imds.sh",
    "etc/mallee/dhcp": "dhcp.sh",
    "etc/mallee/halt": "halt.sh",
    "etc/mallee/user-data": "user-data.sh",
    "etc/acpi/PWRF/00000080": "power-button.sh",
    "usr/bin/aws-query": "aws-query.sh",
    "usr/bin/sudo": "sudo.sh",
}
TEXTS = {
    "etc/passwd": (
        0o644,
        "root:x:0:0:root:/root:/bin/sh\nec2-user:x:1000:1000:EC2 user:/home/ec2-user:/bin/sh\nnobody:x:65534:65534::/run:/bin/false\n",
    ),
    "etc/shadow": (
        0o600,
        "root::19000:0:99999:7:::\nec2-user:*:19000:0:99999:7:::\n",
    ),  # no password: su asks none, ssh takes none
    "etc/group": (0o644, "root:x:0:\ntty:x:5:\nwheel:x:10:ec2-user\nnogroup:x:65534:\nec2-user:x:1000:\n"),
    "etc/shells": (0o644, "/bin/sh\n/bin/ash\n"),
    "etc/hostname": (0o644, "localhost\n"),
    "etc/hosts": (0o644, "127.0.0.1 localhost\n"),
    "etc/nsswitch.conf": (0o644, "passwd: files\ngroup: files\nhosts: files dns\n"),
    "etc/resolv.conf": (0o644, ""),
    "etc/acpid.conf": (0o644, "PWRF PWRF/00000080\n"),
    "etc/profile": (0o644, "export PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin\nPS1='[\\u@\\h \\w]\\$ '\n"),
    "etc/motd": (0o644, "\nMallee starter image: busybox and ssh on Debian's kernel. `sudo -i` makes you root.\n\n"),
    "etc/os-release": (0o644, 'NAME="Mallee starter"\nID=mallee-starter\nID_LIKE=debian\nPRETTY_NAME="Mallee starter image"\n'),
    "etc/inittab": (
        0o644,
        "::sysinit:/etc/mallee/boot\n::once:/etc/mallee/user-data\n::respawn:/sbin/acpid -f -l /dev/null\n"
        "::shutdown:/etc/mallee/halt\n::ctrlaltdel:/sbin/poweroff\n",
    ),
}
# Programs that need libraries; busybox serves for everything else.
PROGRAMS = {
    "usr/sbin/dropbear": "usr/sbin/dropbear",
    "usr/bin/dropbearkey": "usr/bin/dropbearkey",
    "usr/lib/sftp-server": "usr/lib/openssh/sftp-server",
    "sbin/resize2fs": "sbin/resize2fs",
    "sbin/mke2fs": "sbin/mke2fs",
    "sbin/e2fsck": "sbin/e2fsck",
}
NOT_APPLETS = {"busybox", "init", "linuxrc", "mke2fs", "dpkg", "dpkg-deb", "rpm", "rpm2cpio", "udhcpd", "crond", "crontab"}
# Loaded after the guest is ready: the power button needs the first two, the others are comfort.
LATE_MODULES = (
    "drivers/input/evdev",
    "drivers/acpi/button",
    "drivers/virtio/virtio_balloon",
    "drivers/char/hw_random/virtio-rng",
)


def stage(tree: Tree, into: Path) -> None:
    """The files of the root filesystem as a directory; ownership needs root."""
    for name in DIRECTORIES:
        (into / name).mkdir(parents=True, exist_ok=True)
    for name, mode in (("root", 0o700), ("tmp", 0o1777), ("home/ec2-user/.ssh", 0o700)):
        (into / name).mkdir(parents=True)
        (into / name).chmod(mode)
    for name, (mode, text) in TEXTS.items():
        _write(into / name, text.encode(), mode)
    for name, script in SCRIPTS.items():
        _write(into / name, (FILES / script).read_bytes(), 0o755)
    _programs(tree, into)
    for module in LATE_MODULES:
        source = tree.path(f"lib/modules/{tree.kernel_release}/kernel/{module}.ko")
        order = LATE_MODULES.index(module)
        _write(into / f"lib/modules/boot/{order}-{source.name}", source.read_bytes(), 0o644)
    for place in (into / "home/ec2-user", into / "home/ec2-user/.ssh"):
        os.chown(place, 1000, 1000)


def _programs(tree: Tree, into: Path) -> None:
    shutil.copyfile(tree.path("bin/busybox"), into / "bin/busybox")
    (into / "bin/busybox").chmod(0o4755)  # drops the privilege itself for every applet but su, ping and the like
    for applet in sorted(set(tree.run("bin/busybox", "--list").split()) - NOT_APPLETS):
        (into / "bin" / applet).symlink_to("busybox")
    for name in ("init", "poweroff", "reboot", "halt", "acpid"):
        (into / "sbin" / name).symlink_to("../bin/busybox")
    wanted: set[str] = set()
    for name, source in PROGRAMS.items():
        shutil.copyfile(tree.path(source), into / name)
        (into / name).chmod(0o755)
        wanted.update(tree.libraries_of(source))
    (into / "sbin/mkfs.ext4").symlink_to("mke2fs")
    (into / "sbin/fsck.ext4").symlink_to("e2fsck")
    for library in sorted(wanted):
        shutil.copyfile(tree.path(library).resolve(), into / "lib/x86_64-linux-gnu" / Path(library).name)
        (into / "lib/x86_64-linux-gnu" / Path(library).name).chmod(0o755)
    shutil.copyfile(tree.path("lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"), into / LOADER)
    (into / LOADER).chmod(0o755)


def image(tree: Tree, directory: Path, target: Path) -> None:
    """``directory`` as an ext4 filesystem in the raw file ``target``."""
    target.unlink(missing_ok=True)
    environment = {"E2FSPROGS_FAKE_TIME": str(EPOCH), "MKE2FS_CONFIG": "/dev/null"}
    options = ["-q", "-F", "-t", "ext4", "-b", "4096", "-I", "256", "-m", "1", "-J", "size=4", "-L", "mallee-root", "-U", UUID]
    features = "has_journal,ext_attr,resize_inode,dir_index,filetype,extent,64bit,flex_bg,sparse_super,large_file,huge_file,extra_isize,metadata_csum"
    extended = f"hash_seed={UUID},resize={MAX_BLOCKS},root_owner=0:0,lazy_itable_init=1,lazy_journal_init=0"
    tree.run(
        "sbin/mke2fs",
        *options,
        "-O",
        f"none,{features}",
        "-E",
        extended,
        "-d",
        directory,
        target,
        f"{SIZE_MIB}M",
        environment=environment,
    )
    names = ["/", *sorted(f"/{path.relative_to(directory)}" for path in directory.rglob("*"))]
    commands = [
        f'set_inode_field "{name}" {field} {value}'
        for name in [*names, "/lost+found"]
        for time in ("atime", "mtime", "ctime", "crtime")
        for field, value in ((time, EPOCH), (f"{time}_extra", 0))
    ]
    tree.run("sbin/debugfs", "-w", "-f", "-", target, environment=environment, given="\n".join(commands).encode() + b"\n")


def _write(path: Path, data: bytes, mode: int) -> None:
    path.write_bytes(data)
    path.chmod(mode)
