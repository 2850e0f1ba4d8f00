"""The life of an instance: one job from its launch until nobody needs to see it any more.

    launch ─► run ─► stop ─► rest ─► start ─► run …          any step ─► shut_down ─► remove ─► keep ─► forgotten

An operation changes the row and the node's document in its own transaction and wakes the job; the job waits for the
node to report that it is so, and says it in ``state``. Every step touches only the database: what happens in the
world, the node does, by its document. So a step may be repeated at any time, and a process that dies between two of
them leaves nothing undone.

*Teardown is one path.* ``terminate``, a launch that fails and a guest that switches itself off under the behaviour
``terminate`` all come to ``shut_down`` from whatever step the job is in. ``remove`` lets go of place, addresses and
disk only when the node has applied a document without the guest and sees nothing of it any more.

*Nothing waits for ever in silence.* Each step that waits for a node has a deadline. A launch that misses it fails
and is torn down; a guest that does not shut down is switched off; a node that does not remove is a standing fault,
and the instance stays ``shutting-down`` until the node is back, because its resources can't be given to another
before.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from mallee.compute import changes, records, rules
from mallee.compute.records import INSTANCES, LAUNCH_DATA, ROOT_VOLUMES, Instance
from mallee.durable import Done, Fail, Go, Idle, Job, Machine, Wait, faults, record
from mallee.ec2 import tags
from mallee.network import interfaces
from mallee.nodes import records as nodes
from mallee.store import Tx

LAUNCH_SECONDS = 600  # a large image over a slow disk, under emulation
STOP_SECONDS = 60  # how long a guest may take to shut down before it is switched off
SHUTDOWN_SECONDS = 20  # the same when it is being terminated
NODE_SECONDS = 60  # what a node may take for what needs no guest
KEPT = timedelta(hours=1)  # how long a terminated instance is shown

LATE = "instance-late"
STUCK = "instance-stuck"
CRASHED = "guest-crashed"


class InstanceLife(Machine):
    name = "instance"
    first = "launch"
    interrupts = {"terminate": "shut_down"}
    destroying = frozenset({"shut_down", "remove", "keep"})

    # --------------------------------------------------------------------------------------------------------- living

    @record(deadline=LAUNCH_SECONDS)
    def launch(self, tx: Tx, job: Job) -> Any:
        """The first start: a failure ends the instance."""
        instance, report = _look(tx, job)
        seen = rules.observe(instance.state, instance.power, instance.revision, report)
        if seen in ("up", "went-off", "crashed"):
            return self._came_up(tx, instance)
        if seen == "failed":
            detail = report.detail if report is not None else ""
            return Fail("Server.InternalError", detail)
        return Idle()

    @record
    def run(self, tx: Tx, job: Job) -> Any:
        """Running, until it is asked to stop or ends by itself."""
        instance, report = _look(tx, job)
        if instance.state == rules.STOPPING:
            return Go("stop")
        seen = rules.observe(instance.state, instance.power, instance.revision, report)
        if seen == "went-off":
            return self._went_off(tx, instance)
        if seen == "crashed":
            return self._crashed(tx, instance)
        if seen == "up" and not instance.metadata_applied:
            changes.note(tx, instance, metadata_applied=True)
        return Idle()

    @record(deadline=STOP_SECONDS)
    def stop(self, tx: Tx, job: Job) -> Any:
        return self._stopping(tx, job)

    @record(deadline=NODE_SECONDS)
    def force_off(self, tx: Tx, job: Job) -> Any:
        """The guest did not shut down in its time; the node switches it off."""
        return self._stopping(tx, job)

    @record
    def rest(self, tx: Tx, job: Job) -> Any:
        """Stopped, until it is started again."""
        instance, _ = _look(tx, job)
        return Go("start") if instance.state == rules.PENDING else Idle()

    @record(deadline=LAUNCH_SECONDS)
    def start(self, tx: Tx, job: Job) -> Any:
        """A further start: a failure leaves the instance stopped, with its disk."""
        instance, report = _look(tx, job)
        if instance.state == rules.STOPPING:
            return Go("stop")
        seen = rules.observe(instance.state, instance.power, instance.revision, report)
        if seen in ("up", "went-off", "crashed"):
            return self._came_up(tx, instance)
        if seen == "failed":
            return self._switch_off(tx, instance, "Server.InternalError", report.detail if report is not None else "")
        return Idle()

    # ----------------------------------------------------------------------------------------------------- destroying

    @record(deadline=SHUTDOWN_SECONDS)
    def shut_down(self, tx: Tx, job: Job) -> Any:
        """A guest that runs is asked to shut down first; it has a short while."""
        instance, report = _look(tx, job)
        if instance.state not in (rules.SHUTTING_DOWN, rules.TERMINATED):
            failed = job.state.get("reason") or {}
            runs = instance.has_run and instance.power == rules.ON
            changes.ask(
                tx,
                instance,
                state=rules.SHUTTING_DOWN,
                power=rules.OFF if runs else rules.GONE,
                transition_reason=f"Server.InternalError ({tx.now:%Y-%m-%d %H:%M:%S} GMT)" if failed else "",
                **changes.because(failed.get("code") or "Server.InternalError", failed.get("message") or ""),
            )
            return Idle() if runs else Go("remove")
        seen = rules.observe(instance.state, instance.power, instance.revision, report)
        if instance.power == rules.OFF and seen == "wait" and report is not None:
            return Idle()
        return Go("remove")

    @record(deadline=NODE_SECONDS)
    def remove(self, tx: Tx, job: Job) -> Any:
        """Waits until the node has nothing of the guest any more; then everything that it held is free."""
        instance, report = _look(tx, job)
        placement = nodes.placement_of(tx, instance.id)
        if placement is None:
            return self._terminated(tx, instance)
        wanted = job.state.get("generation")
        if wanted is None or instance.power != rules.GONE:
            if instance.power != rules.GONE:
                changes.ask(tx, instance, power=rules.GONE)
            return Go("remove", generation=nodes.generation(tx, placement.node_id))
        node = nodes.node(tx, placement.node_id)
        if report is None and (node is None or node.applied >= wanted):
            return self._terminated(tx, instance)
        return Idle()

    @record
    def keep(self, tx: Tx, job: Job) -> Any:
        """Shown as terminated for a while, then forgotten."""
        instance = records.instance(tx, job.id)
        if instance is None:
            return Done()
        left = (instance.terminated_at or tx.now) + KEPT - tx.now
        if left > timedelta(0):
            return Wait(left.total_seconds())
        _forget(tx, instance)
        return Done()

    # ------------------------------------------------------------------------------------------------------ deadlines

    def overdue(self, tx: Tx, job: Job) -> Any:
        instance, report = _look(tx, job)
        doing = report.detail or report.state if report is not None else "its node has not mentioned it"
        node = nodes.placement_of(tx, instance.id)
        facts = {"step": job.step, "doing": doing, "node": node.node_id if node is not None else ""}
        if job.step == "launch":
            faults.raise_(tx, LATE, instance.id, **facts)
            return Fail("Server.InternalError", f"The guest did not start within {LAUNCH_SECONDS} seconds ({doing}).")
        if job.step == "start":
            faults.raise_(tx, LATE, instance.id, **facts)
            return self._switch_off(
                tx, instance, "Server.InternalError", f"The guest did not start within {LAUNCH_SECONDS} seconds ({doing})."
            )
        if job.step == "stop":
            if not instance.force_off:
                changes.ask(tx, instance, force_off=True)
            return Go("force_off")
        if job.step == "shut_down":
            return Go("remove")
        faults.raise_(tx, STUCK, instance.id, **facts)
        return Go(job.step)

    # ---------------------------------------------------------------------------------------------------------- moves

    def _came_up(self, tx: Tx, instance: Instance) -> Any:
        faults.clear(tx, LATE, instance.id)
        faults.clear(tx, CRASHED, instance.id)
        changes.note(tx, instance, state=rules.RUNNING, has_run=True, metadata_applied=True, **changes.NO_REASON)
        return Go("run")

    def _went_off(self, tx: Tx, instance: Instance) -> Any:
        """``shutdown`` inside the guest."""
        if instance.shutdown_behavior == "terminate":
            changes.ask(
                tx,
                instance,
                state=rules.SHUTTING_DOWN,
                power=rules.GONE,
                transition_reason="",
                **changes.because("Client.InstanceInitiatedShutdown"),
            )
            return Go("remove")
        return self._switch_off(tx, instance, "Client.InstanceInitiatedShutdown")

    def _crashed(self, tx: Tx, instance: Instance) -> Any:
        if not any(fault.code == CRASHED for fault in faults.open_(tx, instance.id)):
            placement = nodes.placement_of(tx, instance.id)
            faults.raise_(tx, CRASHED, instance.id, node=placement.node_id if placement is not None else "")
        return self._switch_off(tx, instance, "Server.InternalError", "The virtual machine ended unexpectedly")

    def _switch_off(self, tx: Tx, instance: Instance, code: str, detail: str = "") -> Any:
        """An instance that has ended by itself is stopped as any other, so that its node agrees that it is off."""
        changes.ask(
            tx,
            instance,
            state=rules.STOPPING,
            power=rules.OFF,
            transition_reason="",
            **changes.because(code, detail),
        )
        return Go("stop")

    def _stopping(self, tx: Tx, job: Job) -> Any:
        instance, report = _look(tx, job)
        if rules.observe(instance.state, instance.power, instance.revision, report) != "down":
            return Idle()
        faults.clear(tx, STUCK, instance.id)
        interfaces.power_off(tx, instance.id)
        changes.note(tx, instance, state=rules.STOPPED, force_off=False)
        return Go("rest")

    def _terminated(self, tx: Tx, instance: Instance) -> Any:
        for fault in (LATE, STUCK, CRASHED):
            faults.clear(tx, fault, instance.id)
        placement = nodes.placement_of(tx, instance.id)
        interfaces.release(tx, instance.id)
        _release_volume(tx, instance, placement.node_id if placement is not None else None)
        nodes.release(tx, instance.id)
        changes.note(tx, instance, state=rules.TERMINATED, terminated_at=tx.now)
        return Go("keep")


def _look(tx: Tx, job: Job) -> tuple[Instance, nodes.Guest | None]:
    instance = records.instance(tx, job.id)
    if instance is None:
        raise LookupError(f"the job {job.id} has no instance")
    return instance, nodes.guest_report(tx, job.id)


def _release_volume(tx: Tx, instance: Instance, node_id: str | None) -> None:
    """The root volume goes with its instance, unless the user wanted to keep it."""
    volume = records.root_volume_of(tx, instance.id)
    if volume is None:
        return
    if volume.delete_on_termination or node_id is None or not instance.has_run:
        tags.remove(tx, [volume.id])
        tx.remove(ROOT_VOLUMES, volume.id)
    else:
        tx.change(ROOT_VOLUMES, volume.id, instance_id=None, node_id=node_id)


def _forget(tx: Tx, instance: Instance) -> None:
    tags.remove(tx, [instance.id])
    tx.remove(LAUNCH_DATA, instance.id)
    tx.remove(INSTANCES, instance.id)
