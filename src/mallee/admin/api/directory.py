"""The directory that users and groups come from. There is one for the whole cloud, and only its administrators see it."""

from __future__ import annotations

import json
from typing import Any

from mallee import durable
from mallee.admin import access
from mallee.identity.access import Access
from mallee.identity.call import Call
from mallee.identity.directory.configuration import BadConfiguration, Configuration, read
from mallee.identity.directory.synchronisation import SEALED
from mallee.identity.life import NOW, REMOVE
from mallee.identity.records.directories import DIRECTORY, Directory, Run, directories, directory, directory_runs, run_of
from mallee.wire.errors import AwsError

ACCESS = {
    "put_directory": Access(),
    "get_directory": Access(),
    "delete_directory": Access(),
    "synchronize_directory": Access(),
}

_MACHINE = "directory"


def put_directory(call: Call) -> dict[str, Any]:
    """A configuration that was shown without its password and is put again keeps the password it had."""
    access.administer(call)
    tx = call.tx.everyone()
    old = directory(tx)
    text = call.input["Configuration"]
    configuration = _read(text)
    if not configuration.service.credentials and old is not None:
        text = _with_credentials(text, call.vault.open(SEALED, old.configuration))
    automatic = configuration.sync.enabled and configuration.sync.automatic
    interval = configuration.sync.interval if automatic else None
    sealed = call.vault.seal(SEALED, text)
    tx.put(directories, id=DIRECTORY, configuration=sealed, interval=interval, changed_at=call.now)
    job = durable.job_of(tx, DIRECTORY)
    if job is None or job.done_at is not None:
        durable.start(tx, _MACHINE, DIRECTORY)
    else:
        durable.wake(tx, DIRECTORY)
    return {"Directory": _described(call, _the_directory(call))}


def get_directory(call: Call) -> dict[str, Any]:
    access.administer(call)
    return {"Directory": _described(call, _the_directory(call))}


def delete_directory(call: Call) -> None:
    access.administer(call)
    _the_directory(call)
    tx = call.tx.everyone()
    tx.remove(directories, DIRECTORY)
    if run_of(tx) is not None:
        tx.remove(directory_runs, DIRECTORY)
    durable.signal(tx, DIRECTORY, REMOVE)


def synchronize_directory(call: Call) -> dict[str, Any]:
    access.administer(call)
    found = _the_directory(call)
    if not _read(call.vault.open(SEALED, found.configuration)).sync.enabled:
        raise _invalid("The configuration says that nothing is synchronised (sync: enable).")
    durable.signal(call.tx.everyone(), DIRECTORY, NOW)
    return {"Directory": _described(call, found)}


def _the_directory(call: Call) -> Directory:
    found = directory(call.tx.everyone())
    if found is None:
        raise AwsError("DirectoryNotFoundException", "No directory is configured.", status=400)
    return found


def _read(text: str) -> Configuration:
    try:
        return read(text)
    except BadConfiguration as problem:
        raise _invalid(str(problem)) from None


def _invalid(told: str) -> AwsError:
    return AwsError("InvalidConfigurationException", told, status=400)


def _with_credentials(text: str, old: str) -> str:
    document, before = json.loads(text), json.loads(old)["ldap-service"]
    same = all(document["ldap-service"].get(key) == before.get(key) for key in ("server-url", "auth-principal"))
    if same and before.get("auth-credentials"):  # another server must not be told this one's password
        document["ldap-service"]["auth-credentials"] = before["auth-credentials"]
    return json.dumps(document)


def _described(call: Call, found: Directory) -> dict[str, Any]:
    document = json.loads(call.vault.open(SEALED, found.configuration))
    document["ldap-service"].pop("auth-credentials", None)
    last = run_of(call.tx.everyone())
    return {
        "Configuration": json.dumps(document, indent=1),
        "ChangedAt": found.changed_at,
        "IntervalSeconds": found.interval,
        "LastSynchronization": None if last is None else _run(last),
    }


def _run(last: Run) -> dict[str, Any]:
    return {
        "State": last.state.upper(),
        "BeganAt": last.began_at,
        "EndedAt": last.ended_at,
        "Changes": last.changes,
        "Problem": last.problem,
        "Skipped": last.skipped,
    }
