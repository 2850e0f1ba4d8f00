"""What botocore's models no longer tell: names that a service's older protocol needs.

An overlay maps shape names to traits of the shape, and of its ``member``, ``key`` and ``value``; it applies to one
protocol of one service, or to all of them ("").

SQS's model describes its JSON protocol only, and dropped the element names of the query protocol, which older clients
still speak. S3's does not tell of all the canned ACLs that buckets take, wants a bucket before the key of what is to be
renamed, which clients leave out, and the slash of a copy's source in the clear, which clients encode; values that S3 has
errors of its own for are checked by the operations. S3 Control's has a pattern of ARNs that no bucket's ARN meets.
"""

from __future__ import annotations

from typing import Any, TypeAlias

Overlay: TypeAlias = dict[str, dict[str, Any]]


def _list(name: str) -> dict[str, Any]:
    return {"member": {"locationName": name}}


def _map(name: str, key: str = "Name") -> dict[str, Any]:
    return {"locationName": name, "key": {"locationName": key}, "value": {"locationName": "Value"}}


_SQS_QUERY: Overlay = {
    "AWSAccountIdList": _list("AWSAccountId"),
    "ActionNameList": _list("ActionName"),
    "AttributeNameList": _list("AttributeName"),
    "BatchResultErrorEntryList": _list("BatchResultErrorEntry"),
    "BinaryList": _list("BinaryListValue"),
    "ChangeMessageVisibilityBatchRequestEntryList": _list("ChangeMessageVisibilityBatchRequestEntry"),
    "ChangeMessageVisibilityBatchResultEntryList": _list("ChangeMessageVisibilityBatchResultEntry"),
    "DeleteMessageBatchRequestEntryList": _list("DeleteMessageBatchRequestEntry"),
    "DeleteMessageBatchResultEntryList": _list("DeleteMessageBatchResultEntry"),
    "ListMessageMoveTasksResultEntryList": _list("ListMessageMoveTasksResultEntry"),
    "MessageAttributeNameList": _list("MessageAttributeName"),
    "MessageBodyAttributeMap": _map("MessageAttribute"),
    "MessageBodySystemAttributeMap": _map("MessageSystemAttribute"),
    "MessageList": _list("Message"),
    "MessageSystemAttributeList": _list("MessageSystemAttributeName"),
    "MessageSystemAttributeMap": _map("Attribute"),
    "QueueAttributeMap": _map("Attribute"),
    "QueueUrlList": _list("QueueUrl"),
    "SendMessageBatchRequestEntryList": _list("SendMessageBatchRequestEntry"),
    "SendMessageBatchResultEntryList": _list("SendMessageBatchResultEntry"),
    "StringList": _list("StringListValue"),
    "TagKeyList": _list("TagKey"),
    "TagMap": _map("Tag", "Key"),
}

_S3: Overlay = {
    "BucketCannedACL": {
        "enum": [
            "private", "public-read", "public-read-write", "authenticated-read", "aws-exec-read", "bucket-owner-read",
            "bucket-owner-full-control", "log-delivery-write",
        ]
    },
    "CopySource": {"pattern": ".+"}, "RenameSource": {"pattern": ".+"},
    "CompressionType": {"enum": []}, "ExpressionType": {"enum": []}, "FileHeaderInfo": {"enum": []}, "JSONType": {"enum": []},
    "ObjectAttributes": {"enum": []}, "QuoteFields": {"enum": []},
}  # fmt: skip

_S3_CONTROL: Overlay = {"S3ResourceArn": {"pattern": "arn:[^:]+:s3(express)?:.*"}}

OVERLAYS: dict[tuple[str, str], Overlay] = {("sqs", "query"): _SQS_QUERY, ("s3", ""): _S3, ("s3control", ""): _S3_CONTROL}
