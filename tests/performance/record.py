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
    """Holds when the ratio is small enough, at once or in one repetition of the whole; every measurement is recorded."""
    pairs: list[Pair] = []
    while len(pairs) < 2:
        pairs.append(pair := measure())
        record(what, f"{pair.ours:.2f} s", f"{reference} {pair.reference:.2f} s", pair.ratio, f"<= {wanted}")
        if pair.ratio <= wanted:
            return
    raise AssertionError(f"{what}: {' and '.join(f'{pair.ratio:.2f}' for pair in pairs)} times {reference}, wanted at most {wanted}")
