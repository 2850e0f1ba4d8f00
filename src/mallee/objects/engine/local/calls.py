"""The system calls by which the engine touches disks, by name and in one place.

Whatever changes a disk goes through this module, as ``calls.rename(...)``, looked up at each call: that is how the tests fail any
single call, end the process at it, or keep a model of what a power cut would leave (``tests/objects/engine/powercut.py``).

Paths are relative to a folder that is open (``dir_fd``): a disk that is mounted, unmounted or moved while the engine runs never
turns what was meant for one disk into files of another.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
from collections.abc import Sequence

Buffer = bytes | bytearray | memoryview

_libc = ctypes.CDLL(None, use_errno=True)
_START_WRITING = 2  # SYNC_FILE_RANGE_WRITE
_MOST_BUFFERS = 1024  # IOV_MAX

pread = os.pread
preadv = os.preadv
fstat = os.fstat
fstatvfs = os.fstatvfs
close = os.close


def open(path: str, flags: int, dir_fd: int | None = None) -> int:
    return os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600, dir_fd=dir_fd)


def pwrite(fd: int, data: Buffer, offset: int) -> int:
    return os.pwrite(fd, data, offset)


def pwritev(fd: int, buffers: Sequence[Buffer], offset: int) -> int:
    return os.pwritev(fd, buffers, offset)


def append(fd: int, data: Buffer) -> int:
    """To a file that was opened with O_APPEND."""
    return os.write(fd, data)


def fsync(fd: int) -> None:
    os.fsync(fd)


def fdatasync(fd: int) -> None:
    os.fdatasync(fd)


def ftruncate(fd: int, size: int) -> None:
    os.ftruncate(fd, size)


def rename(source: str, target: str, dir_fd: int) -> None:
    os.rename(source, target, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)


def unlink(path: str, dir_fd: int) -> None:
    os.unlink(path, dir_fd=dir_fd)


def mkdir(path: str, dir_fd: int) -> None:
    os.mkdir(path, 0o700, dir_fd=dir_fd)


def rmdir(path: str, dir_fd: int) -> None:
    os.rmdir(path, dir_fd=dir_fd)


def lock(fd: int, *, wait: bool = False) -> bool:
    """Whether nobody else holds this file; it is held until the descriptor is closed. Who writes waits for those who only look."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True


def start_writing(fd: int, offset: int, length: int) -> None:
    """Lets the kernel write these pages to the disk now, without waiting. A hint: what it cannot do, fsync will."""
    _libc.sync_file_range(fd, ctypes.c_int64(offset), ctypes.c_int64(length), _START_WRITING)


# -- on top of them ------------------------------------------------------------------------------------------------------------------


class Handle:
    """A descriptor that is closed when nobody holds it any more: whoever has the handle may use it, whatever caches and
    compactions do meanwhile. Keep the handle, not its number: ``fsync(disk.open(…).fd)`` syncs what is closed already."""

    __slots__ = ("__weakref__", "fd", "used")

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.used = True

    def close(self) -> None:
        """For its only user: an exception's traceback may keep what was let go of for a while."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            try:
                close(fd)
            except OSError:
                pass

    def __del__(self) -> None:
        self.close()


def write_all(fd: int, data: Buffer, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = pwrite(fd, view, offset)
        view = view[written:]
        offset += written


def write_all_of(fd: int, buffers: Sequence[Buffer], offset: int) -> None:
    """With one call, unless there are very many buffers or the kernel takes less."""
    start = 0
    while start < len(buffers):
        part = buffers[start : start + _MOST_BUFFERS]
        whole = sum(len(buffer) for buffer in part)
        written = pwritev(fd, part, offset)
        if written < whole:
            write_all(fd, memoryview(b"".join(part))[written:], offset + written)
        offset += whole
        start += len(part)


def read_all(fd: int, length: int, offset: int) -> bytes:
    """What is there of it: less only at the end of the file."""
    data = pread(fd, length, offset)
    if len(data) == length or not data:
        return data
    parts = [data]
    got = len(data)
    while got < length:
        data = pread(fd, length - got, offset + got)
        if not data:
            break
        parts.append(data)
        got += len(data)
    return b"".join(parts)
