"""``live``: a simulated cloud of real processes, for clients that are programs of their own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import clouds
from tests.compat.forks import Forks

AWS = Path(sys.executable).with_name("aws")


@pytest.fixture(scope="session")
def live() -> Iterator[clouds.Cloud]:
    base = Path(tempfile.mkdtemp(prefix="mallee-compat-"))
    base.chmod(0o755)  # the cloud is another user than root
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MALLEE_FEDERATION_NETWORKS", "127.0.0.0/8")  # where the tests' identity provider is
        try:
            with clouds.cloud(base / "home", "--simulated", "--boot-seconds", "0", "--no-first-instance") as up:
                yield up
        finally:
            shutil.rmtree(base, ignore_errors=True)


class Aws:
    """The AWS CLI with what `mallee env` exports, and a home of the test's own, whose ``.aws/config`` ``configure`` writes."""

    def __init__(self, up: clouds.Cloud, forks: Forks, home: Path) -> None:
        self._forks = forks
        self.home = home
        self.exported = up.environment

    def __call__(self, *words: str, **environment: str) -> Any:
        """``aws("ec2", "describe-vpcs")`` gives the answer, or raises ``Refused``. A variable given empty is not there."""
        told = self.text("--output", "json", *words, **environment)
        return json.loads(told) if told.strip() else None

    def text(self, *words: str, **environment: str) -> str:
        """What the command writes."""
        status, out, errors = self._forks.run(words, self.environment(**environment))
        if status:
            raise Refused(errors.strip())
        return out

    def script(self, *words: str) -> subprocess.CompletedProcess[str]:
        """The command as it is installed, with its start."""
        return subprocess.run(
            [str(AWS), *words], env=self.environment(), capture_output=True, text=True, timeout=120, check=False
        )

    def environment(self, **more: str) -> dict[str, str]:
        bare = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        whole = {**bare, "HOME": str(self.home), "AWS_PAGER": "", **self.exported, **more}
        return {name: value for name, value in whole.items() if value or name not in more}

    def configure(self, **profiles: dict[str, str]) -> None:
        """Writes the configuration file: profiles by name, with what they say."""
        folder = self.home / ".aws"
        folder.mkdir(exist_ok=True)
        lines = []
        for name, says in profiles.items():
            lines += [f"[profile {name}]", *(f"{key} = {value}" for key, value in says.items())]
        (folder / "config").write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="session")
def _forks() -> Iterator[Forks]:
    made = Forks()
    yield made
    made.close()


@pytest.fixture
def aws(live: clouds.Cloud, _forks: Forks, tmp_path: Path) -> Aws:
    return Aws(live, _forks, tmp_path)


class Refused(Exception):
    """What the AWS CLI says of an error."""
