"""No account learns of another's resources: by any operation, by id, name or ARN, a foreign one answers as a missing one."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointResolutionError, ParamValidationError
from sqlalchemy import func, select

from mallee.registry import Registry
from mallee.store import journal
from tests.cloud import isolation, victims
from tests.cloud.harness import Account, TestCloud

REGISTRY = Registry()
OPERATIONS = [(handler.service, handler.operation) for handler in REGISTRY.handlers()]


def model(cloud: TestCloud, service: str, operation: str) -> Any:
    return cloud.client(service).meta.service_model.operation_model(operation)


def method(client: Any, operation: str) -> Any:
    names = {value: key for key, value in client.meta.method_to_api_mapping.items()}
    return getattr(client, names[operation])


def options(service: str) -> dict[str, Any]:
    """Of clients: none of the services needs any but one."""
    return victims.CONTROL if service == "s3control" else {}


# All that anybody may learn of another account's bucket is that there is one: names of buckets are the whole cloud's.
CLOSED = re.compile(
    r"403 (AccessDenied: Access Denied|403: Forbidden)"
    r'|\{"Errors": \[\{"Code": "AccessDenied", "Key": "[^"]*", "Message": "Access Denied"\}\]\}'
)


def answer(client: Any, operation: str, asked: dict[str, Any]) -> str:
    """Everything that the caller sees, as one text."""
    try:
        found = method(client, operation)(**asked)
    except (ParamValidationError, EndpointResolutionError) as error:  # names that botocore sends in no case
        return f"400 ParamValidationError: {error}"
    except ClientError as error:
        response = error.response
        return f"{response['ResponseMetadata']['HTTPStatusCode']} {response['Error'].get('Code')}: {response['Error'].get('Message')}"
    found.pop("ResponseMetadata", None)
    return json.dumps(found, default=str, sort_keys=True)


@pytest.fixture
def scene(sqlite_cloud: TestCloud) -> Iterator[tuple[TestCloud, Account, victims.Victim]]:
    victim = victims.make(sqlite_cloud)
    yield sqlite_cloud, sqlite_cloud.account("intruder"), victim


def test_every_identifier_is_known(sqlite_cloud: TestCloud) -> None:
    told = [
        name
        for service, operation in OPERATIONS
        for name in isolation.unclassified(service, model(sqlite_cloud, service, operation), victims.PLAIN)
    ]
    assert told == [], "say in tests/cloud/isolation.py of which kind these are (KINDS), or that they name nothing (PLAIN)"


def test_a_foreign_resource_is_a_missing_one(scene: tuple[TestCloud, Account, victims.Victim]) -> None:
    cloud, intruder, victim = scene
    maker, differ, asked = isolation.Maker({**victim.usual, "s3control.AccountId": intruder.id}), [], 0
    rows = _rows_of(cloud, victim.account.id)
    for service, operation in OPERATIONS:
        client = intruder.client(service, validate=False, **options(service))
        shape = model(cloud, service, operation)
        for path, kind in isolation.places(service, shape):
            mine = victim.identifiers.get(kind)
            assert mine is not None, f"{service}.{operation}: the victim has no {kind}"
            absent = isolation.missing(mine)
            told = []
            for identifier in (mine, absent):
                try:
                    call = maker.with_identifier(service, shape, path, identifier)
                    told.append(isolation.normal(answer(client, operation, call), identifier, kind))
                except ParamValidationError as problem:
                    raise AssertionError(f"{service}.{operation} {path}: {problem}") from problem
            asked += 1
            if kind in ("bucket", "bucket-arn") and CLOSED.fullmatch(told[0]):
                continue
            if told[0] != told[1] and (service, operation, path[-1]) not in victims.TOLD_BY_AWS:
                differ.append(f"{service}.{operation} {'.'.join(path)}\n    foreign: {told[0][:300]}\n    missing: {told[1][:300]}")
            assert "InternalFailure" not in told[0] and "InternalError" not in told[0], f"{service}.{operation} {path}"
    assert not differ, "\n".join(differ)
    assert asked >= 100
    assert _rows_of(cloud, victim.account.id) == rows, "the intruder changed something of the victim's"


def test_no_answer_tells_of_another_account(scene: tuple[TestCloud, Account, victims.Victim]) -> None:
    """Whatever is asked without naming anything: nothing of the victim's is in the answer."""
    cloud, intruder, victim = scene
    maker = isolation.Maker({**victim.usual, "s3control.AccountId": intruder.id})
    secrets = victim.everything()
    for service, operation in OPERATIONS:
        told = answer(intruder.client(service, **options(service)), operation, maker.required(service, model(cloud, service, operation)))
        leaked = [each for each in secrets if each in told]
        assert not leaked, f"{service}.{operation} tells {leaked}: {told[:500]}"


def _rows_of(cloud: TestCloud, account_id: str) -> int:
    with cloud.database.reading() as tx:
        return int(tx.value(select(func.count()).select_from(journal).where(journal.c.account_id == account_id)) or 0)
