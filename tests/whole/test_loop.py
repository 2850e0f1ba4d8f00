"""The ten steps of a user's day, a few times and several at once; `./mallee prove loop --count 100 --parallel 8` is the long one."""

from __future__ import annotations

import pytest

from tests.clouds import Cloud

pytestmark = pytest.mark.node


def test_the_ten_step_loop_never_fails(real: Cloud) -> None:
    done = real.command("prove", "loop", "--count", "4", "--parallel", "4", check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 passed, 0 failed" in done.stdout
    assert real.command("audit").returncode == 0
