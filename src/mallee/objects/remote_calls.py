"""Calls to another S3 endpoint: signed (version 4), streamed, and answered with what matters of the answer.

A body is sent as it is read. What vouches for it is its MD5, which is under the signature; where that is not known before (parts of an
upload), the ETag of the answer is compared.
"""

from __future__ import annotations

import datetime
import hashlib
import hmac
import http.client
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote, urlsplit
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from mallee.identity.signature import sigv4

SECONDS: Final = 60.0
CONNECT: Final = 10.0
"""That a connection may take; ``SECONDS`` for each piece that is sent or received."""
_MOST: Final = 1024 * 1024  # bytes of an answer


class RemoteError(Exception):
    """What the other endpoint answers, or that it doesn't (``away``). ``lasting``: trying again will not help."""

    def __init__(self, told: str, *, lasting: bool = False, away: bool = False) -> None:
        super().__init__(told)
        self.lasting = lasting
        self.away = away


@dataclass(frozen=True, slots=True)
class Endpoint:
    """``url``: scheme, host, port, and a path before the buckets if there is one."""

    url: str
    region: str
    access_key_id: str
    secret: str = field(repr=False)
    authority: str | None = None


@dataclass(frozen=True, slots=True)
class Answered:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def etag(self) -> str:
        return self.headers.get("etag", "").strip('"')

    def text(self, name: str) -> str:
        """An element of the answer's document."""
        try:
            root = ElementTree.fromstring(self.body)
        except ElementTree.ParseError:
            raise RemoteError("the endpoint's answer cannot be read") from None
        return next((each.text or "" for each in root.iter() if each.tag.rpartition("}")[2] == name), "")


Body = bytes | Iterator[bytes]


def call(
    endpoint: Endpoint, method: str, bucket: str, key: bytes, query: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None, body: Body = b"", length: int | None = None,
) -> Answered:  # fmt: skip
    """Raises RemoteError."""
    target = urlsplit(endpoint.url)
    path = f"{target.path.rstrip('/')}/{quote(bucket)}/{quote(key, safe='/-_.~')}"
    pairs = sorted((query or {}).items())
    text = "&".join(f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in pairs)
    size = len(body) if isinstance(body, bytes) else length
    payload = hashlib.sha256(body).hexdigest() if isinstance(body, bytes) else sigv4.UNSIGNED
    sent = {"host": target.netloc, "content-length": str(size or 0), **(headers or {})}
    signed = _signed(endpoint, method, path, pairs, sent, payload)
    context = ssl.create_default_context(cadata=endpoint.authority) if target.scheme == "https" else None
    host, port = target.hostname or "", target.port
    connection: http.client.HTTPConnection
    if context is not None:
        connection = http.client.HTTPSConnection(host, port, timeout=SECONDS, context=context)
    else:
        connection = http.client.HTTPConnection(host, port, timeout=SECONDS)
    try:
        connection.timeout = CONNECT
        connection.connect()
        connection.sock.settimeout(SECONDS)
        connection.putrequest(method, f"{path}?{text}" if text else path, skip_host=True, skip_accept_encoding=True)
        for name, value in signed.items():
            connection.putheader(name, value.encode("utf-8"))
        connection.endheaders()
        try:
            for block in (body,) if isinstance(body, bytes) else body:
                if block:
                    connection.send(block)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it refuses without reading all of it, and says so
        answer = connection.getresponse()
        told = Answered(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read(_MOST))
    except (OSError, http.client.HTTPException) as problem:
        raise RemoteError(f"{target.netloc} does not answer: {problem or type(problem).__name__}", away=True) from problem
    finally:
        connection.close()
    if told.status >= 300:
        raise _refused(target.netloc, told)
    return told


def _refused(host: str, told: Answered) -> RemoteError:
    """A refusal that no other time will change: who asks, or what is asked for, is wrong. Its clock may be, too, and gets time."""
    try:
        code = told.text("Code")
    except RemoteError:
        code = ""
    passing = told.status >= 500 or told.status in (408, 409, 429) or code in ("RequestTimeTooSkewed", "RequestTimeout", "SlowDown")
    return RemoteError(f"{host} answers {told.status} {code}".rstrip(), lasting=400 <= told.status < 500 and not passing)


def _signed(
    endpoint: Endpoint, method: str, path: str, pairs: list[tuple[str, str]], headers: dict[str, str], payload: str
) -> dict[str, str]:
    now = datetime.datetime.now(datetime.UTC)
    stamp = now.strftime("%Y%m%dT%H%M%SZ")
    sent = {**headers, "x-amz-date": stamp, "x-amz-content-sha256": payload}
    names = tuple(sorted(name for name in sent if name != "content-length"))
    folded = {name: " ".join(sent[name].encode("utf-8").decode("latin-1").split()) for name in names}
    claim = sigv4.Claim(endpoint.access_key_id, stamp[:8], endpoint.region, "s3", names, "", stamp, now, headers=folded)
    raw = [(name.encode(), value.encode()) for name, value in pairs]
    canonical = sigv4.canonical_request(claim, method, path.encode(), raw, payload, s3=True)
    text = "\n".join((sigv4.ALGORITHM, stamp, claim.scope, hashlib.sha256(canonical).hexdigest()))
    key = sigv4.signing_key(endpoint.secret, stamp[:8], endpoint.region, "s3")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    sent["authorization"] = (
        f"{sigv4.ALGORITHM} Credential={endpoint.access_key_id}/{claim.scope}, SignedHeaders={';'.join(names)}, Signature={signature}"
    )
    return sent


# --------------------------------------------------------------------------------------------------------------- objects


def put_part(endpoint: Endpoint, bucket: str, key: bytes, upload_id: str, number: int, flow: Iterator[bytes], length: int) -> str:
    """Its ETag, which is that of the bytes that were sent, unless the endpoint makes ETags of something else."""
    digest = hashlib.md5(usedforsecurity=False)

    def hashed() -> Iterator[bytes]:
        for block in flow:
            digest.update(block)
            yield block

    query = {"partNumber": str(number), "uploadId": upload_id}
    told = call(endpoint, "PUT", bucket, key, query, None, hashed(), length)
    if told.headers.get("x-amz-server-side-encryption", "AES256") == "AES256" and told.etag != digest.hexdigest():
        raise RemoteError("the endpoint has received other bytes than were sent")
    return told.etag


def begin(endpoint: Endpoint, bucket: str, key: bytes, headers: Mapping[str, str]) -> str:
    return call(endpoint, "POST", bucket, key, {"uploads": ""}, headers).text("UploadId")


def complete(endpoint: Endpoint, bucket: str, key: bytes, upload_id: str, etags: list[str]) -> Answered:
    parts = "".join(
        f"<Part><PartNumber>{number}</PartNumber><ETag>&quot;{escape(etag)}&quot;</ETag></Part>" for number, etag in enumerate(etags, 1)
    )
    body = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
    told = call(endpoint, "POST", bucket, key, {"uploadId": upload_id}, {"content-type": "application/xml"}, body)
    if b"<Error>" in told.body:  # 200 may come before all is done
        raise RemoteError(f"the upload was not completed: {told.text('Code')}")
    return told


def abort(endpoint: Endpoint, bucket: str, key: bytes, upload_id: str) -> None:
    call(endpoint, "DELETE", bucket, key, {"uploadId": upload_id})


def tagging(tags: Mapping[str, str]) -> bytes:
    found = "".join(f"<Tag><Key>{escape(name)}</Key><Value>{escape(value)}</Value></Tag>" for name, value in tags.items())
    return f"<Tagging><TagSet>{found}</TagSet></Tagging>".encode()


