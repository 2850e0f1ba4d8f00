"""Two test sessions at a time were given the same ports: each looked, found them free, and bound them only later."""

from __future__ import annotations

import itertools
import subprocess
import sys

from tests.clouds import SOURCE, free_ports

ANOTHER = "import sys; from tests.clouds import free_ports; print(free_ports(), flush=True); sys.stdin.read()"


def test_no_two_processes_get_the_same_ports() -> None:
    mine = [free_ports(4), free_ports()]
    others = [
        subprocess.Popen([sys.executable, "-c", ANOTHER], cwd=SOURCE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    try:
        theirs = [int(each.stdout.readline()) for each in others if each.stdout]
    finally:
        for each in others:
            each.communicate("")
    firsts = sorted(mine + theirs)
    assert len(firsts) == 6 and all(after - before >= 3 for before, after in itertools.pairwise(firsts))
