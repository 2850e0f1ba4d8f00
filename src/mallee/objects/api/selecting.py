"""SelectObjectContent: SQL over one object, answered as a stream of events while the object is read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mallee.identity.call import Call, Outside, prepared_by, reads
from mallee.objects import access, attributes, encryption, lookup, reading, select, store
from mallee.objects.index.rows import Version
from mallee.objects.reading import Outflow
from mallee.objects.rules.refusals import denied
from mallee.objects.select import events
from mallee.wire.errors import AwsError

ACCESS = {"select_object_content": access.object_("GetObject", acl=access.READ)}


def _begun(call: Call) -> Outside:
    """What is wrong with the request is found here; what is wrong with the object, up to the first event, beside any transaction."""
    given = call.input
    if call.principal.kind == "anonymous":
        raise denied()  # whatever anybody may read
    bucket, key = lookup.bucket(call), attributes.key(call)
    if given["ExpressionType"] != "SQL":
        raise AwsError("InvalidExpressionType", "The ExpressionType is invalid. Only SQL expressions are supported.", status=400)
    objects = store.of(call)

    def opened(found: Version) -> tuple[select.Query, bytes | Outflow]:
        reading.check_archived(found, call.now)
        opener = encryption.opener(call, found.attributes.get("sse"))
        query = select.compile(
            given["Expression"], given["InputSerialization"], given["OutputSerialization"], given.get("ScanRange"), found.size
        )
        first = min(query.first_byte, found.size)
        return query, reading.body(objects, found, first, found.size - first, opener)

    query, body = reading.opened(call, bucket, key, None, opened)
    progress = bool((given.get("RequestProgress") or {}).get("Enabled"))
    return Outside(lambda: _Answer(query, body, progress))


@prepared_by(_begun)
@reads
def select_object_content(call: Call) -> dict[str, Any]:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_SelectObjectContent.html"""
    return {"Payload": call.prepared}


class _Answer:
    """The events, the first of them made already; closed, it reads no further. Raises what is wrong before the first event."""

    def __init__(self, query: select.Query, body: bytes | Outflow, progress: bool) -> None:
        self._body = body
        try:
            self._events = events.started(events.events(query, self._chunks(), progress))
        except BaseException:
            self.close()
            raise

    def _chunks(self) -> Iterator[bytes]:
        body = self._body
        if isinstance(body, bytes):
            yield body
            return
        while piece := body.read():
            yield piece

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return self

    def __next__(self) -> dict[str, Any]:
        return next(self._events)

    def close(self) -> None:
        if isinstance(self._body, Outflow):
            self._body.close()
