"""Server-side encryption: which of its forms an object shall have, the keys, and what requests and answers say of it.

Each object (each multipart upload) has a data key of its own. SSE-S3 and SSE-KMS keep it sealed by the cloud's master key in the object's attributes;
with SSE-C it is the client's, of which nothing is kept but a salted fingerprint that tells a wrong one. The bytes on the disks are
AES-256-GCM (``engine.crypt``) in each form. Until there is a KMS, a key id of SSE-KMS is a name that is bound to the sealed data key and told back.

An object is not encrypted unless its request or its bucket's default encryption says so: this cloud claims nothing that it does not do.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/serv-side-encryption.html
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from mallee.identity.call import Call
from mallee.identity.vault import Vault
from mallee.objects.engine import crypt
from mallee.objects.engine.base import Content
from mallee.objects.records import Bucket
from mallee.wire.errors import AwsError

AES256, KMS, CUSTOMER = "AES256", "aws:kms", "customer"
_FORMS: Final = (AES256, KMS)
DEFAULT_KMS_KEY: Final = "alias/aws/s3"

Sse = dict[str, Any]
"""In ``attributes["sse"]``: ``form``, ``key`` (the sealed data key) or ``check`` (of the client's), ``kms``, ``md5``, ``context``."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How new bytes are encrypted."""

    sse: Sse
    key: bytes

    def sealer(self) -> Sealing:
        return Sealing(self.key)


class Sealing:
    """Stored bytes of one content: its random prefix, which is no secret, and the sealed segments."""

    __slots__ = ("_head", "_sealer")

    def __init__(self, key: bytes) -> None:
        self._head = crypt.new_prefix()
        self._sealer = crypt.Sealer(key, self._head)

    def update(self, data: bytes | bytearray | memoryview) -> bytes:
        head, self._head = self._head, b""
        return head + self._sealer.update(data)

    def finish(self) -> bytes:
        head, self._head = self._head, b""
        return head + self._sealer.finish()


@dataclass(frozen=True, slots=True)
class Opener:
    """How stored bytes are read."""

    key: bytes

    def opened(self, content: Content, size: int) -> Content:
        return crypt.opened(_Behind(content), self.key, content.read(0, crypt.PREFIX), size)


class _Behind:
    """A content without the prefix at its beginning."""

    __slots__ = ("_content", "size")

    def __init__(self, content: Content) -> None:
        self._content = content
        self.size = content.size - crypt.PREFIX

    def read(self, offset: int, length: int) -> bytes:
        return self._content.read(offset + crypt.PREFIX, length)

    def span(self, offset: int, length: int) -> None:
        return None

    def close(self) -> None:
        self._content.close()


def stored_size(plain: int) -> int:
    return crypt.PREFIX + crypt.stored_size(plain)


def plan(call: Call, bucket: Bucket) -> Plan | None:
    """For an object that the call makes. None: not encrypted. Raises AwsError."""
    given = call.input
    form = given.get("ServerSideEncryption")
    customer = _customer_key(call, given)
    if customer is not None:
        if form is not None:
            told = "Server Side Encryption with Customer provided key is incompatible with the encryption method specified"
            raise AwsError("InvalidArgument", told, status=400, ArgumentName="x-amz-server-side-encryption", ArgumentValue=form)
        return _of_customer(customer)
    kms, context, bucket_key = given.get("SSEKMSKeyId"), given.get("SSEKMSEncryptionContext"), given.get("BucketKeyEnabled")
    if form is None:
        default = default_of(bucket)
        if kms is not None:
            told = "The encryption method specified is not supported"
            raise AwsError("InvalidArgument", told, status=400, ArgumentName="x-amz-server-side-encryption")
        if default is None:
            return None
        form, kms = default["SSEAlgorithm"], default.get("KMSMasterKeyID")
    if form not in _FORMS:
        raise AwsError(
            "InvalidEncryptionAlgorithmError", "The encryption request you specified is not valid. Supported value: AES256.", status=400
        )
    if form == AES256 and kms is not None:
        told = "Server Side Encryption with AWS KMS managed key requires HTTP header x-amz-server-side-encryption : aws:kms"
        raise AwsError("InvalidArgument", told, status=400, ArgumentName="x-amz-server-side-encryption")
    return managed(call.vault, form, kms or DEFAULT_KMS_KEY if form == KMS else None, context, bucket_key)


def managed(vault: Vault, form: str, kms: str | None = None, context: str | None = None, bucket_key: bool | None = None) -> Plan:
    """A new data key, sealed by the master key."""
    key = crypt.new_key()
    sse: Sse = {"form": form}
    if kms is not None:
        sse["kms"] = kms
    if context:
        sse["context"] = context
    if bucket_key:
        sse["bucket_key"] = True
    sse["key"] = base64.b64encode(vault.seal_bytes(_bound(sse), key)).decode("ascii")
    return Plan(sse, key)


def default_of(bucket: Bucket) -> dict[str, Any] | None:
    """The bucket's default encryption."""
    rules = (bucket.configuration("encryption") or {}).get("Rules") or ()
    for rule in rules:
        default: dict[str, Any] | None = rule.get("ApplyServerSideEncryptionByDefault")
        if default is not None:
            return default
    return None


_PARTS_TOO = (
    "The multipart upload initiate requested encryption. Subsequent part requests must include the appropriate encryption parameters."
)


def again(call: Call, sse: Sse | None) -> Plan | None:
    """The plan that an upload began with, for one of its parts."""
    if sse is None:
        if _customer_key(call, call.input) is not None:
            told = "The multipart upload was not initiated with encryption by a customer's key."
            raise AwsError("InvalidRequest", told, status=400)
        return None
    return Plan(sse, _key(call, sse, "", _PARTS_TOO))


def opener(call: Call, sse: Sse | None, prefix: str = "") -> Opener | None:
    """How an object that a call reads is decrypted. ``prefix``: CopySource, where its customer key stands in such members.
    Raises AwsError when the key that belongs to it is not there, or another."""
    if sse is None:
        if _customer_key(call, call.input, prefix) is not None and not (prefix == "" and call.operation == "CopyObject"):
            told = "The encryption parameters are not applicable to this object."
            raise AwsError("InvalidRequest", told, status=400)
        return None
    told = "The object was stored using a form of Server Side Encryption. The correct parameters must be provided to retrieve the object."
    return Opener(_key(call, sse, prefix, told))


def internal_opener(vault: Vault, sse: Sse | None) -> Opener | None:
    """For what the cloud does by itself; it can't read what only a client has the key of."""
    if sse is None:
        return None
    if sse["form"] == CUSTOMER:
        raise AwsError("AccessDenied", "The object is encrypted with a key that only its owner has.", status=403)
    return Opener(vault.open_bytes(_bound(sse), base64.b64decode(sse["key"])))


def _key(call: Call, sse: Sse, prefix: str, missing: str) -> bytes:
    customer = _customer_key(call, call.input, prefix)
    if sse["form"] != CUSTOMER:
        if customer is not None:
            raise AwsError("InvalidRequest", "The encryption parameters are not applicable to this object.", status=400)
        return call.vault.open_bytes(_bound(sse), base64.b64decode(sse["key"]))
    if customer is None:
        raise AwsError("InvalidRequest", missing, status=400)
    if not crypt.is_key_of(customer, base64.b64decode(sse["check"])):
        raise AwsError("AccessDenied", "Access Denied", status=403)
    return customer


def _of_customer(customer: bytes) -> Plan:
    sse = {
        "form": CUSTOMER,
        "check": base64.b64encode(crypt.fingerprint(customer)).decode("ascii"),
        "md5": base64.b64encode(hashlib.md5(customer, usedforsecurity=False).digest()).decode("ascii"),
    }
    return Plan(sse, customer)


def _bound(sse: Sse) -> str:
    return f"object/{sse['form']}/{sse.get('kms', '')}/{sse.get('context', '')}"


def _customer_key(call: Call, given: Mapping[str, Any], prefix: str = "") -> bytes | None:
    """The client's key. Raises AwsError for one that is not whole, or came without TLS over a network where others may listen."""
    algorithm = given.get(f"{prefix}SSECustomerAlgorithm")
    text, md5 = given.get(f"{prefix}SSECustomerKey"), given.get(f"{prefix}SSECustomerKeyMD5")
    if algorithm is None and text is None and md5 is None:
        return None
    if not call.secure and not _is_near(call):
        told = "Requests specifying Server Side Encryption with Customer provided keys must be made over a secure connection."
        raise AwsError("InvalidRequest", told, status=400)
    header = f"x-amz-{'copy-source-' if prefix else ''}server-side-encryption-customer-"
    if algorithm is None:
        told = "Requests specifying Server Side Encryption with Customer provided keys must provide a valid encryption algorithm."
        raise AwsError("InvalidArgument", told, status=400, ArgumentName=header + "algorithm")
    if algorithm != AES256:
        raise AwsError(
            "InvalidEncryptionAlgorithmError", "The encryption request you specified is not valid. Supported value: AES256.", status=400,
            ArgumentName=header + "algorithm", ArgumentValue=algorithm,
        )  # fmt: skip
    if text is None:
        told = "Requests specifying Server Side Encryption with Customer provided keys must provide an appropriate secret key."
        raise AwsError("InvalidArgument", told, status=400, ArgumentName=header + "key")
    if md5 is None:
        told = "Requests specifying Server Side Encryption with Customer provided keys must provide the client calculated MD5 of the secret key."
        raise AwsError("InvalidArgument", told, status=400, ArgumentName=header + "key-MD5")
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != 32:
        told = "The secret key was invalid for the specified algorithm."
        raise AwsError("InvalidArgument", told, status=400, ArgumentName=header + "key")
    if not crypt.has_md5(key, md5):
        told = "The calculated MD5 hash of the key did not match the hash that was provided."
        raise AwsError("InvalidArgument", told, status=400, ArgumentName=header + "key-MD5")
    return key


def _is_near(call: Call) -> bool:
    """Whether the client is on this host: then nobody is between."""
    return not call.source_vpc and call.source_ip in ("127.0.0.1", "::1")


def described(sse: Sse | None) -> dict[str, Any]:
    """Members of an answer."""
    if sse is None:
        return {}
    if sse["form"] == CUSTOMER:
        return {"SSECustomerAlgorithm": AES256, "SSECustomerKeyMD5": sse["md5"]}
    found: dict[str, Any] = {"ServerSideEncryption": sse["form"]}
    if sse.get("kms"):
        found["SSEKMSKeyId"] = sse["kms"]
    if sse.get("bucket_key"):
        found["BucketKeyEnabled"] = True
    return found
