"""Notification configurations of buckets. There are no queues, topics and functions in this cloud yet, so that whoever names one is told, in
AWS's words, that it cannot be reached: nothing is stored that nobody would be notified by."""

from __future__ import annotations

import re
from typing import Any

from mallee.identity.call import Call
from mallee.objects import access, buckets, kinds
from mallee.objects.rules.refusals import invalid
from mallee.wire.errors import AwsError

ACCESS = {
    "get_bucket_notification": access.bucket("s3:GetBucketNotification"),
    "get_bucket_notification_configuration": access.bucket("s3:GetBucketNotification"),
    "put_bucket_notification": access.bucket("s3:PutBucketNotification"),
    "put_bucket_notification_configuration": access.bucket("s3:PutBucketNotification"),
}

_ARN = re.compile(r"arn:[a-z-]+:(?P<service>[a-z]+):[a-z0-9-]*:\d{12}:.+", re.ASCII)
_DESTINATIONS = {
    "TopicConfigurations": ("TopicArn", "sns", "topic"),
    "QueueConfigurations": ("QueueArn", "sqs", "queue"),
    "LambdaFunctionConfigurations": ("LambdaFunctionArn", "lambda", "Lambda function"),
}


def get_bucket_notification_configuration(call: Call) -> dict[str, Any]:
    return buckets.the_bucket(call).configuration(kinds.NOTIFICATION) or {}


def get_bucket_notification(call: Call) -> dict[str, Any]:
    buckets.the_bucket(call)
    return {}


def put_bucket_notification_configuration(call: Call) -> None:
    """An empty configuration turns notifications off."""
    given = call.input["NotificationConfiguration"]
    if "EventBridgeConfiguration" in given:
        told = "A header or element you provided implies functionality that is not implemented: Mallee does not have EventBridge."
        raise AwsError("NotImplemented", told, status=501)
    _refuse([(each[arn], service, what) for many, (arn, service, what) in _DESTINATIONS.items() for each in given.get(many, ())])
    buckets.delete(call, kinds.NOTIFICATION)


def put_bucket_notification(call: Call) -> None:
    given = call.input["NotificationConfiguration"]
    single = (
        ("TopicConfiguration", "Topic", "sns", "topic"),
        ("QueueConfiguration", "Queue", "sqs", "queue"),
        ("CloudFunctionConfiguration", "CloudFunction", "lambda", "Lambda function"),
    )
    _refuse([(given[one].get(arn, ""), service, what) for one, arn, service, what in single if given.get(one)])
    buckets.delete(call, kinds.NOTIFICATION)


def _refuse(destinations: list[tuple[str, str, str]]) -> None:
    """Raises unless there are none."""
    fields: dict[str, Any] = {}
    for number, (arn, service, what) in enumerate(destinations, 1):
        parts = _ARN.fullmatch(arn)
        if parts is None:
            raise invalid("The ARN could not be parsed", "ARN", arn)
        if parts["service"] != service:
            raise invalid("The ARN is not well formed", "ARN", arn)
        fields |= {f"ArgumentName{number}": f"{arn}, null", f"ArgumentValue{number}": f"The destination {what} does not exist"}
    if fields:
        raise AwsError("InvalidArgument", "Unable to validate the following destination configurations", status=400, **fields)
