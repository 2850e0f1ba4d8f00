"""Changing an instance's row: the two ways, told apart by whether its node must hear of it."""

from __future__ import annotations

from typing import Any

from mallee.compute import rules
from mallee.compute.records import INSTANCES, Instance
from mallee.nodes import records as nodes
from mallee.store import Tx


def note(tx: Tx, instance: Instance, **values: Any) -> None:
    """A change that concerns only what the cloud shows."""
    tx.change(INSTANCES, instance.id, **values)


def ask(tx: Tx, instance: Instance, *, tell: bool = True, **values: Any) -> None:
    """A change that the instance's node shall apply and report: its revision is raised in the same step. Who changes many
    tells their nodes at the end (``tell=False``, then ``nodes.touch_instances``).
    """
    tx.change(INSTANCES, instance.id, revision=instance.revision + 1, **values)
    if tell:
        nodes.touch(tx, instance_id=instance.id)


def because(code: str, detail: str = "") -> dict[str, Any]:
    """The columns of a ``StateReason``."""
    code, text = rules.reason(code, detail)
    return {"reason_code": code, "reason": text}


NO_REASON: dict[str, Any] = {"reason_code": None, "reason": None, "transition_reason": ""}
