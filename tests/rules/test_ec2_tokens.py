"""Client tokens: once carried out, alike answered, gone with what failed."""

from __future__ import annotations

import datetime
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from mallee.ec2 import tokens
from mallee.store import Database, ManualClock, Tx, schema
from mallee.wire.errors import AwsError

ACCOUNT = "123456789012"


@pytest.fixture
def ready(database: Database) -> Database:
    schema.load()
    schema.create(database)
    return database


def call(tx: Tx, operation: str = "RunInstances", account_id: str = ACCOUNT, **input: Any) -> Any:
    return SimpleNamespace(tx=tx, operation=operation, account_id=account_id, input=input, now=tx.now)


def test_an_equal_request_finds_what_the_first_saved(ready: Database) -> None:
    with ready.transaction(ACCOUNT) as tx:
        first = call(tx, ImageId="ami-1", ClientToken="t")
        assert tokens.remembered(first, "t") is None
        tokens.remember(first, "t", {"ids": ["i-1"]})
    with ready.transaction(ACCOUNT) as tx:
        assert tokens.remembered(call(tx, ImageId="ami-1", ClientToken="t", DryRun=False), "t") == {"ids": ["i-1"]}
        with pytest.raises(AwsError) as refused:
            tokens.remembered(call(tx, ImageId="ami-2", ClientToken="t"), "t")
        assert refused.value.code == "IdempotentParameterMismatch"
        assert tokens.remembered(call(tx, operation="CreateVolume", ImageId="ami-1"), "t") is None
        assert tokens.remembered(call(tx, account_id="210987654321", ImageId="ami-1"), "t") is None
        assert tokens.remembered(call(tx), None) is None


def test_what_failed_is_forgotten(ready: Database) -> None:
    with pytest.raises(RuntimeError), ready.transaction(ACCOUNT) as tx:
        assert tokens.remembered(call(tx, a=1), "t") is None
        raise RuntimeError
    with ready.transaction(ACCOUNT) as tx:
        assert tokens.remembered(call(tx, a=2), "t") is None


@pytest.mark.parametrize("token", ["x" * 65, "é"])
def test_tokens_that_aws_refuses(ready: Database, token: str) -> None:
    with ready.transaction(ACCOUNT) as tx:
        with pytest.raises(AwsError) as refused:
            tokens.remembered(call(tx), token)
        assert refused.value.code == "InvalidParameterValue"
        assert tokens.remembered(call(tx), "x" * 64) is None


def test_of_equal_requests_at_once_one_is_carried_out(ready: Database) -> None:
    carried_out: list[int] = []
    answers: list[Any] = []
    barrier = threading.Barrier(4)

    def request(number: int) -> None:
        def work(tx: Tx) -> tuple[bool, Any]:
            asked = call(tx, a=1)
            saved = tokens.remembered(asked, "t")
            if saved is not None:
                return False, saved
            tokens.remember(asked, "t", {"by": number})
            return True, {"by": number}

        barrier.wait()
        first, answer = ready.run(work, ACCOUNT)
        if first:
            carried_out.append(number)
        answers.append(answer)

    threads = [threading.Thread(target=request, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(carried_out) == 1
    assert answers == [{"by": carried_out[0]}] * 4


def test_old_tokens_are_dropped(ready: Database, clock: ManualClock) -> None:
    with ready.transaction(ACCOUNT) as tx:
        tokens.remembered(call(tx, a=1), "t")
    clock.advance(datetime.timedelta(days=6).total_seconds())
    with ready.transaction() as tx:
        tokens.forget(tx)
    with ready.transaction(ACCOUNT) as tx, pytest.raises(AwsError):
        tokens.remembered(call(tx, a=2), "t")
    clock.advance(datetime.timedelta(days=2).total_seconds())
    with ready.transaction() as tx:
        tokens.forget(tx)
    with ready.transaction(ACCOUNT) as tx:
        assert tokens.remembered(call(tx, a=2), "t") is None
