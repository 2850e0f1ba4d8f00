"""The pure parts of what guests are served: the metadata tree, tokens, DHCP messages, hosts."""

from __future__ import annotations

import json
import random
import socket
import struct
from dataclasses import replace
from pathlib import Path

import pytest

from mallee.fabric.document import MetadataOptions, Network
from mallee.node.config import NodeConfig
from mallee.node.network import dhcp, imds, metadata, names
from mallee.node.network.served import Tallies, View
from tests.node.network.lab import guest_of, identifier, network, port

CONFIG = NodeConfig(Path("/nowhere"), "abcd", "node-1", "local-1a", "local-1")
SG = identifier("sg", 1)


def places_of(*ports, **values):
    net = network(tuple(ports), ())
    guest = guest_of(ports[0].guest_id, tuple(each.id for each in ports), **values)
    view = View.of(net, {guest.id: guest}, {})
    return view.ports[guest.id], guest


def walk(path, places, guest):
    """Every leaf below a path, by listings alone, as cloud-init crawls."""
    found = {}
    for line in metadata.find(path, places, guest, CONFIG).decode().splitlines():
        if "=" in line:
            line = line.split("=")[0] + "/"
        if line.endswith("/"):
            found |= walk([*path, line[:-1]], places, guest)
        else:
            leaf = metadata.find([*path, line], places, guest, CONFIG)
            assert leaf is not None, [*path, line]
            found["/".join([*path, line])] = leaf.decode()
    return found


def test_the_whole_tree_can_be_crawled_by_its_listings():
    first = port(1, "10.0.0.10", SG, public="198.51.100.1")
    second = replace(port(2, "10.0.0.20", SG), guest_id=first.guest_id, device_index=1)
    options = MetadataOptions(tags=True)
    places, guest = places_of(first, second, public_key="ssh-rsa AAAA me", key_name="me", options=options, tags={"Name": "x y"}, kernel_id="aki-1")
    leaves = walk(["2021-03-23", "meta-data"], places, guest)
    base = "2021-03-23/meta-data"
    mac = f"{base}/network/interfaces/macs/{second.mac}"
    expected = {
        f"{base}/instance-id": guest.id,
        f"{base}/mac": first.mac,
        f"{base}/public-ipv4": "198.51.100.1",
        f"{base}/public-keys/0/openssh-key": "ssh-rsa AAAA me\n",
        f"{base}/block-device-mapping/ami": "xvda",
        f"{base}/placement/availability-zone-id": "lcl1-az1",
        f"{base}/services/partition": "aws",
        f"{base}/tags/instance/Name": "x y",
        f"{base}/kernel-id": "aki-1",
        f"{mac}/device-number": "1",
        f"{mac}/interface-id": second.id,
        f"{mac}/local-ipv4s": "10.0.0.20",
        f"{mac}/vpc-ipv4-cidr-blocks": "10.0.0.0/16",
        f"{mac}/security-group-ids": SG,
        f"{base}/events/maintenance/scheduled": "[]",
    }
    assert expected.items() <= leaves.items()
    assert f"{mac}/public-ipv4s" not in leaves and f"{base}/ramdisk-id" not in leaves


def test_versions_and_folders_are_listed_as_ec2_lists_them():
    places, guest = places_of(port(1, "10.0.0.10"), user_data="aGVsbG8=")

    def get(path):
        return metadata.find([part for part in path.split("/") if part], places, guest, CONFIG)

    assert get("/").decode().splitlines()[0] == "1.0" and get("/").decode().splitlines()[-1] == "latest"
    assert get("/latest/") == b"dynamic\nmeta-data\nuser-data"
    assert get("/latest/dynamic") == b"instance-identity/"
    assert get("/latest/user-data") == b"hello"
    assert get("/latest/dynamic/instance-identity/") == b"document"
    assert get("/1.0/meta-data/instance-id") == guest.id.encode()
    base = "/latest/meta-data"
    for absent in ("/1999-01-01/", "/latest/nothing", f"{base}/instance-id/more", f"{base}/public-keys/", f"{base}/tags/"):
        assert get(absent) is None, absent


def test_tags_are_only_in_versions_that_have_them():
    places, guest = places_of(port(1, "10.0.0.10"), options=MetadataOptions(tags=True), tags={"a": "b"})
    assert metadata.find(["2016-09-02", "meta-data", "tags", "instance", "a"], places, guest, CONFIG) is None
    assert metadata.find(["latest", "meta-data", "tags", "instance", "a"], places, guest, CONFIG) == b"b"


def test_the_identity_document_is_of_ec2s_form():
    places, guest = places_of(port(1, "10.0.0.10"))
    document = json.loads(metadata.identity_document(places, guest))
    assert document["accountId"] == "123456789012"
    assert document["pendingTime"] == "2025-03-01T12:00:00Z"
    assert document["privateIp"] == "10.0.0.10"
    assert document["version"] == "2017-09-30"
    assert document["billingProducts"] is None


def test_tokens_hold_for_their_instance_and_time_alone():
    tokens = imds.Tokens(b"k" * 32)
    token = tokens.issue("i-1", 100, 1000.0)
    assert len(token) == 56
    assert tokens.remaining(token, "i-1", 1000.5) == 99
    assert tokens.remaining(token, "i-1", 1100.1) is None
    assert tokens.remaining(token, "i-2", 1000.5) is None
    assert imds.Tokens(b"x" * 32).remaining(token, "i-1", 1000.5) is None
    for broken in ("", "a", token[:-4], "é" * 56, "B" + token[1:], token + "AAAA"):
        assert tokens.remaining(broken, "i-1", 1000.5) is None


def test_random_bytes_never_upset_the_metadata_service():
    chance = random.Random(3)
    places, _ = places_of(port(1, "10.0.0.10"))
    tokens = imds.Tokens(b"k" * 32)
    for _ in range(3000):
        words = [b"GET ", b"PUT ", b"/latest", b"/meta-data", b"/", b" HTTP/1.1", b"\r\n", b":", b"%zz", b"\xff", b"x-aws-ec2-metadata-token: "]
        head = b"".join(chance.choice([*words, chance.randbytes(3)]) for _ in range(chance.randint(1, 9)))
        request = imds.parse(head)
        status = request if isinstance(request, int) else imds.respond(request, places, tokens, CONFIG, 1.0).status
        assert status in imds._REASONS


# ------------------------------------------------------------------------------------------------------------------ DHCP


def message(kind, mac, requested="", server="", client="0.0.0.0"):
    options = bytes([53, 1, kind])
    options += bytes([50, 4]) + socket.inet_aton(requested) if requested else b""
    options += bytes([54, 4]) + socket.inet_aton(server) if server else b""
    head = struct.pack("!BBBB4sHH", 1, 1, 6, 0, b"\x01\x02\x03\x04", 0, 0) + socket.inet_aton(client) + bytes(12)
    return head + bytes.fromhex(mac.replace(":", "")) + bytes(10 + 192) + b"\x63\x82\x53\x63" + options + b"\xff"


def ask(data, **changes):
    target = port(1, "10.0.0.10", **changes)
    (place,), _ = places_of(target)
    request = dhcp.read(data)
    reply = dhcp.answer(request, place, 1500) if request else None
    if reply is None:
        return None
    kind, answered = reply
    assert answered[4:8] == data[4:8]
    return kind, socket.inet_ntoa(answered[16:20]), dict(dhcp._options(answered[240:]))


MAC = port(1, "10.0.0.10").mac


def test_discover_and_request_give_the_ports_own_address():
    kind, given, options = ask(message(dhcp.DISCOVER, MAC))
    assert (kind, given) == (dhcp.OFFER, "10.0.0.10")
    assert options[54] == options[3] == socket.inet_aton("10.0.0.1")
    assert options[6] == socket.inet_aton("10.0.0.2") and options[1] == socket.inet_aton("255.255.255.0")
    assert (options[12], options[15]) == (b"ip-10-0-0-10", b"local-1.compute.internal")
    assert options[26] == struct.pack("!H", 1500) and options[51] == struct.pack("!I", 3600)
    assert 42 not in options, "no time service is served, so none is named"
    assert ask(message(dhcp.REQUEST, MAC, "10.0.0.10", "10.0.0.1"))[:2] == (dhcp.ACK, "10.0.0.10")
    assert ask(message(dhcp.REQUEST, MAC, client="10.0.0.10"))[:2] == (dhcp.ACK, "10.0.0.10"), "a renewal"


def test_what_is_not_the_ports_is_refused_or_ignored():
    assert ask(message(dhcp.REQUEST, MAC, "10.0.0.11"))[:2] == (dhcp.NAK, "0.0.0.0")
    assert ask(message(dhcp.REQUEST, MAC))[0] == dhcp.NAK
    assert ask(message(dhcp.REQUEST, MAC, "10.0.0.10", "10.0.0.99")) is None
    assert ask(message(dhcp.DISCOVER, "02:00:00:00:00:99")) is None
    assert ask(message(dhcp.RELEASE, MAC)) is None
    kind, given, options = ask(message(dhcp.INFORM, MAC, client="10.0.0.10"))
    assert (kind, given) == (dhcp.ACK, "0.0.0.0") and 51 not in options


def test_random_bytes_never_upset_dhcp():
    chance = random.Random(5)
    whole = message(dhcp.REQUEST, MAC, "10.0.0.10", "10.0.0.1")
    for _ in range(3000):
        data = bytearray(whole[: chance.randint(0, len(whole))])
        for _ in range(chance.randint(0, 5)):
            if data:
                data[chance.randrange(len(data))] = chance.randrange(256)
        ask(bytes(data))


# ----------------------------------------------------------------------------------------------------------------- names


def test_hosts_are_those_of_the_document_and_public_names_mean_private_addresses():
    target = port(1, "10.0.0.10", public="198.51.100.1")
    text = names.hosts_of(replace(network((target,), ()), hosts={"other.local-1.compute.internal": "10.0.0.9", "bad name": "10.0.0.8"}))
    assert text.splitlines() == [
        "10.0.0.10 ip-10-0-0-10.local-1.compute.internal",
        "10.0.0.10 ec2-198-51-100-1.local-1.compute.amazonaws.com",
        "10.0.0.9 other.local-1.compute.internal",
    ]


@pytest.mark.parametrize(
    ("cidr", "zones"),
    [("10.0.0.0/8", ["10.in-addr.arpa"]), ("172.31.0.0/16", ["31.172.in-addr.arpa"]), ("10.1.2.0/24", ["2.1.10.in-addr.arpa"])],
)
def test_reverse_zones_are_whole_octets(cidr, zones):
    assert names.reverse_zones(cidr) == zones


def test_reverse_zones_of_odd_lengths_are_spelled_out():
    assert names.reverse_zones("10.0.16.0/20") == [f"{number}.0.10.in-addr.arpa" for number in range(16, 32)]
    assert len(names.reverse_zones("10.0.0.16/28")) == 16


def test_tallies_are_kept_for_what_the_document_has():
    tallies = Tallies()
    tallies.of("a").note(refused=True, path="/")
    tallies.of("b").note()
    tallies.keep({"a"})
    assert tallies.of("a").facts()["refused"] == 1
    assert tallies.of("b").facts() == {"count": 0, "refused": 0, "last": None}


def test_a_network_without_the_subnet_of_a_port_serves_the_others():
    lost = replace(port(2, "10.0.0.11"), subnet_id=identifier("subnet", 9))
    net: Network = network((port(1, "10.0.0.10"), lost), ())
    assert list(View.of(net, {}, {}).by_ip) == ["10.0.0.10"]
