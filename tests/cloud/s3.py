"""What tests of S3 have in common: buckets of a kind, policies, clients that sign nothing."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

from botocore import UNSIGNED

from tests.cloud.harness import Account, TestCloud

NAME = "a-bucket"
OPEN = {"BlockPublicAcls": False, "IgnorePublicAcls": False, "BlockPublicPolicy": False, "RestrictPublicBuckets": False}


def bucket(
    cloud: TestCloud,
    name: str = NAME,
    *,
    versioning: str = "",
    ownership: str = "",
    public: bool = False,
    lock: bool = False,
    account: Account | None = None,
) -> Any:
    """A new bucket, and the client of its owner. ``public``: nothing is blocked that would let the public in."""
    s3 = cloud.client("s3", account=account)
    s3.create_bucket(Bucket=name, **({"ObjectLockEnabledForBucket": True} if lock else {}), **({"ObjectOwnership": ownership} if ownership else {}))
    if versioning:
        version(s3, name, versioning)
    if public:
        s3.put_public_access_block(Bucket=name, PublicAccessBlockConfiguration=OPEN)
    return s3


def version(s3: Any, name: str = NAME, status: str = "Enabled") -> None:
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": status})


def unsigned(cloud: TestCloud) -> Any:
    return cloud.client("s3", signature_version=UNSIGNED)


def allow(s3: Any, *actions: str, name: str = NAME, to: Any = "*", on: str = "/*", effect: str = "Allow", **condition: Any) -> None:
    """The bucket's policy, of one statement."""
    statement: dict[str, Any] = {
        "Effect": effect, "Principal": to, "Action": list(actions), "Resource": f"arn:aws:s3:::{name}{on}",
    }  # fmt: skip
    if condition:
        statement["Condition"] = condition
    s3.put_bucket_policy(Bucket=name, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))


def with_headers(cloud: TestCloud, headers: dict[str, str], account: Account | None = None) -> Any:
    """A client whose requests have these headers besides (signed), or not (the empty string)."""
    made = cloud.client("s3", account=account, user_agent_extra=repr(sorted(headers.items())))

    def change(request: Any, **_: Any) -> None:
        for name, value in headers.items():
            if name in request.headers:
                del request.headers[name]
            if value:
                request.headers[name] = value

    made.meta.events.register("before-sign.s3", change)
    return made


def presigned(cloud: TestCloud, url: str, method: str = "GET", body: bytes = b"", **headers: str) -> tuple[int, dict[str, str], bytes]:
    """What a browser would get from such a URL."""
    target = urlsplit(url)
    sent = [(b"host", target.netloc.encode())]
    headers.setdefault("content_length", str(len(body)))
    sent += [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return cloud.request(method, target.path, target.query, sent, body)
