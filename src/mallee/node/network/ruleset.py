"""nftables as a value: the tables of one namespace, and the smallest atomic transaction from one value to another.

A ``Ruleset`` is computed whole, every time, from what is desired. ``Applied`` remembers what a namespace was last given and sends only
the difference, so that adding a port to a VPC of a thousand touches a handful of elements and no packet ever meets a half-made table.

Each ruleset carries its digest as the name of an empty chain. A transaction begins by deleting the marker of the ruleset that it
starts from: when somebody else changed the tables, it fails as a whole, and the whole ruleset is put in their place instead (which is
also one transaction). A new agent reads the marker and takes over a ruleset that is already right without touching it.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from mallee.node.network.namespaces import Namespace, NetworkError

_MARKER = "applied-"
_VERIFY_EVERY = 30.0  # seconds between two looks at what the namespace really has


@dataclass(slots=True)
class Set:
    """A named set, or a map when its elements have values. ``shape`` is nft's: ``type ipv4_addr; flags interval;``."""

    shape: str
    elements: dict[str, str] = field(default_factory=dict)  # key -> value, "" in a set
    is_map: bool = False

    @property
    def word(self) -> str:
        return "map" if self.is_map else "set"


@dataclass(slots=True)
class Chain:
    rules: list[str] = field(default_factory=list)
    hook: str = ""  # type filter hook input priority 0; policy drop;


@dataclass(slots=True)
class Table:
    family: str
    name: str
    counters: dict[str, None] = field(default_factory=dict)
    sets: dict[str, Set] = field(default_factory=dict)
    chains: dict[str, Chain] = field(default_factory=dict)

    @property
    def address(self) -> str:
        return f"{self.family} {self.name}"


@dataclass(slots=True)
class Ruleset:
    tables: list[Table]

    def digest(self) -> str:
        digest = hashlib.sha1(usedforsecurity=False)
        for table in self.tables:
            digest.update(repr(table).encode())
        return digest.hexdigest()[:16]


def _braced(elements: Iterable[tuple[str, str]]) -> str:
    return ", ".join(f"{key} : {value}" if value else key for key, value in elements)


def _element_lines(verb: str, table: Table, name: str, elements: list[tuple[str, str]]) -> Iterable[str]:
    for start in range(0, len(elements), 500):
        yield f"{verb} element {table.address} {name} {{ {_braced(elements[start : start + 500])} }}"


def _table_difference(old: Table, new: Table) -> tuple[list[str], list[str], list[str]]:
    """Three stretches of commands: what must be there first, what changes, and what is removed when nothing refers to it."""
    at = new.address
    first = [f"add counter {at} {name}" for name in new.counters if name not in old.counters]
    change: list[str] = []
    last: list[str] = []
    for name, item in new.sets.items():
        if name not in old.sets:
            first.append(f"add {item.word} {at} {name} {{ {item.shape} }}")
    for name, chain in new.chains.items():
        if name not in old.chains:
            first.append(f"add chain {at} {name}" + (f" {{ {chain.hook} }}" if chain.hook else ""))
    for name, was in old.sets.items():
        if name not in new.sets:
            last.append(f"delete {was.word} {at} {name}")
            continue
        will = new.sets[name].elements
        gone = [(key, "") for key, value in was.elements.items() if will.get(key) != value]
        change.extend(_element_lines("delete", new, name, gone))
    for name, chain in new.chains.items():
        before = old.chains.get(name, Chain()).rules
        if chain.rules != before:
            change.extend([f"flush chain {at} {name}"] if before else [])
            change.extend(f"add rule {at} {name} {rule}" for rule in chain.rules)
    for name, item in new.sets.items():
        had = old.sets[name].elements if name in old.sets else {}
        come = [(key, value) for key, value in item.elements.items() if had.get(key) != value]
        change.extend(_element_lines("add", new, name, come))
    unused = [name for name in old.chains if name not in new.chains]
    last = [f"flush chain {at} {name}" for name in unused] + [f"delete chain {at} {name}" for name in unused] + last
    last.extend(f"delete counter {at} {name}" for name in old.counters if name not in new.counters)
    return first, change, last


def whole(new: Ruleset) -> str:
    """The transaction that puts this ruleset in the place of whatever these tables hold."""
    lines = []
    for table in new.tables:
        empty = Table(table.family, table.name)
        lines += [f"add table {table.address}", f"delete table {table.address}", f"add table {table.address}"]
        lines += [line for stretch in _table_difference(empty, table) for line in stretch]
    lines.append(f"add chain {new.tables[0].address} {_MARKER}{new.digest()}")
    return "\n".join(lines) + "\n"


def difference(old: Ruleset, new: Ruleset) -> str | None:
    """The transaction from one to the other, "" when they are equal; None when only a whole replacement will do."""
    if [table.address for table in old.tables] != [table.address for table in new.tables]:
        return None
    lines: list[str] = []
    for was, will in zip(old.tables, new.tables, strict=True):
        for name, item in will.sets.items():
            if name in was.sets and (was.sets[name].shape, was.sets[name].is_map) != (item.shape, item.is_map):
                return None
        for name, chain in will.chains.items():
            if name in was.chains and was.chains[name].hook != chain.hook:
                return None
        lines += [line for stretch in _table_difference(was, will) for line in stretch]
    if not lines:
        return ""
    at = new.tables[0].address
    mark = [f"delete chain {at} {_MARKER}{old.digest()}", f"add chain {at} {_MARKER}{new.digest()}"]
    return "\n".join(mark + lines) + "\n"


class Applied:
    """The ruleset of one namespace as it was last applied there."""

    def __init__(self, namespace: Namespace) -> None:
        self._namespace = namespace
        self._ruleset: Ruleset | None = None
        self._identity = 0
        self._verified = 0.0
        self.wholes = 0  # how often the whole was replaced, and
        self.differences = 0  # how often a difference sufficed

    def apply(self, new: Ruleset) -> None:
        self._verify()
        if self._ruleset is None and self.live_digest(new.tables[0]) == new.digest():
            self._ruleset = new
            return
        if self._ruleset is not None:
            text = difference(self._ruleset, new)
            if text == "":
                return
            if text is not None:
                try:
                    self._nft(text)
                except NetworkError:
                    pass  # not what we left there: the whole is about to replace it, or to say why it can't
                else:
                    self._ruleset = new
                    self.differences += 1
                    return
        self._ruleset = None
        self._nft(whole(new))
        self._ruleset = new
        self.wholes += 1

    def _verify(self) -> None:
        """Forgets what was applied when the namespace no longer bears its mark, so that the whole replaces what is there."""
        identity, now = self._namespace.identity(), time.monotonic()
        if identity != self._identity:
            self._ruleset = None
        elif self._ruleset is not None and now - self._verified > _VERIFY_EVERY:
            if self.live_digest(self._ruleset.tables[0]) != self._ruleset.digest():
                self._ruleset = None
        else:
            return
        self._identity, self._verified = identity, now

    def remove(self, tables: Iterable[tuple[str, str]]) -> None:
        self._ruleset = None
        self._nft("".join(f"add table {family} {name}\ndelete table {family} {name}\n" for family, name in tables))

    def live_digest(self, table: Table) -> str:
        for item in listing(self._namespace, "chains", table.family):
            chain = item.get("chain", {})
            if chain.get("table") == table.name and chain.get("name", "").startswith(_MARKER):
                return str(chain["name"][len(_MARKER) :])
        return ""

    def _nft(self, text: str) -> None:
        self._namespace.run(["nft", "-f", "-"], text)


def listing(namespace: Namespace, *what: str) -> list[dict[str, Any]]:
    """``nft -j list …`` of a namespace; nothing when there is no such thing."""
    try:
        answer = json.loads(namespace.run(["nft", "-j", "list", *what]) or "{}")
    except NetworkError as error:
        if "No such file" in str(error):
            return []
        raise
    return [item for item in answer.get("nftables", []) if "metainfo" not in item]


def counters(namespace: Namespace, table: Table | None = None) -> dict[str, tuple[int, int]]:
    """The named counters of a namespace: name -> (packets, bytes)."""
    found = {}
    for item in listing(namespace, "counters"):
        counter = item.get("counter")
        if counter and (table is None or (counter["family"], counter["table"]) == (table.family, table.name)):
            found[counter["name"]] = (counter["packets"], counter["bytes"])
    return found
