"""Configurations that a bucket has many of, each by its Id: inventory, metrics, analytics, intelligent tiering. All four are put, got,
listed and deleted alike, so they are written once; what differs is in a ``Listed``."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mallee.identity.call import Call
from mallee.objects import buckets, records
from mallee.objects.rules.refusals import invalid
from mallee.wire.errors import AwsError

MOST, PAGE = 1000, 100
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Listed:
    """``member`` of the input and output is the configuration, ``many`` those of the list."""

    kind: str
    member: str
    many: str
    check: Callable[[Call, dict[str, Any]], None]

    def put(self, call: Call) -> None:
        found, given = buckets.changeable(call), call.input[self.member]
        if not _ID.fullmatch(given["Id"]):
            raise invalid("The ID provided is invalid", "id", given["Id"])
        if given["Id"] != call.input["Id"]:
            raise invalid("The ID in the request does not match the ID in the configuration", "id", call.input["Id"])
        self.check(call, given)
        known = found.configurations.get(self.kind, {})
        if given["Id"] not in known and len(known) >= MOST:
            told = "You are attempting to create a new configuration but have already reached the 1,000-configuration limit."
            raise AwsError("TooManyConfigurations", told, status=400)
        records.configure(call.tx, found, self.kind, buckets.plain(given), given["Id"])

    def get(self, call: Call) -> dict[str, Any]:
        document = buckets.the_bucket(call).configurations.get(self.kind, {}).get(call.input["Id"])
        if document is None:
            raise _missing()
        return {self.member: document}

    def list(self, call: Call) -> dict[str, Any]:
        known = buckets.the_bucket(call).configurations.get(self.kind, {})
        token = call.input.get("ContinuationToken")
        after = "" if token is None else _from_token(token)
        ids = sorted(each for each in known if each > after)
        page = ids[:PAGE]
        return {
            self.many: [known[each] for each in page],
            "IsTruncated": len(page) < len(ids),
            "ContinuationToken": token,
            "NextContinuationToken": _token(page[-1]) if len(page) < len(ids) else None,
        }

    def delete(self, call: Call) -> None:
        if not records.unconfigure(call.tx, buckets.changeable(call), self.kind, call.input["Id"]):
            raise _missing()


def _missing() -> AwsError:
    return AwsError("NoSuchConfiguration", "The specified configuration does not exist.", status=404)


def _token(id: str) -> str:
    return base64.urlsafe_b64encode(id.encode()).decode("ascii")


def _from_token(token: str) -> str:
    try:
        return base64.b64decode(token.encode(), b"-_", validate=True).decode()
    except (ValueError, binascii.Error):
        raise invalid("The continuation token provided is incorrect", "continuation-token", token) from None
