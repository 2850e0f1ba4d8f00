"""Services, operations and shapes as botocore's models describe them, made on first use from a pack.

A `Member` is a use of a shape: its traits are the shape's own, overridden by those at the place of use, as botocore
resolves them. Nothing here changes after it was made; two threads that make the same thing at once make equal things.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from botocore import xform_name

from mallee.wire.pack import Pack


class Shape:
    """``type`` is botocore's (structure, list, map, string, integer, long, float, double, boolean, timestamp, blob)."""

    __slots__ = ("_key", "_member", "_members", "_model", "_value", "name", "number", "required", "traits", "type")

    def __init__(self, model: Model, number: int, record: dict[str, Any]) -> None:
        self._model = model
        self.number = number
        self.name: str = record.pop("name")
        self.type: str = record.pop("type")
        self.required: tuple[str, ...] = tuple(record.pop("required", ()))
        references = record.pop("members", None)
        self._members: dict[str, Member] | None = (
            None if references is None else {name: Member(model, name, ref) for name, ref in references.items()}
        )
        self._member, self._key, self._value = (
            Member(model, part, record.pop(part)) if part in record else None for part in ("member", "key", "value")
        )
        self.traits: dict[str, Any] = record

    @property
    def members(self) -> dict[str, Member]:
        return self._members or {}

    @property
    def member(self) -> Member:
        assert self._member is not None
        return self._member

    @property
    def key(self) -> Member:
        assert self._key is not None
        return self._key

    @property
    def value(self) -> Member:
        assert self._value is not None
        return self._value

    def __repr__(self) -> str:
        return f"<Shape {self.name} {self.type}>"


class Member:
    __slots__ = ("_model", "_number", "_own", "name")

    def __init__(self, model: Model, name: str, reference: int | list[Any]) -> None:
        self._model = model
        self.name = name
        self._number: int = reference if isinstance(reference, int) else reference[0]
        self._own: dict[str, Any] | None = None if isinstance(reference, int) else reference[1]

    @property
    def shape(self) -> Shape:
        return self._model.shape(self._number)

    @property
    def traits(self) -> dict[str, Any]:
        traits = self.shape.traits
        return traits if self._own is None else traits | self._own

    @property
    def wire_name(self) -> str:
        """The name outside EC2's own requests: ``locationName``, else the member's name."""
        name: str = self.traits.get("locationName", self.name)
        return name

    def __repr__(self) -> str:
        return f"<Member {self.name} of {self.shape!r}>"


class Operation:
    """``name`` as AWS spells it, ``method_name`` as boto3 does; ``input`` and ``output`` are structures, or None.
    ``unsigned``: clients call it without a signature, what it is given proves who they are."""

    __slots__ = (
        "_cache",
        "_input",
        "_model",
        "_output",
        "deprecated",
        "http",
        "input_traits",
        "name",
        "output_traits",
        "unsigned",
    )

    def __init__(self, model: Model, record: dict[str, Any]) -> None:
        self._model = model
        self.name: str = record["name"]
        self.http: dict[str, Any] = record.get("http", {})
        self.deprecated = bool(record.get("deprecated"))
        self.unsigned = record.get("authtype") == "none"
        self._input, self.input_traits = record.get("input", (None, {}))
        self._output, self.output_traits = record.get("output", (None, {}))
        self._cache: dict[str, Any] | None = None

    @property
    def method_name(self) -> str:
        name: str = xform_name(self.name)
        return name

    @property
    def input(self) -> Shape | None:
        return None if self._input is None else self._model.shape(self._input)

    @property
    def output(self) -> Shape | None:
        return None if self._output is None else self._model.shape(self._output)

    def compiled(self, what: str, make: Callable[[Model, Operation], Any]) -> Any:
        """``make``'s answer, kept under the name ``what``. It runs under the model's lock, so that nobody meets a
        half-made reader."""
        cache = self._cache
        made = cache.get(what) if cache is not None else None
        if made is None:
            with self._model.lock:
                if self._cache is None:
                    self._cache = {}
                made = self._cache[what] = make(self._model, self)
        return made

    def __repr__(self) -> str:
        return f"<Operation {self.name}>"


class _Operations(Mapping[str, Operation]):
    """All operations of a service by name; each is made when it is asked for."""

    def __init__(self, model: Model) -> None:
        self._model = model

    def __getitem__(self, name: str) -> Operation:
        return self._model.operation(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._model.pack.operations)

    def __len__(self) -> int:
        return len(self._model.pack.operations)

    def __contains__(self, name: object) -> bool:
        return name in self._model.pack.operations


class Model:
    """The shapes and operations of one service. ``compiled`` holds what protocols made of shapes; only touched under
    ``lock``."""

    def __init__(self, pack: Pack, overlay: Mapping[str, dict[str, Any]] | None = None) -> None:
        self.pack = pack
        self._overlay = overlay or {}
        self.metadata = pack.metadata
        self.operations: Mapping[str, Operation] = _Operations(self)
        self._shapes: dict[int, Shape] = {}
        self._made: dict[str, Operation] = {}
        self.compiled: dict[Any, Any] = {}
        self.lock = threading.RLock()
        self._exceptions: dict[str, Shape] | None = None

    @property
    def version(self) -> str:
        version: str = self.metadata["apiVersion"]
        return version

    def shape(self, number: int) -> Shape:
        shape = self._shapes.get(number)
        if shape is None:
            record = self.pack.record(number)
            extra = self._overlay.get(record["name"])
            shape = self._shapes.setdefault(number, Shape(self, number, _overlaid(record, extra) if extra else record))
        return shape

    def operation(self, name: str) -> Operation:
        """Raises KeyError for a name that the model does not have."""
        operation = self._made.get(name)
        if operation is None:
            record = self.pack.record(self.pack.operations[name])
            operation = self._made.setdefault(name, Operation(self, record))
        return operation

    def exception(self, code: str) -> Shape | None:
        """The error shape that a code means: by the shape's name or by the code that older protocols give it."""
        if self._exceptions is None:
            known: dict[str, Shape] = {}
            for name, number in self.pack.exceptions.items():
                shape = self.shape(number)
                known[name] = shape
                known.setdefault(shape.traits.get("error", {}).get("code", name), shape)
            self._exceptions = known
        return self._exceptions.get(code)

    def exceptions(self) -> list[Shape]:
        return [self.shape(number) for number in self.pack.exceptions.values()]


def _overlaid(record: dict[str, Any], extra: dict[str, Any]) -> dict[str, Any]:
    for name, traits in extra.items():
        if name in ("member", "key", "value"):
            reference = record[name]
            number, own = (reference, {}) if isinstance(reference, int) else reference
            record[name] = [number, own | traits]
        else:
            record[name] = traits
    return record
