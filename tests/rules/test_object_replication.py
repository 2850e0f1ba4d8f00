"""Which rules of a replication configuration count."""

from __future__ import annotations

import datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mallee.objects.rules import replication
from mallee.objects.rules.lifecycle import Thing

EPOCH = datetime.datetime.fromtimestamp(0, datetime.UTC)


def thing(key: str = "a/b", **tags: str) -> Thing:
    return Thing(key, 1, tags, EPOCH, "STANDARD")


def rule(priority: int, bucket: str, prefix: str = "", markers: bool = False, enabled: bool = True) -> dict[str, Any]:
    return {
        "Priority": priority, "Status": "Enabled" if enabled else "Disabled", "Filter": {"Prefix": prefix},
        "DeleteMarkerReplication": {"Status": "Enabled" if markers else "Disabled"}, "Destination": {"Bucket": bucket},
    }  # fmt: skip


rules = st.lists(
    st.builds(rule, st.integers(0, 100), st.sampled_from("xyz"), st.sampled_from(("", "a/", "b", "a/b")), st.booleans(), st.booleans()),
    unique_by=lambda each: (each["Priority"], each["Destination"]["Bucket"]), max_size=8,
)  # fmt: skip


@given(rules, st.sampled_from((replication.OBJECT, replication.MARKER)))
def test_of_each_destination_the_rule_with_the_highest_priority_decides(made: list[dict[str, Any]], what: str) -> None:
    found = {each["Bucket"] for each in replication.destinations({"Rules": made}, what, thing())}
    for bucket in "xyz":
        matching = [
            each for each in made
            if each["Destination"]["Bucket"] == bucket and each["Status"] == "Enabled" and "a/b".startswith(each["Filter"]["Prefix"])
        ]  # fmt: skip
        winner = max(matching, key=lambda each: each["Priority"], default=None)
        wanted = winner is not None and (what == replication.OBJECT or winner["DeleteMarkerReplication"]["Status"] == "Enabled")
        assert (bucket in found) is wanted


def test_replicas_go_no_further_and_their_changes_where_it_is_said() -> None:
    plain, synced = rule(1, "x"), rule(1, "y") | {"SourceSelectionCriteria": {"ReplicaModifications": {"Status": "Enabled"}}}
    both = {"Rules": [plain, synced]}
    assert replication.destinations(both, replication.OBJECT, thing(), replica=True) == []
    assert replication.destinations(both, replication.CHANGE, thing(), replica=True) == [{"Bucket": "y"}]


def test_older_configurations_replicate_delete_markers() -> None:
    older = {"Rules": [{"Prefix": "a/", "Status": "Enabled", "Destination": {"Bucket": "x"}}]}
    assert replication.destinations(older, replication.MARKER, thing()) == [{"Bucket": "x"}]
    assert replication.destinations(older, replication.MARKER, thing("b")) == []
    assert replication.destinations(older, replication.EXISTING, thing()) == []


def test_keys_of_the_kms_are_asked_for() -> None:
    plain, keyed = rule(1, "x"), rule(1, "y") | {"SourceSelectionCriteria": {"SseKmsEncryptedObjects": {"Status": "Enabled"}}}
    both = {"Rules": [plain, keyed]}
    assert replication.destinations(both, replication.OBJECT, thing(), form="aws:kms") == [{"Bucket": "y"}]
    assert len(replication.destinations(both, replication.OBJECT, thing(), form="AES256")) == 2
