"""StartInstances, StopInstances, RebootInstances, TerminateInstances: all of the instances named, or none.

Each changes the rows, tells the nodes what is now wanted, and wakes the instances' jobs, which see it through.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mallee import durable
from mallee.compute import access, changes, named, quotas, records, rules
from mallee.compute.records import Instance
from mallee.ec2.access import checked
from mallee.identity.access import On
from mallee.identity.call import Call
from mallee.network import interfaces
from mallee.nodes import records as nodes
from mallee.wire.errors import AwsError

Act = Callable[[Call, Instance], None]


def start_instances(call: Call) -> dict[str, Any]:
    asked = _each(call, "start", _start)
    started = [each for each in asked if each["CurrentState"] != each["PreviousState"]]
    if started:
        quotas.check_running(call, len(started))
    return {"StartingInstances": asked}


def stop_instances(call: Call) -> dict[str, Any]:
    if call.input.get("Hibernate"):
        raise AwsError("UnsupportedHibernationConfiguration", "The instance is not configured for hibernation.")
    return {"StoppingInstances": _each(call, "stop", _stop, again=_stop_harder)}


def reboot_instances(call: Call) -> dict[str, Any]:
    _each(call, "reboot", _reboot)
    return {}


def terminate_instances(call: Call) -> dict[str, Any]:
    return {"TerminatingInstances": _each(call, "terminate", _terminate)}


def _each(call: Call, verb: str, act: Act, again: Act | None = None) -> list[dict[str, Any]]:
    """Decides for all instances before it acts on the first. ``again`` is for those that the verb doesn't move any more.

    Locks are taken in the order in which a job's step takes them: the job (by waking it), the instance, its node.
    """
    tx = call.tx
    asked = named.ids(call)
    if asked is None:
        raise AwsError("MissingParameter", "The request must contain the parameter InstanceId")
    named.require(asked, set(records.existing_instances(tx, asked)))
    for id in sorted(asked):
        durable.wake(tx, id)
    known = records.instances_for_change(tx, asked)
    named.require(asked, known)
    verdicts = []
    for id in asked:
        instance = known[id]
        verdict = rules.decide(verb, id, instance.state, has_run=instance.has_run)
        if verdict.to is not None:
            rules.protected(verb, id, termination=instance.termination_protected, stop=instance.stop_protected)
        verdicts.append((instance, verdict))
    answers = []
    for instance, verdict in verdicts:
        if verdict.to is not None:
            act(call, instance)
        elif again is not None:
            again(call, instance)
        answers.append(
            {
                "InstanceId": instance.id,
                "CurrentState": rules.STATE_SETS[verdict.to or instance.state],
                "PreviousState": rules.STATE_SETS[instance.state],
            }
        )
    nodes.touch_instances(tx.everyone(), [instance.id for instance, verdict in verdicts if verdict.to or again])
    return answers


def _start(call: Call, instance: Instance) -> None:
    interfaces.power_on(call.tx, call.settings, instance.id)
    changes.ask(
        call.tx,
        instance,
        tell=False,
        state=rules.PENDING,
        power=rules.ON,
        force_off=False,
        launched_at=call.now,
        **(changes.NO_REASON | changes.because(rules.PENDING)),
    )


def _stop(call: Call, instance: Instance) -> None:
    """The guest is asked first, and switched off when its time is over, with ``Force`` or without; ``SkipOsShutdown``
    never asks.
    """
    changes.ask(
        call.tx,
        instance,
        tell=False,
        state=rules.STOPPING,
        power=rules.OFF,
        force_off=bool(call.input.get("SkipOsShutdown")),
        transition_reason=rules.transition(call.now),
        **changes.because("Client.UserInitiatedShutdown"),
    )


def _stop_harder(call: Call, instance: Instance) -> None:
    """``Force`` for an instance that is stopping already is what it is for: the guest gets no more time."""
    now = call.input.get("Force") or call.input.get("SkipOsShutdown")
    if instance.state == rules.STOPPING and now and not instance.force_off:
        changes.ask(call.tx, instance, tell=False, force_off=True)


def _reboot(call: Call, instance: Instance) -> None:
    changes.ask(call.tx, instance, tell=False, reboots=instance.reboots + 1)


def _terminate(call: Call, instance: Instance) -> None:
    """A guest that runs is asked to shut down first, unless the call skips that."""
    asleep = instance.power != rules.ON or not instance.has_run or call.input.get("SkipOsShutdown")
    changes.ask(
        call.tx,
        instance,
        tell=False,
        state=rules.SHUTTING_DOWN,
        power=rules.GONE if asleep else rules.OFF,
        transition_reason=rules.transition(call.now),
        **changes.because("Client.UserInitiatedShutdown"),
    )
    durable.signal(call.tx, instance.id, "terminate")


_INSTANCES = On(access.INSTANCE, "InstanceIds")
ACCESS = {
    "start_instances": checked(_INSTANCES),
    "stop_instances": checked(_INSTANCES),
    "reboot_instances": checked(_INSTANCES),
    "terminate_instances": checked(_INSTANCES),
}
