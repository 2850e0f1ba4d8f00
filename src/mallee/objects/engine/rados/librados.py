"""librados, as much of it as the engine needs, by ctypes.

The library is loaded when the first cluster is made, not when this module is imported: a cloud without Ceph needs none of its packages. Why
not Debian's python3-rados: docs/decisions/objects-rados.md.

An operation is a ``Write`` or a ``Read``: steps on one object that happen together or not at all, in one round trip. ``submit`` sends it and
returns a ``Pending``; what it needs in memory stays referenced by that until it was waited for. ctypes lets other threads run during every
call. Errors are ``RadosError`` with the errno, ``op.found`` that of nothing at all.
"""

from __future__ import annotations

import ctypes
import errno
import os
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from ctypes import POINTER, byref, c_char_p, c_int, c_size_t, c_uint8, c_uint64, c_void_p
from typing import Any

LIBRARY = "librados.so.2"

EQUAL = 1
_FULL_TRY = 64  # a full cluster answers ENOSPC instead of keeping the operation until there is room

Bytes = bytes | bytearray | memoryview


class RadosError(Exception):
    def __init__(self, number: int, doing: str) -> None:
        super().__init__(f"{doing}: {os.strerror(number)}")
        self.number = number
        self.doing = doing


class LibraryMissing(Exception):
    """librados is not installed."""


_Handle = c_void_p
_SIGNATURES: dict[str, tuple[Any, list[Any]]] = {
    "rados_create2": (c_int, [POINTER(_Handle), c_char_p, c_char_p, c_uint64]),
    "rados_conf_read_file": (c_int, [_Handle, c_char_p]),
    "rados_conf_set": (c_int, [_Handle, c_char_p, c_char_p]),
    "rados_connect": (c_int, [_Handle]),
    "rados_shutdown": (None, [_Handle]),
    "rados_mon_command": (
        c_int,
        [_Handle, POINTER(c_char_p), c_size_t, c_char_p, c_size_t, *(POINTER(c_void_p), POINTER(c_size_t)) * 2],
    ),
    "rados_buffer_free": (None, [c_void_p]),
    "rados_ioctx_create": (c_int, [_Handle, c_char_p, POINTER(_Handle)]),
    "rados_ioctx_destroy": (None, [_Handle]),
    "rados_aio_create_completion2": (c_int, [c_void_p, c_void_p, POINTER(_Handle)]),
    "rados_aio_wait_for_complete": (c_int, [_Handle]),
    "rados_aio_is_complete": (c_int, [_Handle]),
    "rados_aio_get_return_value": (c_int, [_Handle]),
    "rados_aio_cancel": (c_int, [_Handle, _Handle]),
    "rados_aio_release": (None, [_Handle]),
    "rados_create_write_op": (_Handle, []),
    "rados_release_write_op": (None, [_Handle]),
    "rados_write_op_assert_exists": (None, [_Handle]),
    "rados_write_op_create": (None, [_Handle, c_int, c_char_p]),
    "rados_write_op_cmpxattr": (None, [_Handle, c_char_p, c_uint8, c_char_p, c_size_t]),
    "rados_write_op_omap_cmp": (None, [_Handle, c_char_p, c_uint8, c_char_p, c_size_t, POINTER(c_int)]),
    "rados_write_op_setxattr": (None, [_Handle, c_char_p, c_char_p, c_size_t]),
    "rados_write_op_write": (None, [_Handle, c_void_p, c_size_t, c_uint64]),
    "rados_write_op_write_full": (None, [_Handle, c_void_p, c_size_t]),
    "rados_write_op_zero": (None, [_Handle, c_uint64, c_uint64]),
    "rados_write_op_remove": (None, [_Handle]),
    "rados_write_op_omap_set": (None, [_Handle, POINTER(c_char_p), POINTER(c_char_p), POINTER(c_size_t), c_size_t]),
    "rados_write_op_omap_clear": (None, [_Handle]),
    "rados_write_op_omap_rm_keys": (None, [_Handle, POINTER(c_char_p), c_size_t]),
    "rados_aio_write_op_operate": (c_int, [_Handle, _Handle, _Handle, c_char_p, c_void_p, c_int]),
    "rados_create_read_op": (_Handle, []),
    "rados_release_read_op": (None, [_Handle]),
    "rados_read_op_assert_exists": (None, [_Handle]),
    "rados_read_op_getxattrs": (None, [_Handle, POINTER(_Handle), POINTER(c_int)]),
    "rados_read_op_stat": (None, [_Handle, POINTER(c_uint64), c_void_p, POINTER(c_int)]),
    "rados_read_op_read": (None, [_Handle, c_uint64, c_size_t, c_void_p, POINTER(c_size_t), POINTER(c_int)]),
    "rados_read_op_omap_get_vals2": (
        None,
        [_Handle, c_char_p, c_char_p, c_uint64, POINTER(_Handle), POINTER(c_uint8), POINTER(c_int)],
    ),
    "rados_aio_read_op_operate": (c_int, [_Handle, _Handle, _Handle, c_char_p, c_int]),
    "rados_getxattrs_next": (c_int, [_Handle, POINTER(c_char_p), POINTER(c_void_p), POINTER(c_size_t)]),
    "rados_getxattrs_end": (None, [_Handle]),
    "rados_omap_get_next": (c_int, [_Handle, POINTER(c_char_p), POINTER(c_void_p), POINTER(c_size_t)]),
    "rados_omap_get_end": (None, [_Handle]),
    "rados_ioctx_pool_stat": (c_int, [_Handle, c_void_p]),
    "rados_object_list_begin": (c_void_p, [_Handle]),
    "rados_object_list_end": (c_void_p, [_Handle]),
    "rados_object_list_is_end": (c_int, [_Handle, c_void_p]),
    "rados_object_list_cursor_free": (None, [_Handle, c_void_p]),
    "rados_object_list_cursor_cmp": (c_int, [_Handle, c_void_p, c_void_p]),
    "rados_object_list_slice": (
        None,
        [_Handle, c_void_p, c_void_p, c_size_t, c_size_t, POINTER(c_void_p), POINTER(c_void_p)],
    ),
    "rados_object_list": (c_int, [_Handle, c_void_p, c_void_p, c_size_t, c_char_p, c_size_t, c_void_p, POINTER(c_void_p)]),
    "rados_object_list_free": (None, [c_size_t, c_void_p]),
}

_loaded: ctypes.CDLL | None = None


def library() -> ctypes.CDLL:
    global _loaded
    if _loaded is None:
        try:
            found = ctypes.CDLL(LIBRARY)
            for name, (result, arguments) in _SIGNATURES.items():
                function = getattr(found, name)
                function.restype = result
                function.argtypes = arguments
        except (OSError, AttributeError) as reason:
            raise LibraryMissing(str(reason)) from None
        _loaded = found
    return _loaded


def _checked(code: int, doing: str) -> int:
    if code < 0:
        raise RadosError(-code, doing)
    return code


class Cluster:
    """A connected client. A handle goes on by itself when monitors or OSDs were away and come back."""

    def __init__(self, conf: str, user: str, options: Mapping[str, str]) -> None:
        """Raises RadosError; blocks for at most ``client_mount_timeout``."""
        self.lib = library()
        self.handle = _Handle()
        _checked(self.lib.rados_create2(byref(self.handle), b"ceph", user.encode(), 0), "making a client")
        try:
            _checked(self.lib.rados_conf_read_file(self.handle, conf.encode()), f"reading {conf}")
            for name, value in options.items():
                _checked(self.lib.rados_conf_set(self.handle, name.encode(), value.encode()), f"setting {name}")
            _checked(self.lib.rados_connect(self.handle), "connecting")
        except RadosError:
            self.lib.rados_shutdown(self.handle)
            raise

    def command(self, text: str) -> bytes:
        """What the monitors answer to a command."""
        out, status, out_length, status_length = c_void_p(), c_void_p(), c_size_t(), c_size_t()
        words = (c_char_p * 1)(text.encode())
        code = self.lib.rados_mon_command(
            self.handle, words, 1, b"", 0, byref(out), byref(out_length), byref(status), byref(status_length)
        )
        try:
            _checked(code, "asking the monitors")
            return ctypes.string_at(out, out_length.value) if out.value else b""
        finally:
            self.lib.rados_buffer_free(out)
            self.lib.rados_buffer_free(status)

    def shutdown(self) -> None:
        self.lib.rados_shutdown(self.handle)


class Pending:
    """An operation on its way."""

    __slots__ = ("__weakref__", "_code", "_completion", "_lib", "_op", "_pool", "name")

    def __init__(self, pool: Pool, name: str, op: Read | Write) -> None:
        self._lib = pool.lib
        self._pool = pool
        self._op = op
        self._code: int | None = None
        self._completion = _Handle()
        self.name = name
        pool.flying[id(self)] = weakref.ref(self)
        self._lib.rados_aio_create_completion2(None, None, byref(self._completion))
        code = op.operate(pool.io, self._completion, name.encode())
        if code < 0:
            self._settle(code)

    def done(self) -> bool:
        return self._code is not None or bool(self._lib.rados_aio_is_complete(self._completion))

    def wait(self) -> None:
        """Returns when it is done; raises RadosError."""
        if self._code is None:
            self._lib.rados_aio_wait_for_complete(self._completion)
            self._settle(self._lib.rados_aio_get_return_value(self._completion))
        if self._code is not None and self._code < 0:
            raise RadosError(-self._code, self.name)

    def missing(self) -> bool:
        """Waits; True if there is no such object. Raises RadosError for anything else."""
        try:
            self.wait()
        except RadosError as error:
            if error.number != errno.ENOENT:
                raise
            return True
        return False

    def drop(self) -> None:
        """The result is not wanted any more. Returns when nothing writes into its memory any more."""
        if self._code is None:
            self._lib.rados_aio_cancel(self._pool.io, self._completion)
            self._lib.rados_aio_wait_for_complete(self._completion)
            self._settle(-errno.ECANCELED)

    def _settle(self, code: int) -> None:
        self._code = code
        self._pool.flying.pop(id(self), None)
        self._lib.rados_aio_release(self._completion)
        self._op.settled(code)

    def __del__(self) -> None:
        if getattr(self, "_code", 0) is None:
            self.drop()


class Write:
    """Steps that change one object. What is written is copied when the step is added."""

    __slots__ = ("_handle", "_lib")

    def __init__(self) -> None:
        self._lib = library()
        self._handle = self._lib.rados_create_write_op()

    def operate(self, io: _Handle, completion: _Handle, name: bytes) -> int:
        code: int = self._lib.rados_aio_write_op_operate(self._handle, io, completion, name, None, _FULL_TRY)
        self._release()
        return code

    def settled(self, code: int) -> None:
        pass

    def _release(self) -> None:
        if self._handle is not None:
            self._lib.rados_release_write_op(self._handle)
            self._handle = None

    def __del__(self) -> None:
        self._release()

    def exists(self) -> Write:
        """ENOENT where there is no such object."""
        self._lib.rados_write_op_assert_exists(self._handle)
        return self

    def create(self, exclusive: bool = True) -> Write:
        """EEXIST where there is one."""
        self._lib.rados_write_op_create(self._handle, int(exclusive), None)
        return self

    def unless_attribute(self, name: str) -> Write:
        """ECANCELED where the object has that attribute."""
        self._lib.rados_write_op_cmpxattr(self._handle, name.encode(), EQUAL, b"", 0)
        return self

    def if_key(self, key: str, value: bytes) -> Write:
        """ECANCELED unless that key has that value (empty: or is not there)."""
        self._lib.rados_write_op_omap_cmp(self._handle, key.encode(), EQUAL, value, len(value), None)
        return self

    def attribute(self, name: str, value: bytes) -> Write:
        self._lib.rados_write_op_setxattr(self._handle, name.encode(), value, len(value))
        return self

    def write(self, data: Bytes, offset: int) -> Write:
        self._lib.rados_write_op_write(self._handle, _address(data), len(data), offset)
        return self

    def write_full(self, data: Bytes) -> Write:
        self._lib.rados_write_op_write_full(self._handle, _address(data), len(data))
        return self

    def zero(self, offset: int, length: int) -> Write:
        self._lib.rados_write_op_zero(self._handle, offset, length)
        return self

    def remove(self) -> Write:
        self._lib.rados_write_op_remove(self._handle)
        return self

    def keys(self, values: Mapping[str, bytes]) -> Write:
        count = len(values)
        names = (c_char_p * count)(*[key.encode() for key in values])
        contents = (c_char_p * count)(*values.values())
        lengths = (c_size_t * count)(*[len(value) for value in values.values()])
        self._lib.rados_write_op_omap_set(self._handle, names, contents, lengths, count)
        return self

    def clear_keys(self) -> Write:
        self._lib.rados_write_op_omap_clear(self._handle)
        return self

    def remove_keys(self, keys: Sequence[str]) -> Write:
        names = (c_char_p * len(keys))(*[key.encode() for key in keys])
        self._lib.rados_write_op_omap_rm_keys(self._handle, names, len(keys))
        return self


class Read:
    """Steps that look at one object; after the wait the answers are in ``attributes``, ``size`` and ``keys``, and how many bytes of the buffer
    were filled in ``filled``."""

    __slots__ = (
        "_attributes",
        "_buffer",
        "_filled",
        "_handle",
        "_keys",
        "_lib",
        "_more",
        "_results",
        "_size",
        "attributes",
        "filled",
        "keys",
        "more",
        "size",
    )

    def __init__(self) -> None:
        self._lib = library()
        self._handle = self._lib.rados_create_read_op()
        self._results: list[c_int] = []
        self._buffer: object = None
        self._attributes: _Handle | None = None
        self._keys: _Handle | None = None
        self._size: c_uint64 | None = None
        self._more = c_uint8()
        self._filled = c_size_t()
        self.attributes: dict[str, bytes] = {}
        self.keys: dict[str, bytes] = {}
        self.more = False
        self.size = 0
        self.filled = 0

    def _result(self) -> Any:
        self._results.append(c_int())
        return byref(self._results[-1])

    def exists(self) -> Read:
        self._lib.rados_read_op_assert_exists(self._handle)
        return self

    def stat(self) -> Read:
        self._size = c_uint64()
        self._lib.rados_read_op_stat(self._handle, byref(self._size), None, self._result())
        return self

    def attributes_too(self) -> Read:
        self._attributes = _Handle()
        self._lib.rados_read_op_getxattrs(self._handle, byref(self._attributes), self._result())
        return self

    def into(self, buffer: bytearray, offset: int, length: int) -> Read:
        """At most ``length`` bytes from ``offset``, into the beginning of the buffer, which must not change its size meanwhile."""
        self._buffer = (ctypes.c_char * len(buffer)).from_buffer(buffer)
        self._lib.rados_read_op_read(self._handle, offset, length, self._buffer, byref(self._filled), self._result())
        return self

    def keys_after(self, after: str = "", prefix: str = "", limit: int = 1000) -> Read:
        self._keys = _Handle()
        self._lib.rados_read_op_omap_get_vals2(
            self._handle, after.encode(), prefix.encode(), limit, byref(self._keys), byref(self._more), self._result()
        )
        return self

    def operate(self, io: _Handle, completion: _Handle, name: bytes) -> int:
        return int(self._lib.rados_aio_read_op_operate(self._handle, io, completion, name, 0))

    def settled(self, code: int) -> None:
        self._buffer = None  # the bytearray may change again
        self._lib.rados_release_read_op(self._handle)
        self._handle = None
        self.filled = self._filled.value
        if self._size is not None:
            self.size = self._size.value
        if self._attributes is not None and self._attributes.value:
            if code >= 0:
                self.attributes = dict(_pairs(self._lib.rados_getxattrs_next, self._attributes))
            self._lib.rados_getxattrs_end(self._attributes)
        if self._keys is not None and self._keys.value:
            if code >= 0:
                self.keys = dict(_pairs(self._lib.rados_omap_get_next, self._keys))
            self._lib.rados_omap_get_end(self._keys)
        self.more = bool(self._more.value)

    def __del__(self) -> None:
        if self._handle is not None:
            self._lib.rados_release_read_op(self._handle)


def _pairs(following: Any, iterator: _Handle) -> Iterator[tuple[str, bytes]]:
    name, value, length = c_char_p(), c_void_p(), c_size_t()
    while following(iterator, byref(name), byref(value), byref(length)) == 0 and name.value is not None:
        yield name.value.decode(), ctypes.string_at(value, length.value) if length.value else b""


def _address(data: Bytes) -> Any:
    """Where the bytes are, for a call that only reads them."""
    if isinstance(data, bytes):
        return ctypes.cast(c_char_p(data), c_void_p)
    view = memoryview(data)
    if view.readonly:
        return ctypes.cast(c_char_p(bytes(view)), c_void_p)
    return (ctypes.c_char * len(view)).from_buffer(view) if len(view) else None


class _Statistics(ctypes.Structure):
    _fields_ = [(f"_{number}", c_uint64) for number in range(2)] + [("objects", c_uint64)] + [("_rest", c_uint64 * 13)]


class _Item(ctypes.Structure):
    _fields_ = [
        ("name_length", c_size_t),
        ("name", c_void_p),
        ("space_length", c_size_t),
        ("space", c_void_p),
        ("locator_length", c_size_t),
        ("locator", c_void_p),
    ]


class Pool:
    def __init__(self, cluster: Cluster, name: str) -> None:
        self.lib = cluster.lib
        self.cluster = cluster
        self.io = _Handle()
        self.flying: dict[int, weakref.ref[Pending]] = {}
        _checked(self.lib.rados_ioctx_create(cluster.handle, name.encode(), byref(self.io)), f"opening the pool {name}")

    def submit(self, name: str, op: Read | Write) -> Pending:
        return Pending(self, name, op)

    def objects(self) -> int:
        """How many objects the pool has, roughly."""
        found = _Statistics()
        _checked(self.lib.rados_ioctx_pool_stat(self.io, byref(found)), "asking for the pool's size")
        return int(found.objects)

    def names(self, part: int, parts: int) -> Iterable[str]:
        """The names of the objects in one of so many even parts of the pool."""
        lib, io = self.lib, self.io
        end = c_void_p(lib.rados_object_list_end(io))
        begin, cursor, finish, following = (
            c_void_p(lib.rados_object_list_begin(io)) for _ in range(4)
        )  # all are assigned to in place
        lib.rados_object_list_slice(io, begin, end, part, parts, byref(cursor), byref(finish))
        count = 512
        items = (_Item * count)()
        try:
            while not lib.rados_object_list_is_end(io, cursor) and lib.rados_object_list_cursor_cmp(io, cursor, finish) < 0:
                found = _checked(
                    lib.rados_object_list(io, cursor, finish, count, None, 0, byref(items), byref(following)), "listing the pool"
                )
                names = [ctypes.string_at(item.name, item.name_length) for item in items[:found] if not item.space_length]
                lib.rados_object_list_free(found, byref(items))
                cursor, following = following, cursor
                yield from (name.decode("utf-8", "replace") for name in names)
        finally:
            for each in (begin, end, cursor, finish, following):
                lib.rados_object_list_cursor_free(io, each)

    def close(self) -> None:
        """What is still on its way is given up: nothing may use the pool afterwards, not even a collection of garbage."""
        for reference in list(self.flying.values()):
            if (pending := reference()) is not None:
                pending.drop()
        self.lib.rados_ioctx_destroy(self.io)
