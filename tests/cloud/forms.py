"""A browser that sends forms to S3."""

from __future__ import annotations

import base64
import datetime
import hashlib
import hmac
import json
from typing import Any

from tests.cloud.harness import Account, TestCloud
from tests.cloud.s3 import NAME

BOUNDARY = b"----WebKitFormBoundaryx"
Answer = tuple[int, dict[str, str], bytes]


def encoded(fields: dict[str, Any], content: bytes | None = b"the content", filename: str = "file.txt", after: bytes = b"--\r\n") -> bytes:
    """``content``: None for a form without a file."""
    parts = []
    for name, value in fields.items():
        raw = value if isinstance(value, bytes) else str(value).encode()
        parts.append(b'--%s\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % (BOUNDARY, name.encode(), raw))
    if content is not None:
        head = f'Content-Disposition: form-data; name="file"; filename="{filename}"\r\nContent-Type: image/x-never\r\n\r\n'
        parts.append(b"--%s\r\n%s%s\r\n" % (BOUNDARY, head.encode(), content))
    return b"".join(parts) + b"--" + BOUNDARY + after


def send(cloud: TestCloud, body: bytes, path: str = f"/{NAME}", host: str = "mallee.test:8773", **headers: str) -> Answer:
    given = {
        "host": host, "content-type": f"multipart/form-data; boundary={BOUNDARY.decode()}", "content-length": str(len(body)),
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }  # fmt: skip
    return cloud.request("POST", path, headers=[(name.encode(), value.encode()) for name, value in given.items()], body=body)


def signed(
    cloud: TestCloud,
    fields: dict[str, Any] | None = None,
    conditions: list[Any] | None = None,
    key: str = "key",
    account: Account | None = None,
    **options: Any,
) -> dict[str, Any]:
    """The fields of a form that boto3 signed: all of ``fields`` as they are, and ``conditions``."""
    fields = dict(fields or {})
    allowed = [{name: value} for name, value in fields.items()] + (conditions or [])
    client = cloud.client("s3", account=account)
    made = client.generate_presigned_post(Bucket=NAME, Key=key, Fields=fields, Conditions=allowed, **options)
    return dict(made["fields"])


def post(cloud: TestCloud, fields: dict[str, Any] | None = None, content: bytes | None = b"the content", **options: Any) -> Answer:
    form = {name: options.pop(name) for name in ("filename", "after") if name in options}
    sending = {name: options.pop(name) for name in ("path", "host") if name in options}
    return send(cloud, encoded(signed(cloud, fields, **options), content, **form), **sending)


def signed_by(cloud: TestCloud, policy: str, key: str = "key", version: int = 4, account: Account | None = None) -> dict[str, Any]:
    """The fields of a form with just this policy."""
    credentials = (account or cloud.admin).credentials
    secret = credentials.secret_access_key
    text = base64.b64encode(policy.encode()).decode()
    if version == 2:
        signature = base64.b64encode(hmac.digest(secret.encode(), text.encode(), "sha1")).decode()
        return {"key": key, "AWSAccessKeyId": credentials.access_key_id, "policy": text, "signature": signature}
    now = datetime.datetime.now(datetime.UTC)
    day = now.strftime("%Y%m%d")
    signing = b"AWS4" + secret.encode()
    for part in (day, cloud.settings.region, "s3", "aws4_request"):
        signing = hmac.digest(signing, part.encode(), "sha256")
    return {
        "key": key,
        "policy": text,
        "x-amz-algorithm": "AWS4-HMAC-SHA256",
        "x-amz-credential": f"{credentials.access_key_id}/{day}/{cloud.settings.region}/s3/aws4_request",
        "x-amz-date": now.strftime("%Y%m%dT%H%M%SZ"),
        "x-amz-signature": hmac.new(signing, text.encode(), hashlib.sha256).hexdigest(),
    }


def policy(*conditions: Any, hours: float = 1) -> str:
    """One that allows any key and the fields of a version 4 signature, and what the conditions say."""
    until = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=hours)
    signing = [["starts-with", f"$x-amz-{name}", ""] for name in ("algorithm", "credential", "date")]
    allowed = [{"bucket": NAME}, ["starts-with", "$key", ""], *signing]
    return json.dumps({"expiration": until.strftime("%Y-%m-%dT%H:%M:%SZ"), "conditions": [*allowed, *conditions]})
