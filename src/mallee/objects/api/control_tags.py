"""Tags of buckets by ARN: the same tags that PutBucketTagging sets, one by one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mallee.identity.access import Access, Check
from mallee.identity.call import Call
from mallee.objects import access, kinds, lookup, records
from mallee.objects.control import own_account
from mallee.objects.records import Bucket
from mallee.objects.rules import tags
from mallee.objects.rules.refusals import denied, invalid
from mallee.wire.errors import AwsError


def _on_resource(action: str) -> Access:
    def find(call: Call) -> Iterable[Check]:
        yield access.on_bucket(call, _the_bucket(call), action)

    return Access(find=find, action=action, shared=True)


ACCESS = {
    "list_tags_for_resource": _on_resource("s3:ListTagsForResource"),
    "tag_resource": _on_resource("s3:TagResource"),
    "untag_resource": _on_resource("s3:UntagResource"),
}


def list_tags_for_resource(call: Call) -> dict[str, Any]:
    return {"Tags": tags.to_set(_tags(_fresh(call)))}


def tag_resource(call: Call) -> dict[str, Any]:
    """Tags of the same keys are replaced."""
    found = _fresh(call)
    _set(call, found, _tags(found) | tags.from_set(call.input["Tags"], tags.MOST_OF_BUCKET))
    return {}


def untag_resource(call: Call) -> dict[str, Any]:
    found = _fresh(call)
    _set(call, found, {key: value for key, value in _tags(found).items() if key not in call.input["TagKeys"]})
    return {}


def _the_bucket(call: Call) -> Bucket:
    own_account(call)
    arn = call.input["ResourceArn"]
    prefix, _, name = arn.rpartition(":")
    if prefix != f"arn:{call.settings.partition}:s3::" or not name or "/" in name:
        raise invalid("The resource ARN is not that of a bucket: only buckets have tags here.", "resourceArn", arn)
    found = lookup.existing(call.tx, name)
    if found.account_id != call.account_id:
        raise denied()
    return found


def _fresh(call: Call) -> Bucket:
    """As the database has it now."""
    asked = _the_bucket(call)
    found = records.bucket(call.tx, asked.name)
    if found is None or found.id != asked.id:
        raise lookup.no_such_bucket(call.input["ResourceArn"].rpartition(":")[2])
    return found


def _tags(found: Bucket) -> dict[str, str]:
    document = found.configuration(kinds.TAGGING) or {"TagSet": []}
    return {tag["Key"]: tag["Value"] for tag in document["TagSet"]}


def _set(call: Call, found: Bucket, wanted: dict[str, str]) -> None:
    if len(wanted) > tags.MOST_OF_BUCKET:
        raise AwsError("TooManyTags", "A bucket cannot have more than 50 tags", status=400)
    if found.internal:
        raise denied()
    if wanted:
        records.configure(call.tx, found, kinds.TAGGING, {"TagSet": tags.to_set(wanted)})
    else:
        records.unconfigure(call.tx, found, kinds.TAGGING)
    lookup.forget_after(call.tx, found.name)
