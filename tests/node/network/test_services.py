"""What guests are served, asked for by guests: addresses, metadata, names."""

from __future__ import annotations

import base64
import contextlib
import json
import secrets
import socket
import time
from dataclasses import replace

import pytest

from mallee.fabric.document import Group, MetadataOptions
from tests.node.network.lab import OPEN, guest_of, identifier, network, port

pytestmark = pytest.mark.node

ALL = identifier("sg", 1)
GROUPS = (Group(ALL, (OPEN,), (OPEN,)),)
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEzV me@here"
TTL = {"X-aws-ec2-metadata-token-ttl-seconds": "60"}


@pytest.fixture
def pair(lab):
    a = port(10, "10.0.0.10", ALL, public="198.51.100.10")
    b = port(11, "10.0.0.11", ALL)
    lab.net = network((a, b), GROUPS)
    apply(lab)
    return lab.plug(a), lab.plug(b)


def apply(lab, **first):
    a, b = lab.net.ports
    data = base64.b64encode(b"#!/bin/sh\n\x00\xff").decode()
    first = {"public_key": KEY, "key_name": "me", "user_data": data, "tags": {"Name": "web"}} | first
    lab.apply(lab.net, guests=(guest_of(a.guest_id, (a.id,), **first), guest_of(b.guest_id, (b.id,))))


def token(box, seconds="60"):
    status, body, headers = box.http("PUT", "/latest/api/token", X_aws_ec2_metadata_token_ttl_seconds=seconds)
    assert status == 200 and headers["x-aws-ec2-metadata-token-ttl-seconds"] == seconds
    return body.decode()


def test_each_guest_gets_its_own_metadata(pair, lab):
    one, two = pair
    a, b = lab.net.ports
    assert one.get("/latest/meta-data/instance-id") == a.guest_id
    assert two.get("/latest/meta-data/instance-id") == b.guest_id
    assert one.get("/2009-04-04/meta-data/local-ipv4") == "10.0.0.10"
    assert one.get("/latest/meta-data/public-ipv4") == "198.51.100.10"
    assert two.http("GET", "/latest/meta-data/public-ipv4")[0] == 404
    assert one.get("/latest/meta-data/public-keys/") == "0=me"
    assert one.get("/latest/meta-data/public-keys/0/openssh-key") == KEY + "\n"
    status, body, headers = one.http("GET", "/latest/user-data")
    assert (status, body, headers["content-type"]) == (200, b"#!/bin/sh\n\x00\xff", "application/octet-stream")
    assert two.http("GET", "/latest/user-data")[0] == 404
    assert json.loads(one.get("/latest/dynamic/instance-identity/document"))["instanceId"] == a.guest_id
    assert one.http("GET", "/latest/dynamic/instance-identity/pkcs7")[0] == 404
    macs = f"/latest/meta-data/network/interfaces/macs/{a.mac}"
    assert one.get(f"{macs}/subnet-ipv4-cidr-block") == "10.0.0.0/24"


def test_version_two_tokens_are_for_one_instance_and_one_time(pair, lab):
    one, two = pair
    mine = token(one)
    path = "/latest/meta-data/instance-id"
    assert one.http("GET", path, X_aws_ec2_metadata_token=mine)[0] == 200
    assert two.http("GET", path, X_aws_ec2_metadata_token=mine)[0] == 401
    assert one.http("GET", path, X_aws_ec2_metadata_token="nonsense")[0] == 401
    brief = token(one, "1")
    time.sleep(1.1)
    assert one.http("GET", path, X_aws_ec2_metadata_token=brief)[0] == 401
    assert one.http("PUT", "/latest/api/token")[0] == 400
    for seconds in ("0", "21601", "-1", "x", "1e3"):
        assert one.http("PUT", "/latest/api/token", X_aws_ec2_metadata_token_ttl_seconds=seconds)[0] == 400
    assert one.http("PUT", "/latest/api/token", X_aws_ec2_metadata_token_ttl_seconds="60", X_Forwarded_For="10.9.9.9")[0] == 403


def test_options_of_the_instance_decide(pair, lab):
    one, two = pair
    path = "/latest/meta-data/instance-id"
    assert one.http("GET", "/latest/meta-data/tags/instance/Name")[0] == 404
    apply(lab, options=MetadataOptions(tokens_required=True, tags=True))
    assert one.http("GET", path)[0] == 401
    assert one.http("GET", path, X_aws_ec2_metadata_token=token(one))[0] == 200
    assert two.http("GET", path)[0] == 200
    assert one.http("GET", "/latest/meta-data/tags/instance/Name", X_aws_ec2_metadata_token=token(one))[1] == b"web"
    apply(lab, options=MetadataOptions(endpoint=False))
    assert one.http("GET", path)[0] == 403
    assert one.http("PUT", "/latest/api/token", X_aws_ec2_metadata_token_ttl_seconds="60")[0] == 403


def test_the_token_travels_no_farther_than_the_hop_limit(pair, lab):
    one, _ = pair
    apply(lab, options=MetadataOptions(hop_limit=3))
    raw = one.socket(socket.SOCK_RAW, protocol=socket.IPPROTO_TCP)
    token(one)
    lives = set()
    with contextlib.suppress(OSError):
        raw.settimeout(0.3)
        while True:
            packet = raw.recv(2000)
            if b"HTTP/1.1 200" in packet:
                lives.add(packet[8])
    assert lives == {3}


def test_metadata_is_for_ports_only(pair, lab, host):
    one, _ = pair
    host.ip("route", "add", "169.254.169.254/32", "via", "198.51.100.10", "dev", f"mle-{lab.tag}", "onlink")
    with pytest.raises(OSError):
        host.http("GET", "/latest/meta-data/")
    assert not one.tcp("169.254.169.254", 22, timeout=0.2)


def test_hostile_requests_cost_nobody_else_anything(pair, lab):
    one, two = pair
    for data, status in (
        (b"\r\n\r\n", 400),
        (b"GET\r\n\r\n", 400),
        (b"GET / SPDY/3\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\n\r\n", 505),
        (b"GET nonsense HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nbroken\r\n\r\n", 400),
        (b"DELETE /latest/meta-data/ HTTP/1.1\r\n\r\n", 405),
        (b"GET /../../etc/passwd HTTP/1.1\r\n\r\n", 404),
        (b"GET /latest/meta-data/%00%ff HTTP/1.1\r\n\r\n", 404),
        (b"GET /" + b"a" * 20000, 431),
        (secrets.token_bytes(100) + b"\r\n\r\n", 400),
    ):
        assert one.raw_http(data)[0] == status, data[:40]
    idle = [one.socket() for _ in range(60)]
    for connection in idle:
        connection.connect(("169.254.169.254", 80))
        connection.send(b"GET /lat")
    time.sleep(0.2)
    assert two.get("/latest/meta-data/ami-id") == "ami-0123456789abcdef0"
    with pytest.raises((OSError, ValueError, IndexError)):
        one.get("/latest/meta-data/ami-id")
    for connection in idle:
        connection.close()
    time.sleep(0.2)
    assert one.get("/latest/meta-data/ami-id") == "ami-0123456789abcdef0"


def test_an_idle_connection_is_closed(pair, lab, monkeypatch):
    one, _ = pair
    monkeypatch.setattr("mallee.node.network.imds.LONGEST_REQUEST", 0.5)
    connection = one.socket()
    connection.settimeout(5)
    connection.connect(("169.254.169.254", 80))
    assert connection.recv(10) == b""


def test_udhcpc_gets_the_address_and_all_that_goes_with_it(lab, tmp_path):
    a = port(10, "10.0.0.10", ALL)
    lab.apply(network((a,), GROUPS))
    guest = lab.plug(a, address=False)
    script = tmp_path / "script"
    script.write_text(f"#!/bin/sh\nenv > {tmp_path}/env-$1\n")
    script.chmod(0o755)
    wanted = ["-O", "staticroutes", "-O", "mtu", "-O", "hostname", "-O", "domain"]
    guest.run("busybox", "udhcpc", "-i", "eth0", "-n", "-q", "-f", "-t", "3", "-T", "1", *wanted, "-s", str(script))
    got = dict(line.split("=", 1) for line in (tmp_path / "env-bound").read_text().splitlines())
    assert (got["ip"], got["subnet"], got["router"], got["dns"]) == ("10.0.0.10", "255.255.255.0", "10.0.0.1", "10.0.0.2")
    assert (got["hostname"], got["domain"], got["mtu"]) == ("ip-10-0-0-10", "local-1.compute.internal", "1500")
    assert (got["serverid"], got["lease"]) == ("10.0.0.1", "3600")
    to = ["169.254.169.254/32", "169.254.169.252/32", "0.0.0.0/0"]
    assert got["staticroutes"].split() == [word for each in to for word in (each, "10.0.0.1")]
    facts = lab.networks.inspect(a.guest_id)["ports"][0]["dhcp"]
    assert facts["last"]["answered"] == "ack" and facts["last"]["ip"] == "10.0.0.10"


def test_a_request_for_another_address_is_refused_and_a_foreign_mac_ignored(lab, tmp_path):
    a = port(10, "10.0.0.10", ALL)
    lab.apply(network((a,), GROUPS))
    guest = lab.plug(a, address=False)
    script = tmp_path / "script"
    script.write_text(f"#!/bin/sh\nenv > {tmp_path}/env-$1\n")
    script.chmod(0o755)
    guest.run("busybox", "udhcpc", "-i", "eth0", "-n", "-q", "-f", "-t", "3", "-T", "1", "-r", "10.0.0.99", "-s", str(script))
    assert "ip=10.0.0.10" in (tmp_path / "env-bound").read_text()
    guest.ip("link", "set", "eth0", "address", "02:66:66:66:66:66")
    with pytest.raises(Exception, match="no lease"):
        guest.run("busybox", "udhcpc", "-i", "eth0", "-n", "-q", "-f", "-t", "2", "-T", "1", "-s", str(script))


def eventually(expected, ask):
    deadline = time.monotonic() + 3
    while time.monotonic() < deadline:
        got = ask()
        if got == expected:
            return
        time.sleep(0.02)
    assert got == expected


def test_names_of_the_vpc_resolve_as_they_come_and_go(pair, lab):
    one, _ = pair
    a, b = lab.net.ports
    for server in ("10.0.0.2", "169.254.169.253"):
        assert one.resolve(b.private_hostname, server) == ["10.0.0.11"]
    assert one.resolve(a.public_hostname, "10.0.0.2") == ["10.0.0.10"], "inside, a public name means the private address"
    assert one.resolve("11.0.0.10.in-addr.arpa", "10.0.0.2", kind=12) == [b.private_hostname]
    assert one.resolve("ip-10-0-0-99.local-1.compute.internal", "10.0.0.2") == 3
    assert one.resolve("www.example.net", "10.0.0.2") == 5, "nobody is asked where there is no way out"
    elsewhere = "ip-10-0-0-77.local-1.compute.internal"
    lab.apply(replace(lab.net, hosts=lab.net.hosts | {elsewhere: "10.0.0.77"}))
    eventually(["10.0.0.77"], lambda: one.resolve(elsewhere, "10.0.0.2"))
    lab.apply(lab.net)
    eventually(3, lambda: one.resolve(elsewhere, "10.0.0.2"))
    assert one.resolve(b.private_hostname, "10.0.0.2") == ["10.0.0.11"]


def test_names_that_are_no_names_stay_out(pair, lab):
    one, _ = pair
    lab.apply(replace(lab.net, hosts=lab.net.hosts | {"evil\n10.0.0.66 ip-10-0-0-11": "10.0.0.66", "a b": "10.0.0.67"}))
    time.sleep(0.3)
    assert one.resolve("ip-10-0-0-11.local-1.compute.internal", "10.0.0.2") == ["10.0.0.11"]
    assert one.resolve("66.0.0.10.in-addr.arpa", "10.0.0.2", kind=12) == 3


def test_doctor_sees_what_was_asked(pair, lab):
    one, _ = pair
    a, _ = lab.net.ports
    one.get("/latest/meta-data/instance-id")
    facts = lab.networks.inspect(a.guest_id)
    assert facts["metadata"]["count"] == 1
    assert facts["metadata"]["last"]["path"] == "/latest/meta-data/instance-id"
    assert facts["metadata"]["last"]["status"] == 200
    found = facts["ports"][0]
    assert found["tap"]["present"] and found["tap"]["carrier"] and found["tap"]["guest_sent"]["packets"] > 0
    assert found["route"] and found["neighbour"] == {"mac": a.mac, "permanent": True}
    assert found["public"] == {
        "address": "198.51.100.10",
        "host_routes": True,
        "node_routes": True,
        "translated_in": True,
        "translated_out": True,
    }
    assert json.dumps(facts)
    assert lab.networks.inspect("i-00000000000000999")["ports"] == []
