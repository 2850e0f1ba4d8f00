"""Hostile requests: whatever comes in, out comes a dict or an AwsError, soon, and within bounded memory.

Two ways: real requests with their bytes mutated, for every service and protocol, and hypothesis against each reader of raw bytes. Then the
known attacks by name.
"""

from __future__ import annotations

import json
import random
import time
import tracemalloc
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mallee import wire
from mallee.wire import cbor, forms, jsonbody, patterns, xmlin
from mallee.wire.errors import AwsError
from mallee.wire.message import pairs
from mallee.wire.reading import Unreadable
from tests.wire import peer
from tests.wire.generate import Generator
from tests.wire.test_routing import form, request, signed

MUTANTS = 150
JUNK = [
    b"\x00", b"\xff", b"%", b"%00", b"%ff", b"&", b"=", b".", b"..", b"<", b">", b"</a>", b"<a>", b"&lt;", b"&x;", b"<!--", b"{", b"}",
    b"[", b"]", b'"', b"\\", b"\\ud800", b"null", b"true", b"1e999", b"-1", b"9" * 40, b"\xbf", b"\xff\xff", b"\x9f", b"\x5b", b"\xc1",
    b"\xf9\x7e\x00", b"NaN", b"2020-13-45", b"9999-12-31T23:59:59-12:00", b"0000-00-00", b"\xed\xa0\x80", "\U0001f600".encode(),
]  # fmt: skip


def survives(request: wire.Request) -> None:
    """Routing, reading and the error's own writing raise nothing but AwsError."""
    try:
        route = wire.route(request)
    except AwsError as error:
        status, _, body = wire.fallback_error(request, error, "r")
        assert 300 <= status < 600 and isinstance(body, bytes)
        return
    try:
        assert isinstance(route.parse(request), dict)
    except AwsError as error:
        status, _, body = route.error(error, "r")
        assert 300 <= status < 500 and isinstance(body, bytes)


def mutated(text: bytes, rng: random.Random) -> bytes:
    out = bytearray(text)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(out) + 1)
        end = min(len(out), at + rng.choice([0, 1, 1, 4, 40]))
        kind = rng.random()
        if kind < 0.5:
            out[at:end] = rng.choice(JUNK)
        elif kind < 0.7:
            del out[at:end]
        elif kind < 0.85:
            out[at:at] = out[at:end] * rng.randint(1, 5)
        elif out:
            out[rng.randrange(len(out))] = rng.randrange(256)
    return bytes(out)


@pytest.mark.parametrize(("service", "protocol"), peer.SPOKEN)
def test_mutated_requests(service: str, protocol: str) -> None:
    model = peer.model_of(service, protocol)
    rng = random.Random(f"{service} {protocol}")
    names = [name for name in model.operation_names if model.operation_model(name).input_shape]
    for example in range(MUTANTS):
        name = rng.choice(names)
        params = Generator((service, example, "mutant"), protocol).structure(model.operation_model(name).input_shape)
        got = peer.request_of(service, protocol, name, params)
        victim = rng.random()
        if victim < 0.7 and got.body:
            got.body = mutated(got.body, rng)
        elif victim < 0.8:
            got.raw_path = b"/" + mutated(got.raw_path, rng)
        elif victim < 0.9:
            got.raw_query = mutated(got.raw_query, rng)
        else:
            at = rng.randrange(len(got.headers))
            got.headers[at] = (got.headers[at][0], mutated(got.headers[at][1], rng))
        survives(got)


QUICK = settings(max_examples=200, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


@QUICK
@given(st.binary(max_size=200))
def test_cbor_bytes(body: bytes) -> None:
    try:
        cbor.decode(body)
    except Unreadable:
        pass


@QUICK
@given(st.one_of(st.binary(max_size=200), st.text(alphabet="<>/ab \"'=&;!-[]CDAT?xml:", max_size=100).map(str.encode)))
def test_xml_bytes(body: bytes) -> None:
    try:
        xmlin.parse(body)
    except Unreadable:
        pass


@QUICK
@given(st.one_of(st.binary(max_size=200), st.text(alphabet='{}[]",:019.eE-truefalsn\\u', max_size=100).map(str.encode)))
def test_json_bytes(body: bytes) -> None:
    try:
        jsonbody.decode(body)
    except Unreadable:
        pass


@QUICK
@given(st.one_of(st.binary(max_size=200), st.text(alphabet="ab.12=&%+FC", max_size=100).map(str.encode)))
def test_form_bytes(body: bytes) -> None:
    try:
        forms.tree(dict(pairs(body)))
    except (AwsError, Unreadable):
        pass


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=15,
)


@QUICK
@given(VALUES)
def test_values_of_the_wrong_kind(value: Any) -> None:
    """Any JSON or CBOR value in the place of any member."""
    for target, name in (("TrentService.CreateKey", "Tags"), ("Logs_20140328.PutLogEvents", "logEvents")):
        body = json.dumps({name: value}, default=lambda raw: raw.decode("latin-1")).encode()
        survives(request("POST", "/", [(b"x-amz-target", target.encode())], body))
    path = "/service/GraniteServiceVersion20100801/operation/PutMetricData"
    survives(request("POST", path, [(b"smithy-protocol", b"rpc-v2-cbor")], encoded({"MetricData": value})))


def encoded(value: Any) -> bytes:
    """CBOR, independent of ours."""
    import cbor2

    return cbor2.dumps(value)


@QUICK
@given(VALUES)
def test_cbor_means_what_others_mean_by_it(value: Any) -> None:
    try:
        found = cbor.decode(encoded({"a": value}))
    except Unreadable:
        return  # an integer beyond 64 bits travels as a tagged blob, which nothing here can mean
    assert repr(found) == repr({"a": value}) or "b'" in repr(found)


def bounded(request: wire.Request, seconds: float = 2.0, megabytes: float = 64) -> None:
    tracemalloc.start()
    began = time.perf_counter()
    survives(request)
    took = time.perf_counter() - began
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < megabytes * 2**20
    assert took < seconds * 5  # tracemalloc is slow, and so may the machine be


CLOUDWATCH = "/service/GraniteServiceVersion20100801/operation/PutMetricData"
RPC = [(b"smithy-protocol", b"rpc-v2-cbor")]


@pytest.mark.parametrize(
    "attack",
    [
        form("Action=DescribeInstances&Version=2016-11-15&Filter.999999999.Name=a", signed("ec2")),
        form("Action=DescribeInstances&Version=2016-11-15&Filter." + "9" * 5000 + ".Name=a", signed("ec2")),
        form("Action=DescribeInstances&Version=2016-11-15&" + "a." * 50_000 + "=1", signed("ec2")),
        form("Action=DescribeInstances&Version=2016-11-15&Filter.٣.Name=a&Filter.²=b", signed("ec2")),
        form("Action=DescribeInstances&Version=2016-11-15&Filter.1=a&Filter.1.Name=a&Filter=&Filter.1.Name.1=x", signed("ec2")),
        form("Action=DescribeInstances&Version=2016-11-15" + "".join(f"&InstanceId.{n}=i" for n in range(50_000)), signed("ec2")),
        form("Action=DescribeInstances&Version=2016-11-15" + "&a=b" * 200_000, signed("ec2")),
        form("&".join(f"{'.'.join(str(n) + chr(97 + d) for d in range(20))}=1" for n in range(10_000)), signed("ec2")),
        form("Action=RunInstances&Version=2016-11-15&MinCount=" + "1" * 100_000, signed("ec2")),
        request("POST", "/", [(b"x-amz-target", b"TrentService.CreateKey")], b"[" * 200_000),
        request("POST", "/", [(b"x-amz-target", b"TrentService.CreateKey")], b'{"Tags":' * 50_000 + b"1" + b"}" * 50_000),
        request("POST", "/", [(b"x-amz-target", b"TrentService.ListKeys")], b'{"Limit":' + b"9" * 100_000 + b"}"),
        request("POST", CLOUDWATCH, RPC, b"\x9b" + b"\xff" * 8),
        request("POST", CLOUDWATCH, RPC, b"\xbb\x7f" + b"\xff" * 7),
        request("POST", CLOUDWATCH, RPC, b"\x9f" * 100_000),
        request("POST", CLOUDWATCH, RPC, b"\xd8\x1c" * 50_000),
        request("POST", CLOUDWATCH, RPC, b"\x7f" + b"\x61a" * 100_000 + b"\xff"),
        request("POST", CLOUDWATCH, RPC, b"\xa1\x61\x00\xc1\xfb\x7f\xef" + b"\xff" * 6),
        request("PUT", "/b?tagging", signed("s3"), b"<a>" * 100_000),
        request("PUT", "/b?tagging", signed("s3"), b"<Tagging>" + b"<a/>" * 300_000 + b"</Tagging>"),
        request("PUT", "/b?tagging", signed("s3"), b"<Tagging " + b"a='1' " * 50_000 + b"/>"),
        request(
            "POST",
            "/b?delete",
            signed("s3"),
            b'<!DOCTYPE z [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;">]><Delete>&b;</Delete>',
        ),
        request("GET", "/b?" + "acl&" * 50_000, signed("s3")),
        request("GET", "/" + "a/" * 100_000, signed("route53")),
        request("GET", "/b/k", [*signed("s3"), (b"range", b"x" * 100_000), (b"x-amz-object-attributes", b'"' * 50_000)]),
        request("GET", "/b/k?attributes", [*signed("s3"), (b"x-amz-object-attributes", b'"\\' * 50_000)]),
        request("GET", "/", [(b"authorization", b"AWS4-HMAC-SHA256 Credential=" + b"/" * 100_000)]),
        request("GET", "/?X-Amz-Credential=" + "%2F" * 30_000),
    ],
    ids=range(28),
)
def test_attacks_are_bounded(attack: wire.Request) -> None:
    survives(attack)  # warm: models loaded, readers compiled
    bounded(attack)


def test_no_pattern_of_any_model_backtracks_without_bound() -> None:
    units = ("a", "-", "a-", "/", "a/", "0", "1:", "arn:aws:", ".", "http:", "%20", "A::", " ", "é")
    starts = ("", "arn:aws:", "arn:aws-", "http://", "aws.partner/")
    seen = set()
    for service in wire.services:
        model = service.model
        for number in range(len(model.pack) - len(model.operations)):
            pattern = model.pack.record(number).get("pattern")
            if pattern is None or pattern in seen:
                continue
            seen.add(pattern)
            compiled = patterns.compiled(pattern)
            if compiled is None:
                continue
            length = min(patterns.reach(pattern), 10_000)
            for unit in units:
                for start in starts:
                    began = time.process_time()
                    compiled.fullmatch((start + unit * length)[:length] + "\x00")
                    assert time.process_time() - began < 0.5, pattern
    assert len(seen) > 200


def test_dangerous_patterns_are_known() -> None:
    for pattern in ("(a+)+", "^([a-z]*)*$", "(a|b+)*", "^[a-z](-*[a-z])*$", "(?:x+x+)+"):
        assert patterns.dangerous(pattern), pattern
    for pattern in ("[a-z]+", "(/[a-z]+)*", "([a-z]+-)*[a-z]+", "^(a|b)*$", "([0-9]{1,6}\\.)+"):
        assert not patterns.dangerous(pattern), pattern


def test_java_classes_are_carried_over() -> None:
    tag = patterns.compiled(r"^([\p{L}\p{Z}\p{N}_.:/=+\-@]*)$")
    assert tag is not None
    for text in ("Name", "日本 語", "Ünï/cödé:1+2=3@x", "½", ""):
        assert tag.fullmatch(text), text
    for text in ("a\n", "a\u0300", "😀", "a*b"):
        assert not tag.fullmatch(text), text
    wide = patterns.compiled(r"[\u0020-\uD7FF\uE000-\uFFFD\uD800\uDC00-\uDBFF\uDFFF\r\n\t]*")
    assert wide is not None and wide.fullmatch("a😀\n") and not wide.fullmatch("\x01")
    hyphen = patterns.compiled(r"[\w-_/]+")
    assert hyphen is not None and hyphen.fullmatch("a-b_c/") and not hyphen.fullmatch("a.b")
