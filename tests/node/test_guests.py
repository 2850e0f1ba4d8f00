"""Real guests on a real node: their whole life, as the cloud asks for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.node.cloud import Cloud

pytestmark = pytest.mark.node


def test_a_guest_lives_and_is_removed(cloud: Cloud, key: Path) -> None:
    cloud.start_node()
    guest = cloud.guest(1, user_data="#!/bin/sh\necho data of $(id -un)\n")
    cloud.want(guest)
    seen = cloud.ready(guest)
    assert (seen.revision, seen.reboots, seen.started_at is not None) == (1, 0, True)
    assert cloud.ssh(guest, key, "hostname; sudo id -u; df / | tail -1").split()[:2] == ["ip-172-31-0-11", "0"]
    assert b"data of root" in cloud.consoles[guest.id][1]
    cloud.want()
    cloud.gone()
    found = cloud.ask(ask="audit")
    assert found["domains"] == found["guests"] == found["consoles"] == found["groups"] == []
    assert {process["guest"] for process in found["processes"]} == {""}
