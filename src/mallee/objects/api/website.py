"""Website configurations of buckets."""

from __future__ import annotations

from typing import Any

from mallee.identity.call import Call
from mallee.objects import access, buckets, kinds
from mallee.objects.rules import website_checks

ACCESS = {
    "get_bucket_website": access.bucket("s3:GetBucketWebsite"),
    "put_bucket_website": access.bucket("s3:PutBucketWebsite"),
    "delete_bucket_website": access.bucket("s3:DeleteBucketWebsite"),
}


def get_bucket_website(call: Call) -> dict[str, Any]:
    found = buckets.the_bucket(call)
    document = found.configuration(kinds.WEBSITE)
    if document is None:
        told = "The specified bucket does not have a website configuration"
        raise buckets.missing("NoSuchWebsiteConfiguration", told, found)
    return document


def put_bucket_website(call: Call) -> None:
    given = call.input["WebsiteConfiguration"]
    website_checks.check(given)
    buckets.put(call, kinds.WEBSITE, given)


def delete_bucket_website(call: Call) -> None:
    buckets.delete(call, kinds.WEBSITE)
