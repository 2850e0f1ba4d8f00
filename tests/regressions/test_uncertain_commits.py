"""A commit of which it is not known whether it happened: the bytes of a large object were thrown away, and the row that was there referred to
nothing."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from mallee.store.errors import UNREACHABLE, unavailable
from tests.cloud.harness import TestCloud
from tests.cloud.s3 import NAME, bucket


def test_the_object_is_the_new_one_or_the_old_one(sqlite_cloud: TestCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    s3 = bucket(sqlite_cloud)
    for kind in ("put", "part"):
        old, new = b"o" * 300_000, b"n" * 300_000
        s3.put_object(Bucket=NAME, Key="key", Body=old)
        upload = s3.create_multipart_upload(Bucket=NAME, Key="key")["UploadId"]
        engine: Any = sqlite_cloud.cloud.objects.index.database.engine
        commit = engine.commit

        def lost(session: Any, commit: Any = commit) -> None:
            commit(session)
            raise unavailable(UNREACHABLE, "the connection was lost")

        with monkeypatch.context() as patch, pytest.raises(ClientError) as refused:
            patch.setattr(type(engine), "commit", lambda self, session: lost(session))
            if kind == "put":
                s3.put_object(Bucket=NAME, Key="key", Body=new)
            else:
                s3.upload_part(Bucket=NAME, Key="key", UploadId=upload, PartNumber=1, Body=new)
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
        if kind == "part":
            (part,) = s3.list_parts(Bucket=NAME, Key="key", UploadId=upload)["Parts"]
            given = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
            s3.complete_multipart_upload(Bucket=NAME, Key="key", UploadId=upload, MultipartUpload=given)
        assert s3.get_object(Bucket=NAME, Key="key")["Body"].read() == new
