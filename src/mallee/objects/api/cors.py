"""CORS configurations of buckets."""

from __future__ import annotations

import json
from typing import Any

from mallee.identity.call import Call
from mallee.objects import access, buckets, kinds
from mallee.objects.rules import cors_checks
from mallee.objects.rules.refusals import malformed

ACCESS = {
    "get_bucket_cors": access.bucket("s3:GetBucketCORS"),
    "put_bucket_cors": access.bucket("s3:PutBucketCORS"),
    "delete_bucket_cors": access.bucket("s3:PutBucketCORS"),
}

_LARGEST = 64 * 1024


def get_bucket_cors(call: Call) -> dict[str, Any]:
    found = buckets.the_bucket(call)
    document = found.configuration(kinds.CORS)
    if document is None:
        raise buckets.missing("NoSuchCORSConfiguration", "The CORS configuration does not exist", found)
    return document


def put_bucket_cors(call: Call) -> None:
    given = call.input["CORSConfiguration"]
    cors_checks.check(given["CORSRules"])
    if len(json.dumps(given).encode()) > _LARGEST:
        raise malformed()
    buckets.put(call, kinds.CORS, given)


def delete_bucket_cors(call: Call) -> None:
    buckets.delete(call, kinds.CORS)
