"""Tags of users, roles and instance profiles: one set of rules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tests.cloud.harness import TestCloud, refused
from tests.cloud.iam import EC2


@dataclass
class Kind:
    """How a kind of thing is made, tagged and asked."""

    word: str  # in the names of operations
    quota: str
    member: str
    more: dict[str, Any]

    def create(self, iam: Any, name: str = "x", **more: Any) -> dict[str, Any]:
        made: dict[str, Any] = getattr(iam, f"create_{self.word}")(**{self.member: name}, **self.more, **more)
        return next(value for name, value in made.items() if name != "ResponseMetadata")

    def tag(self, iam: Any, tags: dict[str, str] | list[dict[str, str]], name: str = "x") -> None:
        listed = [{"Key": key, "Value": value} for key, value in tags.items()] if isinstance(tags, dict) else tags
        getattr(iam, f"tag_{self.word}")(**{self.member: name}, Tags=listed)

    def untag(self, iam: Any, keys: list[str]) -> None:
        getattr(iam, f"untag_{self.word}")(**{self.member: "x"}, TagKeys=keys)

    def tags(self, iam: Any, **more: Any) -> dict[str, Any]:
        found: dict[str, Any] = getattr(iam, f"list_{self.word}_tags")(**{self.member: "x"}, **more)
        return found


KINDS = [
    Kind("user", "User", "UserName", {}),
    Kind("role", "Role", "RoleName", {"AssumeRolePolicyDocument": EC2}),
    Kind("instance_profile", "InstanceProfile", "InstanceProfileName", {}),
]


def pairs(found: dict[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in found["Tags"]}


each_kind: Callable[[Any], Any] = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.word)


@each_kind
def test_tags(cloud: TestCloud, kind: Kind) -> None:
    iam = cloud.client("iam")
    kind.create(iam, Tags=[{"Key": "Cost", "Value": "7"}])
    kind.tag(iam, {"owner": "me", "empty": "", "Ümläut é/x": "日本 +-=._:/@"})
    assert pairs(kind.tags(iam)) == {"Cost": "7", "owner": "me", "empty": "", "Ümläut é/x": "日本 +-=._:/@"}
    kind.tag(iam, {"COST": "8"})
    assert pairs(kind.tags(iam)) == {"COST": "8", "owner": "me", "empty": "", "Ümläut é/x": "日本 +-=._:/@"}
    kind.untag(iam, ["cost", "never-there", "Empty"])
    assert pairs(kind.tags(iam)) == {"owner": "me", "Ümläut é/x": "日本 +-=._:/@"}
    first = kind.tags(iam, MaxItems=1)
    assert first["IsTruncated"] and pairs(first) == {"owner": "me"}
    assert pairs(kind.tags(iam, MaxItems=1, Marker=first["Marker"])) == {"Ümläut é/x": "日本 +-=._:/@"}


@each_kind
def test_keys_are_one_without_case(sqlite_cloud: TestCloud, kind: Kind) -> None:
    iam = sqlite_cloud.client("iam")
    twice = [{"Key": "a", "Value": "1"}, {"Key": "A", "Value": "2"}]
    with refused("InvalidInput", 400) as told:
        kind.create(iam, Tags=twice)
    assert told() == "Duplicate tag keys found. Please note that Tag keys are case insensitive."
    kind.create(iam)
    for tags in (twice, [twice[0], twice[0]]):
        with refused("InvalidInput", 400):
            kind.tag(iam, tags)
    assert kind.tags(iam)["Tags"] == []


@each_kind
def test_fifty_tags(sqlite_cloud: TestCloud, kind: Kind) -> None:
    iam = sqlite_cloud.client("iam", validate=False)
    kind.create(iam, Tags=[{"Key": f"k{number}", "Value": ""} for number in range(49)])
    kind.tag(iam, {"K1": "again", "last": ""})
    with refused("LimitExceeded", 409) as told:
        kind.tag(iam, {"k1": "once more", "one": "too many"})
    assert told() == f"Cannot exceed quota for TagsPer{kind.quota}: 50"
    assert pairs(kind.tags(iam))["K1"] == "again"
    with refused("ValidationError", 400) as told:
        kind.tag(iam, {f"k{number}": "" for number in range(51)})
    assert told().endswith("at 'tags' failed to satisfy constraint: Member must have length less than or equal to 50")


@each_kind
@pytest.mark.parametrize(
    ("key", "value", "code"),
    [
        ("", "x", "ValidationError"),
        ("k" * 129, "x", "ValidationError"),
        ("k", "v" * 257, "ValidationError"),
        ("a*b", "x", "ValidationError"),
        ("a", "b*", "ValidationError"),
        ("aws:x", "x", "InvalidInput"),
        ("AWS:x", "x", "InvalidInput"),
    ],
)
def test_bad_tags(sqlite_cloud: TestCloud, kind: Kind, key: str, value: str, code: str) -> None:
    iam = sqlite_cloud.client("iam", validate=False)
    with refused(code, 400):
        kind.create(iam, Tags=[{"Key": key, "Value": value}])
    kind.create(iam)
    with refused(code, 400):
        kind.tag(iam, {key: value})
    assert kind.tags(iam)["Tags"] == []


@each_kind
def test_tags_of_others(sqlite_cloud: TestCloud, kind: Kind) -> None:
    iam, other = sqlite_cloud.client("iam"), sqlite_cloud.account().client("iam")
    kind.create(iam, Tags=[{"Key": "a", "Value": "b"}])
    for call in (lambda: kind.tag(other, {"a": "c"}), lambda: kind.untag(other, ["a"]), lambda: kind.tags(other)):
        with refused("NoSuchEntity", 404):
            call()
    kind.create(other)
    assert kind.tags(other)["Tags"] == [] and pairs(kind.tags(iam)) == {"a": "b"}
