"""What the speed tests found, one line each, kept for docs/limits.md: printed, and appended to .cache/performance.txt."""

from __future__ import annotations

from tests.clouds import SOURCE

FILE = SOURCE / ".cache" / "performance.txt"


def record(what: str, ours: str, reference: str, ratio: float, wanted: str) -> None:
    line = f"{what}: {ours}, {reference}, ratio {ratio:.2f} (wanted {wanted})"
    print(line)
    FILE.parent.mkdir(exist_ok=True)
    with FILE.open("a") as out:
        out.write(line + "\n")
