"""The objects' part of `mallee audit`: the cloud compares its index with its contents, piece by piece; here they are asked for one after the other.

What is written and removed meanwhile is no difference: the cloud looks twice. Of a large store a sample is opened, the same from both sides.
"""

from __future__ import annotations

from typing import Any

from mallee.cli import calls
from mallee.cli.client import health
from mallee.cli.home import Sorry
from mallee.settings import Settings

MOST = 50_000
"""Contents that are opened; of more, every so many-th."""
MOST_TOLD = 100
PIECE = 500


def differences(chosen: Settings) -> list[str]:
    if health(chosen) is None:
        return ["the API does not answer, so objects cannot be compared"]
    mallee = calls.administrator(chosen)
    found: list[str] = []
    try:
        store = calls.ask(mallee.describe_object_store)["ObjectStore"]
        there = store["Objects"] + store["NoncurrentVersions"] + store["Uploads"]
        given: dict[str, Any] = {"Every": max(1, -(-there // MOST)), "MaxResults": PIECE}
        while True:
            piece = calls.ask(mallee.audit_object_store, **given)
            found += piece["Differences"]
            if "NextToken" not in piece or len(found) > MOST_TOLD:
                return found
            given["NextToken"] = piece["NextToken"]
    except Sorry as sorry:
        return [*found, f"the object store: {sorry}"]
