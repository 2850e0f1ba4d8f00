"""A bucket that got versions and locks a moment ago was remembered as one without them, and a put replaced the null version under its lock."""

from __future__ import annotations

import pytest

from mallee.objects import store
from mallee.objects.index import renames, versions
from mallee.objects.index.locks import VersionLocked
from mallee.objects.index.rows import New
from tests.cloud.harness import TestCloud
from tests.cloud.s3 import NAME, bucket, version


@pytest.mark.parametrize("older", [False, True])
@pytest.mark.parametrize("state", ["", "Suspended"])
def test_nothing_replaces_it(cloud: TestCloud, state: str, older: bool) -> None:
    s3 = bucket(cloud)
    s3.put_object(Bucket=NAME, Key="key", Body=b"kept")
    s3.put_object(Bucket=NAME, Key="other", Body=b"other")
    version(s3)
    s3.put_object_lock_configuration(Bucket=NAME, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled"})
    s3.put_object_legal_hold(Bucket=NAME, Key="key", LegalHold={"Status": "ON"})
    if older:
        s3.put_object(Bucket=NAME, Key="key", Body=b"newer")
    index = store.at(cloud.database).index
    with cloud.database.reading() as tx:
        from mallee.objects import records

        there = records.bucket(tx, NAME)
    assert there is not None
    new = New(there.id, b"key", 0, "0" * 32, there.account_id, ())
    with pytest.raises(VersionLocked):
        index.run(lambda tx: versions.put(tx, state, new))
    if state or not older:
        with pytest.raises(VersionLocked):
            index.run(lambda tx: versions.delete(tx, state, there.id, b"key", there.account_id))
    if not older:
        for pair in ((b"key", b"elsewhere"), (b"other", b"key")):
            with pytest.raises(VersionLocked):
                index.run(lambda tx, pair=pair: renames.rename(tx, there.id, *pair))
    assert s3.get_object(Bucket=NAME, Key="key", VersionId="null")["Body"].read() == b"kept"
    assert s3.get_object(Bucket=NAME, Key="other", VersionId="null")["Body"].read() == b"other"
