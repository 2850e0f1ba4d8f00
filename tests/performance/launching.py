"""Launches in a real cloud, timed from the call until the guests' own consoles say that they are ready."""

from __future__ import annotations

import re
import time
from pathlib import Path

from tests.clouds import Cloud

from .bare import ready
from .load import Connection, Target

TYPE, MEMORY_MIB = "t2.nano", 512


class Launcher:
    def __init__(self, up: Cloud) -> None:
        values = up.environment
        self.home = up.home
        self.target = Target(
            up.endpoint, values["AWS_ACCESS_KEY_ID"], values["AWS_SECRET_ACCESS_KEY"], values["AWS_DEFAULT_REGION"]
        )
        self.connection = Connection(self.target)
        self.image = self._ids("ami", Action="DescribeImages", **{"Owner.1": "self"})[0]

    def _ids(self, prefix: str, **parameters: str) -> list[str]:
        status, body = self.connection.send(self.target.request(**parameters))
        assert status == 200, body[:500]
        return list(dict.fromkeys(each.decode() for each in re.findall(rf">({prefix}-[0-9a-f]{{17}})<".encode(), body)))

    def console(self, instance_id: str) -> Path:
        return self.home / "node/consoles" / instance_id

    def launch(self, count: int = 1) -> float:
        """Seconds from the call until the last of ``count`` instances is ready; they are terminated afterwards."""
        request = self.target.request(
            Action="RunInstances", ImageId=self.image, InstanceType=TYPE, MinCount=str(count), MaxCount=str(count), KeyName="mallee"
        )
        started = time.perf_counter()
        status, body = self.connection.send(request)
        assert status == 200, body[:500]
        ids = [each.decode() for each in re.findall(rb"<instanceId>(i-[0-9a-f]+)</instanceId>", body)]
        assert len(ids) == count
        try:
            return ready([self.console(instance) for instance in ids], started)
        finally:
            self.terminate(ids)

    def terminate(self, ids: list[str]) -> None:
        """Without their shutting down in order, and back when nothing of them is left on the node."""
        named = {f"InstanceId.{number}": instance for number, instance in enumerate(ids, 1)}
        assert self._ids("i", Action="TerminateInstances", **named) == ids
        until = time.monotonic() + 240
        while any((self.home / "node/guests" / instance).exists() for instance in ids):
            assert time.monotonic() < until, "not removed"
            time.sleep(0.05)
