"""Default encryption of buckets: how objects are encrypted whose requests don't say. Without a configuration they are not (AWS has encrypted
everything since 2023; here who wants it says so)."""

from __future__ import annotations

from typing import Any

from mallee.identity.call import Call
from mallee.objects import access, buckets, kinds
from mallee.objects.rules.refusals import invalid, malformed

ACCESS = {
    "get_bucket_encryption": access.bucket("s3:GetEncryptionConfiguration"),
    "put_bucket_encryption": access.bucket("s3:PutEncryptionConfiguration"),
    "delete_bucket_encryption": access.bucket("s3:PutEncryptionConfiguration"),
}

_BLOCKABLE = ("NONE", "SSE-C")


def get_bucket_encryption(call: Call) -> dict[str, Any]:
    found = buckets.the_bucket(call)
    document = found.configuration(kinds.ENCRYPTION)
    if document is None:
        told = "The server side encryption configuration was not found"
        raise buckets.missing("ServerSideEncryptionConfigurationNotFoundError", told, found)
    return {"ServerSideEncryptionConfiguration": document}


def put_bucket_encryption(call: Call) -> None:
    given = call.input["ServerSideEncryptionConfiguration"]
    if len(given["Rules"]) != 1:
        raise malformed()
    rule = given["Rules"][0]
    default = rule.get("ApplyServerSideEncryptionByDefault")
    if default is not None:
        if default["SSEAlgorithm"] == "AES256" and "KMSMasterKeyID" in default:
            raise invalid("a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms or aws:kms:dsse")
        if default["SSEAlgorithm"] not in ("AES256", "aws:kms", "aws:kms:dsse"):
            raise malformed()
    elif not rule:
        raise malformed()
    buckets.put(call, kinds.ENCRYPTION, given)


def delete_bucket_encryption(call: Call) -> None:
    buckets.delete(call, kinds.ENCRYPTION)
