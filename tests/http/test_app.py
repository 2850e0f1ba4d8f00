"""The API as a client sees it: answers, refusals, limits, dry runs, faults of our own; and what is written down of it."""

from __future__ import annotations

import json
import logging
import threading
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mallee.http.app import BODY_LIMIT, DRAINED
from mallee.identity import records
from mallee.identity.call import Call
from mallee.store import Conflict, StoreUnavailable
from mallee.wire import AwsError, Request
from tests.http.conftest import Edge, writing
from tests.identity import signing
from tests.identity.signing import changed, with_header

CREATE = b"Action=CreateKeyPair&Version=2016-11-15&KeyName=alice"
DESCRIBE = b"Action=DescribeInstances&Version=2016-11-15"


def ec2(edge: Edge, body: bytes = DESCRIBE) -> Request:
    return signing.query(edge.identity.root, "ec2", body=body)


def users(edge: Edge) -> list[str]:
    with edge.identity.database.reading() as tx:
        return [row.name for row in tx.all(records.users.users.select())]


# -------------------------------------------------------------------------------------------------------------- answers


def test_a_call_and_its_answer(edge: Edge) -> None:
    status, headers, body = edge.send(signing.query(edge.identity.root))
    assert status == 200 and b"<Arn>arn:aws:iam::123456789012:root</Arn>" in body
    assert headers["content-length"] == str(len(body))
    assert headers["x-amzn-requestid"] in body.decode() and len(headers["x-amzn-requestid"]) == 36


def test_get_user_of_the_root_and_of_others(edge: Edge) -> None:
    ask = b"Action=GetUser&Version=2010-05-08"
    status, _, body = edge.send(signing.query(edge.identity.root, "iam", body=ask))
    assert status == 200 and b"<Arn>arn:aws:iam::123456789012:root</Arn>" in body and b"<UserName>" not in body
    with edge.identity.database.transaction() as tx:
        user = records.add_user(tx, edge.identity.root.account_id, "Bob", "/x/")
    status, _, body = edge.send(signing.query(edge.identity.root, "iam", body=ask + b"&UserName=bob"))
    assert status == 200 and b"<UserName>Bob</UserName>" in body and b":user/x/Bob</Arn>" in body
    status, _, body = edge.send(signing.query(edge.identity.root, "iam", body=ask + b"&UserName=eve"))
    assert status == 404 and b"The user with name eve cannot be found." in body
    mine = edge.identity.key(user_id=user.id)
    status, _, body = edge.send(signing.query(mine, "iam", body=ask))
    assert status == 403 and b"<Code>AccessDenied</Code>" in body
    status, _, body = edge.send(signing.query(mine))
    assert status == 200 and user.id.encode() in body


def test_an_account_sees_its_own_users_only(edge: Edge) -> None:
    from mallee.identity import setup

    with edge.identity.database.transaction() as tx:
        other = setup.create_account(tx, edge.identity.settings)
        records.add_user(tx, other.id, "theirs")
    ask = b"Action=GetUser&Version=2010-05-08&UserName=theirs"
    assert edge.send(signing.query(edge.identity.root, "iam", body=ask))[0] == 404
    assert edge.send(signing.query(edge.identity.key(other.id), "iam", body=ask))[0] == 200


def test_what_is_refused_before_it_is_read(edge: Edge) -> None:
    status, headers, body = edge.send(with_header(ec2(edge), "authorization", None))
    assert status == 403 and b"<Code>MissingAuthenticationToken</Code>" in body and b"<Response><Errors>" in body
    assert headers["x-amzn-requestid"].encode() in body
    status, _, body = edge.send(signing.query(edge.identity.root, "ec2", body=DESCRIBE, secret="x" * 40))
    assert status == 401 and b"<Code>AuthFailure</Code>" in body


def test_an_operation_without_a_handler(edge: Edge) -> None:
    status, _, body = edge.send(ec2(edge))
    assert status == 400 and b"<Code>UnsupportedOperation</Code>" in body
    status, _, body = edge.send(ec2(edge, b"Action=MakeCoffee&Version=2016-11-15"))
    assert status == 400 and b"<Code>InvalidAction</Code>" in body
    status, _, body = edge.send(Request("GET", b"/", b"", [(b"host", b"x")], b""))
    assert status == 501 and b"<Code>NotImplemented</Code>" in body  # S3's ListBuckets, which this edge does not have


def test_an_error_of_the_operation_undoes_what_it_wrote(edge: Edge) -> None:
    def fails(call: Call) -> dict[str, Any]:
        writing(call)
        raise AwsError("InvalidKeyPair.Duplicate", "The keypair already exists")

    edge.put("ec2", "CreateKeyPair", fails, writes=True)
    status, _, body = edge.send(ec2(edge, CREATE))
    assert status == 400 and b"<Code>InvalidKeyPair.Duplicate</Code>" in body and users(edge) == []
    edge.put("ec2", "CreateKeyPair", writing, writes=True)
    assert edge.send(ec2(edge, CREATE))[0] == 200 and users(edge) == ["alice"]


def test_dry_run_does_everything_and_keeps_nothing(edge: Edge) -> None:
    edge.put("ec2", "CreateKeyPair", writing, writes=True, dry=True)
    status, _, body = edge.send(ec2(edge, CREATE + b"&DryRun=true"))
    assert status == 412 and b"<Code>DryRunOperation</Code>" in body
    assert b"Request would have succeeded, but DryRun flag is set." in body and users(edge) == []
    assert edge.send(ec2(edge, CREATE + b"&DryRun=false"))[0] == 200
    status, _, body = edge.send(with_header(ec2(edge, CREATE + b"&DryRun=true"), "authorization", None))
    assert status == 403


def test_the_journal_says_who_and_which_request(edge: Edge) -> None:
    from mallee.store import journal

    edge.put("ec2", "CreateKeyPair", writing, writes=True)
    _, headers, _ = edge.send(ec2(edge, CREATE))
    with edge.identity.database.reading() as tx:
        entry = tx.first(journal.select().where(journal.c.kind == "users"))
    assert entry is not None and entry.actor == "arn:aws:iam::123456789012:root"
    assert entry.request_id == headers["x-amzn-requestid"] and entry.account_id == "123456789012"


# --------------------------------------------------------------------------------------------------------------- faults


def test_a_fault_of_our_own_is_the_service_s_internal_error(edge: Edge, caplog: pytest.LogCaptureFixture) -> None:
    def breaks(call: Call) -> dict[str, Any]:
        raise RuntimeError("a secret detail")

    edge.put("ec2", "DescribeInstances", breaks)
    with caplog.at_level(logging.ERROR):
        status, headers, body = edge.send(ec2(edge))
    assert status == 500 and b"<Code>InternalError</Code>" in body and b"secret" not in body
    assert edge.dispatcher.faults == 1
    (record,) = [each for each in caplog.records if each.name == "mallee.api"]
    assert record.request_id == headers["x-amzn-requestid"]  # type: ignore[attr-defined]
    edge.put("iam", "GetUser", breaks)
    status, _, body = edge.send(signing.query(edge.identity.root, "iam", body=b"Action=GetUser&Version=2010-05-08"))
    assert status == 500 and b"<Code>InternalFailure</Code>" in body


def test_an_answer_that_does_not_fit_is_a_fault(edge: Edge) -> None:
    edge.put("ec2", "DescribeInstances", lambda call: {"Reservations": 5})
    status, _, body = edge.send(ec2(edge))
    assert status == 500 and b"<Code>InternalError</Code>" in body


def test_a_database_that_does_not_answer(edge: Edge) -> None:
    def unreachable(call: Call) -> dict[str, Any]:
        raise StoreUnavailable("disk-full", "The disk is full.", "Free space on it.")

    edge.put("ec2", "DescribeInstances", unreachable)
    edge.put("iam", "GetUser", unreachable)
    status, _, body = edge.send(ec2(edge))
    assert status == 503 and b"<Code>Unavailable</Code>" in body and b"disk" not in body
    status, _, body = edge.send(signing.query(edge.identity.root, "iam", body=b"Action=GetUser&Version=2010-05-08"))
    assert status == 503 and b"<Code>ServiceUnavailable</Code>" in body
    assert edge.dispatcher.faults == 0


@pytest.mark.parametrize("writes", [True, False])
def test_a_conflict_is_done_again(edge: Edge, writes: bool) -> None:
    tries: list[int] = []

    def contested(call: Call) -> dict[str, Any]:
        tries.append(1)
        if len(tries) < 3:
            raise Conflict("somebody was quicker")
        return {}

    edge.put("ec2", "DescribeInstances", contested, writes=writes)
    assert edge.send(ec2(edge))[0] == 200 and len(tries) == 3


# -------------------------------------------------------------------------------------------------------------- threads


def where(edge: Edge, seconds: float, writes: bool, calls: int = 4) -> list[bool]:
    """For so many calls that take so long, whether each ran in the loop's own thread."""
    here: list[bool] = []

    def work(call: Call) -> dict[str, Any]:
        time.sleep(seconds)
        here.append(threading.current_thread() is threading.main_thread())
        return {}

    edge.put("ec2", "DescribeInstances", work, writes=writes)
    for _ in range(calls):
        assert edge.send(ec2(edge))[0] == 200
    return here


def test_only_quick_reads_are_answered_on_the_spot(edge: Edge) -> None:
    assert where(edge, 0, writes=False)[0] is False
    assert where(edge, 0, writes=False, calls=20)[-1] is True
    assert where(edge, 0.01, writes=False)[1:] == [False] * 3
    edge.api._usual.clear()
    assert where(edge, 0, writes=True) == [False] * 4
    edge.api._at_once = False
    assert where(edge, 0, writes=False) == [False] * 4


def test_a_busy_worker_leaves_the_loop_free(edge: Edge) -> None:
    where(edge, 0, writes=False, calls=10)
    edge.api._workers.busy += 1
    assert where(edge, 0, writes=False) == [False] * 4
    edge.api._workers.busy -= 1


def test_what_was_refused_teaches_nothing(edge: Edge) -> None:
    for number in range(50):
        edge.send(changed(ec2(edge), body=b"Action=Invented%d&Version=2016-11-15" % number))
    assert edge.api._usual == {}


# --------------------------------------------------------------------------------------------------------------- bodies


def test_a_body_that_says_it_is_too_large_is_not_asked_for(edge: Edge) -> None:
    request = with_header(ec2(edge), "content-length", str(DRAINED + 1))
    status, headers, body = edge.feed(request, [{"type": "http.request", "body": b"x", "more_body": True}])
    assert status == 413 and b"<Code>RequestEntityTooLarge</Code>" in body and edge.left == 1
    assert headers["connection"] == "close"


def test_a_body_a_little_too_large_is_read_away(edge: Edge) -> None:
    size = BODY_LIMIT + 10
    request = with_header(ec2(edge), "content-length", str(size))
    piece = {"type": "http.request", "body": b"x" * (size // 2), "more_body": True}
    status, headers, _ = edge.feed(request, [piece, {**piece, "more_body": False}])
    assert status == 413 and edge.left == 0 and "connection" not in headers


def test_a_body_that_turns_out_too_large(edge: Edge) -> None:
    piece = {"type": "http.request", "body": b"x" * (BODY_LIMIT // 2 + 1), "more_body": True}
    status, headers, _ = edge.feed(ec2(edge), [piece] * 5)
    assert status == 413 and edge.left == 3 and headers["connection"] == "close"


def test_s3_has_its_own_words_for_it(edge: Edge) -> None:
    request = with_header(signing.s3(edge.identity.root, "PUT", "/b/k"), "content-length", str(2**40))
    status, _, body = edge.feed(request, [])
    assert status == 400 and b"EntityTooLarge" in body


def test_a_client_that_goes_away_gets_nothing(edge: Edge) -> None:
    assert edge.feed(ec2(edge), [{"type": "http.request", "body": b"x", "more_body": True}])[0] == 0


# ------------------------------------------------------------------------------------------------ health, metrics, log


def test_health(edge: Edge) -> None:
    live = Request("GET", b"/health/live", b"", [(b"host", b"x")])
    ready = Request("GET", b"/health", b"", [(b"host", b"x")])
    assert edge.send(ready)[0] == edge.send(live)[0] == 200
    edge.health = {"status": "unavailable", "cause": "The disk is full."}
    status, _, body = edge.send(ready)
    assert status == 503 and json.loads(body) == edge.health
    assert edge.send(live)[0] == 200
    bucket = signing.s3(edge.identity.root, "GET", "/health")
    assert edge.send(bucket)[0] not in (200, 503)
    assert edge.send(Request("GET", b"/healthy", b"", [(b"host", b"x")]))[0] not in (200, 503)


def test_what_is_counted(edge: Edge) -> None:
    edge.send(signing.query(edge.identity.root))
    edge.send(signing.query(edge.identity.root))
    edge.send(with_header(signing.query(edge.identity.root), "authorization", None))
    text = edge.metrics.text()
    assert 'mallee_requests_total{service="sts",operation="GetCallerIdentity",status="200",code=""} 2' in text
    assert 'status="403",code="MissingAuthenticationToken"} 1' in text
    assert 'mallee_request_seconds_count{service="sts",operation="GetCallerIdentity"} 3' in text
    assert "mallee_requests_in_flight 0" in text
    from prometheus_client.parser import text_string_to_metric_families

    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert families["mallee_requests"].type == "counter" and families["mallee_request_seconds"].type == "histogram"


def test_what_is_written_down(edge: Edge) -> None:
    _, headers, body = edge.send(signing.query(edge.identity.root))
    edge.send(changed(ec2(edge), raw_path=b"/odd\n\xff"))
    edge.lines.flush()
    first, second = [json.loads(line) for line in edge.lines._path.read_text().splitlines()]
    assert first["request_id"] == headers["x-amzn-requestid"] and first["out"] == len(body)
    assert (first["service"], first["operation"], first["status"]) == ("sts", "GetCallerIdentity", 200)
    assert first["arn"] == "arn:aws:iam::123456789012:root" and first["ip"] == "192.0.2.1" and "code" not in first
    assert second["path"] == "/odd\n\xff" and second["code"] and second["status"] >= 400
    assert edge.identity.root.secret_access_key not in edge.lines._path.read_text()
    assert "Signature" not in edge.lines._path.read_text()


# ------------------------------------------------------------------------------------------------------------ any bytes


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "HEAD", "DELETE", "OPTIONS", "PATCH"]),
    path=st.one_of(st.just(b"/"), st.binary(max_size=30).map(lambda raw: b"/" + raw)),
    query=st.one_of(st.just(b""), st.binary(max_size=60)),
    kind=st.sampled_from([signing.FORM, "application/x-amz-json-1.1", "application/cbor", "text/xml", "\xff", ""]),
    target=st.one_of(st.none(), st.binary(max_size=20)),
    body=st.one_of(st.binary(max_size=80), st.just(CREATE), st.just(b"Action=DescribeInstances&Version=" + b"9" * 50)),
)
def test_no_bytes_make_a_500(
    edge: Edge, method: str, path: bytes, query: bytes, kind: str, target: bytes | None, body: bytes
) -> None:
    headers = [(b"host", b"x"), (b"content-type", kind.encode("latin-1"))]
    if target is not None:
        headers.append((b"x-amz-target", target))
    status, _, _ = edge.send(Request(method, path, query, headers, body))
    assert 400 <= status < 500 or status == 501
    assert edge.dispatcher.faults == 0


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    service=st.sampled_from(["ec2", "sts", "iam"]),
    body=st.one_of(
        st.binary(max_size=80),
        st.binary(max_size=60).map(lambda raw: b"Action=DescribeInstances&Version=2016-11-15&" + raw),
        st.binary(max_size=60).map(lambda raw: b"Action=GetUser&Version=2010-05-08&UserName=" + raw),
    ),
)
def test_no_signed_bytes_make_a_500(edge: Edge, service: str, body: bytes) -> None:
    edge.put("ec2", "DescribeInstances", lambda call: {"Reservations": []})
    status, _, _ = edge.send(signing.query(edge.identity.root, service, body=body))
    assert status < 500 and edge.dispatcher.faults == 0
