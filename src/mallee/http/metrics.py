"""Counts for Prometheus, kept and written by hand: a handful of numbers per operation, no registry and no locks.

Only the event loop's thread counts requests; what others know (jobs, faults) is asked for when somebody looks. A
request's series are found by one dictionary look-up.
"""

from __future__ import annotations

import bisect
import os
import time
from collections.abc import Callable, Iterable

BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
MOST_SERIES = 5000  # operations × codes there can be; what a hostile client invents is not counted by name

Sample = tuple[str, dict[str, str], float]
"""Name, labels, value of a gauge that is asked for."""


class _Operation:
    __slots__ = ("buckets", "codes", "seconds")

    def __init__(self) -> None:
        self.codes: dict[tuple[int, str], int] = {}
        self.seconds = 0.0
        self.buckets = [0] * (len(BOUNDS) + 1)


class Metrics:
    def __init__(self) -> None:
        self._operations: dict[tuple[str, str], _Operation] = {}
        self._series = 0
        self.in_flight = 0
        self.gauges: list[Callable[[], Iterable[Sample]]] = []
        self._began = time.time()

    def count(self, service: str, operation: str, status: int, code: str, seconds: float) -> None:
        key = (service, operation)
        found = self._operations.get(key)
        if found is None:
            found = self._operations[key] = _Operation()
        outcome = (status, code)
        if outcome not in found.codes:
            self._series += 1
            if self._series > MOST_SERIES:
                outcome = (status, "")
            found.codes.setdefault(outcome, 0)
        found.codes[outcome] += 1
        found.seconds += seconds
        found.buckets[bisect.bisect_left(BOUNDS, seconds)] += 1

    def text(self) -> str:
        """The exposition format, version 0.0.4."""
        lines: list[str] = []
        _head(lines, "mallee_requests_total", "counter", "API requests by service, operation, status and error code.")
        for (service, operation), found in sorted(self._operations.items()):
            for (status, code), count in sorted(found.codes.items()):
                labels = {"service": service, "operation": operation, "status": str(status), "code": code}
                lines.append(_line("mallee_requests_total", labels, count))
        _head(lines, "mallee_request_seconds", "histogram", "Time from the request's head to its answer.")
        for (service, operation), found in sorted(self._operations.items()):
            self._histogram(lines, {"service": service, "operation": operation}, found)
        _head(lines, "mallee_requests_in_flight", "gauge", "API requests being answered.")
        lines.append(_line("mallee_requests_in_flight", {}, self.in_flight))
        self._asked(lines)
        _head(lines, "process_start_time_seconds", "gauge", "When this process began, since the epoch.")
        lines.append(_line("process_start_time_seconds", {}, self._began))
        times = os.times()
        _head(lines, "process_cpu_seconds_total", "counter", "Processor time of this process.")
        lines.append(_line("process_cpu_seconds_total", {}, times.user + times.system))
        return "\n".join(lines) + "\n"

    @staticmethod
    def _histogram(lines: list[str], labels: dict[str, str], found: _Operation) -> None:
        total = 0
        for bound, count in zip(BOUNDS, found.buckets, strict=False):
            total += count
            lines.append(_line("mallee_request_seconds_bucket", labels | {"le": f"{bound:g}"}, total))
        total += found.buckets[-1]
        lines.append(_line("mallee_request_seconds_bucket", labels | {"le": "+Inf"}, total))
        lines.append(_line("mallee_request_seconds_sum", labels, found.seconds))
        lines.append(_line("mallee_request_seconds_count", labels, total))

    def _asked(self, lines: list[str]) -> None:
        samples = [sample for ask in self.gauges for sample in ask()]
        named: dict[str, list[Sample]] = {}
        for sample in samples:
            named.setdefault(sample[0], []).append(sample)
        for name, group in named.items():
            kind = "counter" if name.endswith("_total") else "gauge"
            _head(lines, name, kind, HELP.get(name, name.replace("_", " ").capitalize() + "."))
            lines.extend(_line(name, labels, value) for _, labels, value in group)


HELP = {
    "mallee_jobs": "Unfinished jobs by machine and step.",
    "mallee_faults_open": "Faults that are open, by code.",
    "mallee_connections": "Open connections by listener.",
    "mallee_nodes": "Nodes that have joined.",
    "mallee_objects": "Objects: latest versions, older ones with delete markers, uploads under way.",
    "mallee_objects_bytes": "Bytes of objects, as clients know them.",
    "mallee_objects_dead_bytes": "Bytes that compaction can give back.",
    "mallee_objects_disk_bytes": "Size of each disk of the object store.",
    "mallee_objects_disk_free_bytes": "What is free on each disk of the object store.",
    "mallee_objects_disk_up": "Whether the disk works.",
    "mallee_objects_faults": "What an operator has to do something about.",
    "mallee_objects_garbage": "Contents that nobody refers to any more and that are still to be discarded.",
    "mallee_objects_owed": "Contents and packs that have fewer copies than they should.",
    "mallee_objects_packs": "Files with small contents.",
    "mallee_objects_scrub_began_seconds": "When the pass of the scrub began, since the epoch.",
    "mallee_objects_scrub_damaged": "Contents that the pass found without a whole copy.",
    "mallee_objects_scrub_verified_bytes": "Bytes that the pass has verified.",
    "mallee_objects_up": "Whether index and engine answer.",
    "mallee_internal_errors_total": "Answers that were Mallee's own fault.",
    "mallee_log_lines_lost": "Log lines that could not be written.",
}


def _head(lines: list[str], name: str, kind: str, text: str) -> None:
    lines.append(f"# HELP {name} {text}")
    lines.append(f"# TYPE {name} {kind}")


def _line(name: str, labels: dict[str, str], value: float) -> str:
    shown = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
    number = str(value) if isinstance(value, int) else repr(float(value))
    return f"{name}{{{shown}}} {number}" if shown else f"{name} {number}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
