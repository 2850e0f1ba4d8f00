"""A damaged object was answered 500, as if the fault were Mallee's, with a trace in the log."""

from __future__ import annotations

from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from tests.cloud.harness import TestCloud
from tests.cloud.s3 import NAME, bucket


@pytest.mark.parametrize("size", [1000, 200_000])
def test_it_is_unavailable(sqlite_cloud: TestCloud, size: int) -> None:
    s3 = bucket(sqlite_cloud)
    body = b"0123456789" * (size // 10)
    s3.put_object(Bucket=NAME, Key="key", Body=body)
    (found,) = (each for each in Path(sqlite_cloud.settings.objects_disks[0]).rglob("*") if each.is_file() and body in each.read_bytes())
    found.write_bytes(found.read_bytes().replace(body, body[:500] + b"!" + body[501:]))
    with pytest.raises(ClientError) as refused:
        s3.get_object(Bucket=NAME, Key="key")
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
    assert refused.value.response["Error"]["Code"] == "ServiceUnavailable"
    assert sqlite_cloud.cloud.dispatcher.faults == 0
