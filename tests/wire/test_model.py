"""Models: packed and unpacked without loss, loaded late, small, and safe to compile from many threads."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from mallee import wire
from mallee.wire import pack
from mallee.wire.catalogue import Services, model_file
from mallee.wire.model import Model
from tests.wire import peer
from tests.wire.test_routing import form


@pytest.mark.parametrize("service", wire.services.names)
def test_packed_shapes_say_what_botocore_says(service: str) -> None:
    theirs = peer.model_of(service, wire.services.get(service).entry.protocols[0])
    model = wire.services.get(service).model
    assert set(model.operations) == set(theirs.operation_names)
    for name in theirs.operation_names:
        ours, op = model.operation(name), theirs.operation_model(name)
        assert (ours.input.name if ours.input else None) == (op.input_shape.name if op.input_shape else None)
        assert (ours.output.name if ours.output else None) == (op.output_shape.name if op.output_shape else None)
        assert ours.http == op.http
    for number in range(len(model.pack) - len(model.operations)):
        shape = model.shape(number)
        other = theirs.shape_for(shape.name)
        assert shape.type == other.type_name
        if shape.type == "structure":
            assert list(shape.members) == list(other.members)
            assert list(shape.required) == other.required_members
            for name, member in shape.members.items():
                serialization = other.members[name].serialization
                assert member.traits.get("locationName") == serialization.get("name")
                for trait in ("location", "queryName", "flattened", "timestampFormat", "xmlAttribute", "streaming"):
                    assert member.traits.get(trait) == serialization.get(trait)
                assert member.shape.traits.get("max") == other.members[name].metadata.get("max")


def test_a_cache_is_made_used_and_not_trusted(tmp_path: Path) -> None:
    source = model_file("sts")
    fresh = pack.load(source, tmp_path)
    (file,) = tmp_path.iterdir()
    again = pack.load(source, tmp_path)
    assert again.record(3) == fresh.record(3) == pack.load(source, None).record(3)
    for damaged in (b"", b"nonsense" * 100, file.read_bytes()[:-1]):
        file.unlink()
        file.write_bytes(damaged)
        assert pack.load(source, tmp_path).record(3) == fresh.record(3)
    file.rename(tmp_path / "sts-0-0-1.pack")
    pack.load(source, tmp_path)
    assert list(tmp_path.iterdir()) == [file]


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    assert pack.load(model_file("sts"), blocked / "below").operations["GetCallerIdentity"]


def test_models_are_loaded_when_first_needed() -> None:
    services = Services()
    services.get("ec2")
    assert services.get("ec2")._pack is None
    assert services.get("sts").operation("GetCallerIdentity").method_name == "get_caller_identity"
    assert services.get("ec2")._pack is None
    assert services.get("sts").methods()["get_caller_identity"] == "GetCallerIdentity"
    with pytest.raises(KeyError):
        services.get("nothing")
    with pytest.raises(KeyError):
        services.get("sts").operation("Nothing")


def test_a_service_of_our_own_is_a_model_file(tmp_path: Path) -> None:
    folder = tmp_path / "mallee" / "2026-01-01"
    folder.mkdir(parents=True)
    model = json.loads(gzip.decompress(model_file("kms").read_bytes()))
    model["metadata"]["targetPrefix"] = "Mallee"
    (folder / "service-2.json").write_text(json.dumps(model))
    services = Services()
    ours = wire.Entry(
        "mallee", ("mallee",), "2026-01-01", ("json",), services.get("kms").dialect, target="Mallee", model=folder / "service-2.json"
    )
    services.add(ours)
    request = wire.Request("POST", b"/", b"", [(b"x-amz-target", b"Mallee.ListKeys")], b"{}")
    assert wire.Router(services).route(request).service.name == "mallee"


def test_many_threads_may_compile_the_same_operation_at_once() -> None:
    body = "Action=RunInstances&Version=2016-11-15&MinCount=1&MaxCount=1&BlockDeviceMapping.1.Ebs.VolumeSize=1"
    expected = {"MinCount": 1, "MaxCount": 1, "BlockDeviceMappings": [{"Ebs": {"VolumeSize": 1}}]}
    for _ in range(5):
        model = Model(wire.services.get("ec2").model.pack)
        service = wire.services.get("ec2")
        barrier = threading.Barrier(8)
        route = wire.Route(service, model.operation("RunInstances"), wire.PROTOCOLS["ec2"], "2016-11-15")
        found: list[object] = []

        def work(route: wire.Route, barrier: threading.Barrier, found: list[object]) -> None:
            barrier.wait()
            try:
                found.append(route.parse(form(body)))
                route.respond({"Instances": [{"InstanceId": "i-1"}]}, "r")
            except Exception as error:
                found.append(error)

        threads = [threading.Thread(target=work, args=(route, barrier, found)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == [expected] * 8


MEASURE = """
import sys
def pss():
    return int(next(line for line in open("/proc/self/smaps_rollup") if line.startswith("Pss:")).split()[1])
before = pss()
from pathlib import Path
from mallee import wire
wire.services.cache = Path(sys.argv[1])
def call(service, action, version):
    scope = b"AWS4-HMAC-SHA256 Credential=A/20240101/r/" + service.encode() + b"/aws4_request, x"
    head = [(b"content-type", b"application/x-www-form-urlencoded"), (b"authorization", scope)]
    body = f"Action={action}&Version={version}"
    route = wire.route(wire.Request("POST", b"/", b"", head, body.encode()))
    try:
        route.parse(wire.Request("POST", b"/", b"", head, body.encode()))
    except wire.AwsError:
        pass
    route.respond({}, "r")
for action in ("RunInstances", "DescribeInstances", "DescribeVpcs", "DescribeSubnets", "DescribeSecurityGroups", "CreateVolume"):
    call("ec2", action, "2016-11-15")
call("iam", "GetUser", "2010-05-08")
call("iam", "CreateUser", "2010-05-08")
call("sts", "GetCallerIdentity", "2011-06-15")
print(pss() - before)
"""


def test_memory(tmp_path: Path) -> None:
    """ec2, iam and sts loaded, and some operations served, cost less than 35 MB; with packs at hand a third of it."""
    grown = [
        int(subprocess.run([sys.executable, "-c", MEASURE, str(tmp_path)], capture_output=True, text=True, check=True).stdout)
        for _ in range(2)
    ]
    assert grown[0] < 35_000
    assert grown[1] < 20_000
