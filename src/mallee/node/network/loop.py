"""One thread that answers guests: a selector, callbacks, and a tick every second. All DHCP and metadata sockets of the node live in it.

Callbacks run in the loop's thread and must not block. An exception in one is logged and costs nobody else anything.
"""

from __future__ import annotations

import logging
import selectors
import socket
import threading
import time
from collections.abc import Callable

log = logging.getLogger(__name__)

READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE


class Loop:
    def __init__(self, name: str = "mallee-guests") -> None:
        self._selector = selectors.DefaultSelector()
        self._waker, self._wake = socket.socketpair()
        self._waker.setblocking(False)
        self._wake.setblocking(False)
        self._selector.register(self._waker, READ, self._drain)
        self._calls: list[Callable[[], None]] = []
        self._lock = threading.Lock()
        self._ticks: list[Callable[[], None]] = []
        self._name = name
        self._thread: threading.Thread | None = None
        self._stopping = False

    def start(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """Ends the thread; sockets that are still registered are left to their owners."""
        thread = self._thread
        if thread is None:
            return
        self.soon(self._stop)
        thread.join(timeout=10)
        self._selector.close()
        self._waker.close()
        self._wake.close()

    def _stop(self) -> None:
        self._stopping = True

    def every_second(self, callback: Callable[[], None]) -> None:
        self._ticks.append(callback)

    def soon(self, callback: Callable[[], None]) -> None:
        """From any thread: runs the callback in the loop's."""
        with self._lock:
            self._calls.append(callback)
        try:
            self._wake.send(b"\0")
        except (BlockingIOError, OSError):
            pass  # it is awake already, or has ended

    def now(self, callback: Callable[[], None], timeout: float = 10.0) -> None:
        """From another thread: runs the callback in the loop's and waits for it; at once when no loop runs."""
        if self._thread is None or not self._thread.is_alive() or self._thread is threading.current_thread():
            callback()
            return
        done = threading.Event()

        def run() -> None:
            try:
                callback()
            finally:
                done.set()

        self.soon(run)
        done.wait(timeout)

    # in the loop's thread

    def watch(self, subject: socket.socket, events: int, callback: Callable[[], None]) -> None:
        try:
            self._selector.modify(subject, events, callback)
        except KeyError:
            self._selector.register(subject, events, callback)

    def forget(self, subject: socket.socket) -> None:
        try:
            self._selector.unregister(subject)
        except (KeyError, ValueError):
            pass

    def _drain(self) -> None:
        try:
            while self._waker.recv(4096):
                pass
        except BlockingIOError:
            pass

    def _run(self) -> None:
        tick = time.monotonic() + 1
        while not self._stopping:
            for key, _ in self._selector.select(max(0.0, tick - time.monotonic())):
                self._guarded(key.data)
            with self._lock:
                calls, self._calls = self._calls, []
            for call in calls:
                self._guarded(call)
            if time.monotonic() >= tick:
                tick = time.monotonic() + 1
                for callback in self._ticks:
                    self._guarded(callback)

    @staticmethod
    def _guarded(callback: Callable[[], None]) -> None:
        try:
            callback()
        except Exception:
            log.exception("an answer to a guest failed")
