"""``live``: a simulated cloud of real processes, for clients that are programs of their own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import clouds

AWS = Path(sys.executable).with_name("aws")


@pytest.fixture(scope="session")
def live() -> Iterator[clouds.Cloud]:
    base = Path(tempfile.mkdtemp(prefix="mallee-compat-"))
    base.chmod(0o755)  # the cloud is another user than root
    try:
        with clouds.cloud(base / "home", "--simulated", "--no-first-instance") as up:
            yield up
    finally:
        shutil.rmtree(base, ignore_errors=True)


@pytest.fixture
def aws(live: clouds.Cloud, tmp_path: Path) -> Callable[..., Any]:
    """The AWS CLI with what `mallee env` exports: ``aws("ec2", "describe-vpcs")`` gives the answer, or raises ``Refused``."""

    def run(*words: str, **environment: str) -> Any:
        bare = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        done = subprocess.run(
            [str(AWS), "--output", "json", *words],
            env={**bare, "HOME": str(tmp_path), "AWS_PAGER": "", **live.environment, **environment},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if done.returncode:
            raise Refused(done.stderr.strip())
        return json.loads(done.stdout) if done.stdout.strip() else None

    return run


class Refused(Exception):
    """What the AWS CLI says of an error."""
