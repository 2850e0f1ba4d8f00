"""Credentials of guests' roles: kept, renewed in time, handed out by the metadata service, and to nobody else."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from mallee.fabric.document import Credentials, Group, Guest, MetadataOptions
from mallee.fabric.transport import CredentialsMissing, FabricError, Unreachable
from mallee.node.network import credentials, imds, metadata
from mallee.node.network.credentials import RoleCredentials
from tests.node.network.lab import OPEN, Box, Lab, guest_of, identifier, network, port
from tests.node.network.test_answers import CONFIG, places_of, walk

ALL = identifier("sg", 1)
PROFILE: dict[str, Any] = {
    "profile_arn": "arn:aws:iam::123456789012:instance-profile/web",
    "profile_id": "AIPA0000000000000001",
    "profile_since": "2026-01-01T00:00:00.000Z",
    "role": "web-role",
}
GUEST = guest_of(identifier("i", 1, 10), (identifier("eni", 1, 10),), **PROFILE)
HOURS = 3600.0


def moment(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"


class Cloud:
    """Issues numbered credentials for six hours, or does what ``trouble`` says."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self.now = now
        self.asked: list[tuple[str, str]] = []
        self.trouble: FabricError | None = None
        self.code = "Success"
        self.gate: threading.Event | None = None

    def __call__(self, guest_id: str, delivery: str) -> Credentials:
        self.asked.append((guest_id, delivery))
        if self.gate is not None:
            self.gate.wait(5)
        if self.trouble is not None:
            raise self.trouble
        if self.code != "Success":
            return Credentials(self.code, "web-role", moment(self.now), "EC2 cannot assume the role web-role.")
        number = len(self.asked)
        ends = moment(self.now + 6 * HOURS)
        return Credentials(
            "Success", "web-role", moment(self.now), "", f"ASIA{number}", f"secret{number}", f"token{number}", ends
        )


@pytest.fixture
def cloud() -> Cloud:
    return Cloud()


@pytest.fixture
def held(cloud: Cloud) -> Any:
    made = RoleCredentials(cloud, now=lambda: cloud.now)
    yield made
    made.stop()


def ask(held: RoleCredentials, guest: Guest = GUEST, delivery: str = "2.0") -> Credentials | None:
    found: list[Credentials | None] = []
    there = threading.Event()

    def done(given: Credentials | None) -> None:
        found.append(given)
        there.set()

    held.ask(guest, delivery, done)
    assert there.wait(5)
    return found[0]


def key(held: RoleCredentials, **changes: Any) -> str | None:
    found = ask(held, **changes)
    return found.access_key_id if found else None


def eventually(check: Any) -> None:
    limit = time.monotonic() + 5
    while not check():
        assert time.monotonic() < limit
        time.sleep(0.005)


def test_a_set_is_asked_for_once_and_handed_out_again(held: RoleCredentials, cloud: Cloud) -> None:
    assert [key(held) for _ in range(5)] == ["ASIA1"] * 5
    assert cloud.asked == [(GUEST.id, "2.0")]
    assert key(held, delivery="1.0") == "ASIA2"  # each version of the service has its own


def test_it_is_renewed_while_the_old_one_is_handed_out(held: RoleCredentials, cloud: Cloud) -> None:
    key(held)
    cloud.now += credentials.RENEWED_AFTER + 1
    assert key(held) == "ASIA1"
    eventually(lambda: key(held) == "ASIA2")
    assert len(cloud.asked) == 2


def test_what_guests_ask_for_is_renewed_before_they_ask_again(held: RoleCredentials, cloud: Cloud) -> None:
    key(held)
    for _ in range(3):
        cloud.now += credentials.RENEWED_AFTER + 1
        held.tick()
    eventually(lambda: len(cloud.asked) == 2)  # and not a third time: nobody has asked since
    time.sleep(0.05)
    assert len(cloud.asked) == 2


def test_it_goes_on_while_the_cloud_is_away_until_it_ends(held: RoleCredentials, cloud: Cloud) -> None:
    key(held)
    cloud.trouble = Unreachable("away")
    cloud.now += 6 * HOURS - 60
    assert key(held) == "ASIA1"
    cloud.now += 120
    assert ask(held) is None
    cloud.trouble = None
    cloud.now += credentials.PAUSE
    assert key(held) == "ASIA4"


def test_one_that_is_about_to_end_is_not_handed_out(held: RoleCredentials, cloud: Cloud) -> None:
    key(held)
    cloud.now += 6 * HOURS - credentials.SPARE + 1
    assert key(held) == "ASIA2"


def test_a_refusal_is_repeated_for_a_moment_only(held: RoleCredentials, cloud: Cloud) -> None:
    cloud.code = "AssumeRoleUnauthorizedAccess"
    assert [getattr(ask(held), "code", None) for _ in range(3)] == ["AssumeRoleUnauthorizedAccess"] * 3
    assert len(cloud.asked) == 1
    cloud.code = "Success"
    cloud.now += credentials.KEPT_REFUSAL + 1
    assert key(held) == "ASIA2"


def test_another_profile_or_role_has_other_credentials(held: RoleCredentials, cloud: Cloud) -> None:
    key(held)
    other = replace(GUEST, metadata=replace(GUEST.metadata, role="other"))
    assert key(held, guest=other) == "ASIA2"
    held.keep({GUEST.id: GUEST})
    assert key(held) == "ASIA3"
    cloud.trouble = CredentialsMissing("none")
    held.keep({})
    assert ask(held) is None


def test_a_guest_that_asks_all_the_time_does_not_make_the_node_do_so(held: RoleCredentials, cloud: Cloud) -> None:
    for trouble in (CredentialsMissing("none"), Unreachable("away")):
        cloud.trouble, before = trouble, len(cloud.asked)
        cloud.now += credentials.PAUSE + 0.1
        assert [ask(held) for _ in range(50)] == [None] * 50
        assert len(cloud.asked) == before + 1


def test_many_who_wait_wait_for_one_answer(held: RoleCredentials, cloud: Cloud) -> None:
    cloud.gate = threading.Event()
    found: list[Credentials | None] = []
    for _ in range(20):
        held.ask(GUEST, "2.0", found.append)
    cloud.gate.set()
    eventually(lambda: len(found) == 20)
    assert len(cloud.asked) == 1


def test_nothing_of_a_secret_is_shown_by_accident(held: RoleCredentials) -> None:
    found = ask(held)
    assert "secret1" not in repr(found) and "token1" not in repr(found) and "secret1" not in repr(held._sets)


def test_the_tree_has_the_profile_and_the_name_of_its_role() -> None:
    places, guest = places_of(port(1, "10.0.0.10", ALL), **PROFILE)
    base = ["latest", "meta-data", "iam"]
    assert metadata.find(base, places, guest, CONFIG) == b"info\nsecurity-credentials/"
    assert metadata.find([*base, "security-credentials"], places, guest, CONFIG) == b"web-role"
    told = json.loads(metadata.find([*base, "info"], places, guest, CONFIG) or b"")
    assert told == {
        "Code": "Success",
        "LastUpdated": "2026-01-01T00:00:00Z",
        "InstanceProfileArn": PROFILE["profile_arn"],
        "InstanceProfileId": PROFILE["profile_id"],
    }
    assert metadata.find(["2009-04-04", "meta-data", "iam"], places, guest, CONFIG) is None
    places, guest = places_of(port(1, "10.0.0.10", ALL), **PROFILE | {"role": None, "profile_gone": True})
    assert json.loads(metadata.find([*base, "info"], places, guest, CONFIG) or b"")["Code"] == "InstanceProfileNotFound"
    assert metadata.find([*base, "security-credentials"], places, guest, CONFIG) is None
    places, guest = places_of(port(1, "10.0.0.10", ALL))
    assert metadata.find(base, places, guest, CONFIG) is None


def test_groups_of_every_interface_have_their_names() -> None:
    first, second = port(1, "10.0.0.10", ALL), replace(port(2, "10.0.0.20", ALL), device_index=1)
    second = replace(second, guest_id=first.guest_id)
    places, guest = places_of(first, second)
    named = tuple(replace(each, network=replace(each.network, groups=(Group(ALL, name="web"),))) for each in places)
    leaves = walk(["latest", "meta-data", "network"], named, guest)
    assert {value for path, value in leaves.items() if path.endswith("/security-groups")} == {"web"}


# ------------------------------------------------------------------------------------------------------- by real packets


@pytest.fixture
def served(stack: contextlib.ExitStack, host: Box, tmp_path: Any) -> Any:
    cloud = Cloud(time.time())
    lab = Lab.make(stack, tmp_path, host.namespace, credentials=cloud)  # type: ignore[arg-type]
    a, b = port(10, "10.0.0.10", ALL), port(11, "10.0.0.11", ALL)
    net = network((a, b), (Group(ALL, (OPEN,), (OPEN,)),))
    lab.apply(net, guests=(guest_of(a.guest_id, (a.id,), **PROFILE), guest_of(b.guest_id, (b.id,))))
    return lab, cloud, net, lab.plug(a), lab.plug(b)


PLACE = "/latest/meta-data/iam/security-credentials/"


@pytest.mark.node
def test_a_guest_gets_the_credentials_of_its_role(served: Any) -> None:
    lab, cloud, net, one, two = served
    assert one.get(PLACE) == "web-role"
    told = json.loads(one.get(f"{PLACE}web-role"))
    assert list(told) == ["Code", "LastUpdated", "Type", "AccessKeyId", "SecretAccessKey", "Token", "Expiration"]
    assert (told["Code"], told["Type"], told["AccessKeyId"]) == ("Success", "AWS-HMAC", "ASIA1")
    token = one.http("PUT", "/latest/api/token", X_aws_ec2_metadata_token_ttl_seconds="60")[1].decode()
    assert json.loads(one.get(f"{PLACE}web-role", X_aws_ec2_metadata_token=token))["AccessKeyId"] == "ASIA2"
    guest = net.ports[0].guest_id
    assert cloud.asked == [(guest, "1.0"), (guest, "2.0")]
    assert one.http("GET", f"{PLACE}other")[0] == 404
    assert two.http("GET", PLACE)[0] == 404 and two.http("GET", f"{PLACE}web-role")[0] == 404
    assert one.http("HEAD", f"{PLACE}web-role")[:2] == (200, b"")
    facts = lab.networks.inspect(guest)["credentials"]
    assert [(each["role"], each["delivery"], each["code"]) for each in facts] == [
        ("web-role", "1.0", "Success"),
        ("web-role", "2.0", "Success"),
    ]
    assert "secret" not in repr(facts) and "token" not in repr(facts)


@pytest.mark.node
def test_options_hold_for_credentials_too(served: Any) -> None:
    lab, _, net, one, _ = served
    a = net.ports[0]
    guests = (guest_of(a.guest_id, (a.id,), **PROFILE, options=MetadataOptions(tokens_required=True)),)
    lab.apply(net, guests=guests)
    assert one.http("GET", f"{PLACE}web-role")[0] == 401
    lab.apply(net, guests=(guest_of(a.guest_id, (a.id,), **PROFILE, options=MetadataOptions(endpoint=False)),))
    assert one.http("GET", f"{PLACE}web-role")[0] == 403


@pytest.mark.node
def test_without_the_cloud_the_answer_is_that_there_is_none_now(served: Any) -> None:
    _, cloud, _, one, two = served
    cloud.trouble = Unreachable("away")
    assert one.http("GET", f"{PLACE}web-role")[0] == 503
    cloud.trouble = None
    time.sleep(credentials.PAUSE)
    assert json.loads(one.get(f"{PLACE}web-role"))["Code"] == "Success"
    cloud.gate = threading.Event()  # a cloud that does not answer costs nobody else anything
    waiting = one.socket()
    waiting.connect(("169.254.169.254", 80))
    waiting.sendall(f"PUT /latest/api/token HTTP/1.1\r\n{imds.TOKEN_TTL}: 60\r\n\r\n".encode())
    token = waiting.recv(4096).rpartition(b"\r\n\r\n")[2].decode()
    slow = one.socket()
    slow.connect(("169.254.169.254", 80))
    slow.sendall(f"GET {PLACE}web-role HTTP/1.1\r\n{imds.TOKEN}: {token}\r\n\r\n".encode())
    began = time.monotonic()
    assert two.get("/latest/meta-data/instance-id") and one.get("/latest/meta-data/instance-id")
    assert time.monotonic() - began < 1
    cloud.gate.set()
    slow.settimeout(5)
    assert b"ASIA" in slow.recv(4096)
