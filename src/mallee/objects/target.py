"""An object that a call is about, read from the index when something asks what only it can tell, and then once."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from mallee.identity.call import Call
from mallee.objects import store
from mallee.objects.records import ENFORCED, Bucket

if TYPE_CHECKING:
    from mallee.objects.index.rows import Version

NOBODYS = "-"
"""In the place of the account that owns what was put by somebody without one."""


class Target:
    """``version`` is None where there is no such object or version; a delete marker is one. ``match``: the ETag that one of many must have."""

    def __init__(self, call: Call, bucket: Bucket, key: str, version_id: str | None = None, match: str | None = None) -> None:
        self._call = call
        self.bucket = bucket
        self.key = key
        self.version_id = version_id
        self.match = match

    @property
    def resource(self) -> str:
        return self._call.arn(f"{self.bucket.name}/{self.key}", "s3")

    @cached_property
    def version(self) -> Version | None:
        from mallee.objects.index import versions

        key = self.key.encode("utf-8", "surrogatepass")
        with store.of(self._call).index.reading() as tx:
            if self.version_id is None:
                return versions.current(tx, self.bucket.id, key)
            return versions.version(tx, self.bucket.id, key, self.version_id)

    @property
    def tags(self) -> dict[str, str]:
        version = self.version
        return {} if version is None else dict(version.attributes.get("tags") or {})

    @property
    def owner(self) -> str:
        """The account that it belongs to: the bucket's where there is no such object, or where that owns everything."""
        if self.bucket.ownership == ENFORCED or self.version is None:
            return self.bucket.account_id
        return self.version.owner or NOBODYS

    def is_uploader(self, upload_id: str) -> bool:
        """Whether the caller's account began the multipart upload."""
        from mallee.objects.index import uploads

        with store.of(self._call).index.reading() as tx:
            found = uploads.get(tx, self.bucket.id, self.key.encode("utf-8", "surrogatepass"), upload_id)
        initiator = "" if found is None else found.initiator.partition(" ")[0]
        return bool(initiator) and initiator == self._call.account_id
