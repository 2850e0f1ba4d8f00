"""Structures that are written once: the same text as any dict's, in every place and protocol."""

from __future__ import annotations

from typing import Any

from mallee.wire import PROTOCOLS, Constant, Operation, services


def written(operation: Operation, value: dict[str, Any]) -> str:
    routed: Any = _Routed(operation)
    return str(PROTOCOLS["ec2"].write(routed, value, "r")[2], "utf-8")


class _Routed:
    """As much of a route as the writer looks at."""

    service, version = services.get("ec2"), "2016-11-15"

    def __init__(self, operation: Operation) -> None:
        self.operation = operation


def test_a_constant_is_written_as_the_dict_that_it_is() -> None:
    operation = services.get("ec2").operation("DescribeInstances")
    groups = {"GroupId": "sg-1", "GroupName": "a<b"}

    def answer(state: Any, group: Any) -> dict[str, Any]:
        instance = {"InstanceId": "i-1", "State": state, "SecurityGroups": [group, group]}
        return {"Reservations": [{"Instances": [instance, instance]}]}

    state = {"Code": 16, "Name": "running"}
    plain = written(operation, answer(state, groups))
    shared = answer(Constant(state), Constant(groups))
    assert written(operation, shared) == written(operation, shared) == plain
    assert plain.count("<groupName>a&lt;b</groupName>") == 4


def test_one_constant_in_several_places_has_the_text_of_each() -> None:
    operation = services.get("ec2").operation("TerminateInstances")
    state = Constant(Code=32, Name="shutting-down")
    text = written(operation, {"TerminatingInstances": [{"CurrentState": state, "PreviousState": state}]})
    inner = "<code>32</code><name>shutting-down</name>"
    assert f"<currentState>{inner}</currentState>" in text and f"<previousState>{inner}</previousState>" in text
