"""The AWS CLI without its start: a process that has the CLI's modules loaded forks for each command and calls the CLI's own
``main`` there, as its script does. Most of a command's time is otherwise Python reading the same modules again.

    python -m tests.compat.forks     # reads a command as a line of JSON, writes its status as a line, again and again
"""

from __future__ import annotations

import importlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).resolve().parents[2]


class Forks:
    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.compat.forks"], cwd=SOURCE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(self, words: tuple[str, ...], environment: dict[str, str], timeout: float = 120) -> tuple[int, str, str]:
        """Status, output and errors of ``aws WORDS``."""
        assert self._process.stdin is not None and self._process.stdout is not None
        with tempfile.TemporaryDirectory() as folder:
            out, errors = Path(folder, "out"), Path(folder, "errors")
            command = {"words": words, "environment": environment, "out": str(out), "errors": str(errors)}
            self._process.stdin.write(json.dumps(command) + "\n")
            self._process.stdin.flush()
            ready, _, _ = select.select([self._process.stdout], [], [], timeout)
            assert ready, f"aws {' '.join(words)} has not ended"
            return int(self._process.stdout.readline()), out.read_text(), errors.read_text()

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


def _command(command: dict[str, Any]) -> int:
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    status = 255
    try:
        signal.alarm(120)
        for name, to in ((os.devnull, 0), (command["out"], 1), (command["errors"], 2)):
            os.dup2(os.open(name, os.O_RDONLY if to == 0 else os.O_WRONLY | os.O_CREAT, 0o600), to)
        os.environ.clear()
        os.environ.update(command["environment"])
        sys.argv = ["aws", *command["words"]]
        importlib.reload(sys.modules["awscli"])  # which finds its data by the environment
        status = sys.modules["awscli.clidriver"].main()
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:
        os.write(2, traceback.format_exc().encode())
    finally:
        os._exit(status)


def _serve() -> None:
    for name in ("awscli.clidriver", "awscli.handlers", "awscli.botocore.httpsession", "awscli.botocore.parsers"):
        importlib.import_module(name)  # here, once, for all that are forked
    for line in sys.stdin:
        print(_command(json.loads(line)), flush=True)


if __name__ == "__main__":
    _serve()
