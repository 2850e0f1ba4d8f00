"""What the speed tests found, one line each, kept for docs/limits.md: printed, and appended to .cache/performance.txt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.clouds import SOURCE

FILE = SOURCE / ".cache" / "performance.txt"


def record(what: str, ours: str, reference: str, ratio: float, wanted: str) -> None:
    _write(f"{what}: {ours}, {reference}, ratio {ratio:.2f} (wanted {wanted})")


def record_value(what: str, value: str, wanted: str) -> None:
    _write(f"{what}: {value} (wanted {wanted})")


def _write(line: str) -> None:
    print(line)
    FILE.parent.mkdir(exist_ok=True)
    with FILE.open("a") as out:
        out.write(line + "\n")


@dataclass(frozen=True, slots=True)
class Pair:
    """What was measured of ours and of the reference, in seconds."""

    ours: float
    reference: float

    @property
    def ratio(self) -> float:
        return self.ours / self.reference


def at_most(what: str, reference: str, wanted: float, measure: Callable[[], Pair]) -> None:
    """Holds when the ratio of times is small enough, at once or in one repetition of the whole; every measurement is recorded."""
    found: list[float] = []
    while len(found) < 2:
        pair = measure()
        record(what, _seconds(pair.ours), f"{reference} {_seconds(pair.reference)}", pair.ratio, f"<= {wanted}")
        if pair.ratio <= wanted:
            return
        found.append(pair.ratio)
    raise AssertionError(f"{what}: {found[0]:.2f} and {found[1]:.2f} times {reference}, wanted at most {wanted}")


def at_least(what: str, reference: str, wanted: float, measure: Callable[[], tuple[float, float]]) -> None:
    """The same for rates, ours and the reference's, whose ratio shall be large enough."""
    found: list[float] = []
    while len(found) < 2:
        ours, other = measure()
        found.append(ours / other)
        record(what, f"{ours:.4g}/s", f"{reference} {other:.3g}/s", found[-1], f">= {wanted}")
        if found[-1] >= wanted:
            return
    raise AssertionError(f"{what}: {found[0]:.2f} and {found[1]:.2f} times {reference}, wanted at least {wanted}")


def _seconds(value: float) -> str:
    if value < 0.001:
        return f"{value * 1e6:.1f} µs"
    return f"{value:.2f} s" if value >= 0.1 else f"{value * 1e3:.1f} ms"
