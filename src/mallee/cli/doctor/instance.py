"""The hops of one instance: row, job, placement, generation, report, domain, disk, port, lease, metadata, rules, address, console."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from mallee.cli import home, node_client, rows
from mallee.cli.doctor.examination import Report
from mallee.compute import records, rules
from mallee.compute.records import Instance
from mallee.durable import faults, job_of
from mallee.identity import instance_profiles
from mallee.nodes import records as nodes
from mallee.settings import Settings
from mallee.store import Tx


def examine(chosen: Settings, instance_id: str, report: Report) -> None:
    with rows.reading(chosen) as tx:
        instance = records.instance(tx, instance_id)
        if instance is None:
            remedy = "A terminated instance is forgotten after an hour; aws ec2 describe-instances lists what there is."
            report.bad("instance", "no such row", f"There is no instance {instance_id}.", remedy)
            return
        _row(instance, report)
        _job(tx, instance, report)
        for fault in faults.open_(tx, instance_id):
            report.bad(f"fault {fault.code}", fault.cause, fault.cause, fault.remedy)
        _role(tx, chosen, instance, report)
        placed = _placement(tx, instance, report)
        console = nodes.console(tx, instance_id)
    if not placed or chosen.simulated or instance.state == rules.TERMINATED:
        _console(console.text.decode(errors="replace") if console else "", instance, report)
        return
    try:
        facts = node_client.ask(chosen, {"ask": "inspect", "id": instance_id})
    except home.Sorry as sorry:
        report.bad("node agent", str(sorry), "The node agent does not answer.", "See ./mallee status and ./mallee logs node.")
        return
    _guest(facts, instance, report)
    for port in (facts.get("network") or {}).get("ports", []):
        _port(port, instance, report)
    _metadata(facts.get("network") or {}, instance, report)
    _console(facts.get("console", ""), instance, report)


def _row(instance: Instance, report: Report) -> None:
    text = f"{instance.instance_type} in {instance.zone}, {instance.state} since {instance.launched_at:%Y-%m-%d %H:%M:%S}"
    if instance.reason:
        text += f" ({instance.reason})"
    failed = (instance.reason_code or "").startswith("Server.")
    report.check(
        "instance", not failed, text, f"{instance.id} is {instance.state}: {instance.reason}", "The hops below show where it was."
    )


def _job(tx: Tx, instance: Instance, report: Report) -> None:
    job = job_of(tx, instance.id)
    if job is None:
        remedy = "This must not happen: please report it with ./mallee logs cloud."
        report.bad("job", "none", "The instance has no job.", remedy)
        return
    text = f"step {job.step} since {job.entered_at:%H:%M:%S}, {job.tries} tries"
    if job.deadline:
        text += f", deadline {job.deadline:%H:%M:%S}"
    if job.done_at:
        text = f"ended {job.done_at:%H:%M:%S} in step {job.step}"
    wrong = f"The step {job.step} fails: {job.error}."
    report.check("job", not job.error, text, wrong, "It is tried again by itself; see ./mallee logs cloud.")


def _placement(tx: Tx, instance: Instance, report: Report) -> bool:
    """Placement, generations and report; whether a node has it."""
    placement = nodes.placement_of(tx, instance.id)
    if placement is None:
        gone = instance.state in (rules.TERMINATED, rules.SHUTTING_DOWN)
        remedy = "See ./mallee status for the room that is left: terminate instances, or choose a smaller type."
        report.check("placement", gone, "none", "No node has room for the instance.", remedy)
        return False
    node = nodes.node(tx, placement.node_id)
    if node is None or not node.reachable:
        report.bad("placement", f"on {placement.node_id}", f"Node {placement.node_id} is silent.", "See ./mallee status.")
        return True
    report.well("placement", f"on {node.id}, {placement.vcpus} vCPUs, {placement.memory_mib} MiB")
    current = node.applied >= node.generation
    text = f"applied {node.applied}, wanted {node.generation}"
    if current:
        report.well("generation", text)
    else:
        report.note("generation", text + ": the node is at work")
    seen = nodes.guest_report(tx, instance.id)
    if seen is None:
        moving = instance.state in (rules.PENDING, rules.SHUTTING_DOWN)
        remedy = "See ./mallee logs node."
        report.check("report", moving, "none yet", "The node does not mention the instance.", remedy)
        return True
    text = f"{seen.state}, revision {seen.revision} of {instance.revision}, health {seen.health}" + (
        f": {seen.detail}" if seen.detail else ""
    )
    bad = seen.state in ("failed", "crashed") or seen.health == "impaired"
    wrong = f"The node says that the guest is {seen.state}{', ' + seen.health if bad else ''}: {seen.detail}."
    report.check("report", not bad, text, wrong, "The hops below say why.")
    return True


def _guest(facts: dict[str, Any], instance: Instance, report: Report) -> None:
    on = instance.power == rules.ON and instance.state == rules.RUNNING
    domain = facts.get("domain") or {}
    text = f"QEMU pid {domain.get('qemu')}, {domain.get('memory_mib')} MiB resident" if domain.get("qemu") else "not running"
    said = (facts.get("qemu_says") or "").strip().splitlines()[-1:] or ["nothing"]
    wrong = f"The guest should run and does not; QEMU said: {said[0]}."
    report.check(
        "domain", not on or bool(domain.get("qemu")), text, wrong, "See ./mallee logs node; ec2 start-instances tries again."
    )
    for digest, there in (facts.get("images") or {}).items():
        wrong = f"The image {digest[:19]}… is not in the node's cache."
        report.check(
            "image", bool(there) or not on, digest[:19] + "…", wrong, "The node fetches it by itself; see ./mallee logs node."
        )
    for disk in facts.get("disks") or []:
        text = f"{disk['path']}, {disk.get('allocated_mib', 0)} MiB"
        report.check(
            "disk",
            bool(disk["exists"]) or not on,
            text,
            "The guest's disk is missing.",
            "Its data is lost with it: terminate the instance.",
        )
    if facts.get("fault"):
        fault = facts["fault"]
        report.bad(fault["code"], fault["cause"], fault["cause"], fault["remedy"])


def _port(port: dict[str, Any], instance: Instance, report: Report) -> None:
    if instance.state != rules.RUNNING:
        report.note("port", f"{port['id']} {port['ip']}: not looked at while the instance is {instance.state}")
        return
    if port.get("error"):
        report.bad(
            "port", port["error"], f"The network of {port['id']} cannot be read: {port['error']}.", "See ./mallee logs node."
        )
        return
    tap = port["tap"]
    state = f"{port['link']} in {port['namespace']}, {port['ip']}"
    good = tap.get("present") and tap.get("up") and tap.get("carrier") and port.get("route") and port.get("neighbour")
    missing = [
        name
        for name, there in (("tap", tap.get("present")), ("carrier", tap.get("carrier")), ("route", port.get("route")))
        if not there
    ]
    report.check(
        "port",
        bool(good),
        state,
        f"The port of the guest lacks its {', '.join(missing)}.",
        "The node makes it again by itself; see ./mallee logs node.",
    )
    sent = (tap.get("guest_sent") or {}).get("packets", 0)
    received = (tap.get("guest_received") or {}).get("packets", 0)
    report.note("traffic", f"the guest sent {sent} packets and received {received}")
    lease = port.get("dhcp") or {}
    text = f"{lease.get('count', 0)} answers, {_last(lease)}"
    if lease.get("count") or not sent:
        report.note("lease", text)
    else:
        report.note("lease", text + "; the guest has its address from before, or a fixed one")
    _rules(port, report)
    public = port.get("public")
    if public:
        hops = {name: public[name] for name in ("host_routes", "node_routes", "translated_in", "translated_out")}
        broken = [name.replace("_", " ") for name, fine in hops.items() if not fine]
        text = f"{public['address']} leads to {port['ip']}" + (f", but not: {', '.join(broken)}" if broken else "")
        report.check(
            "address",
            not broken,
            text,
            f"The path of {public['address']} is broken at: {', '.join(broken)}.",
            "See ./mallee logs node.",
        )


def _rules(port: dict[str, Any], report: Report) -> None:
    for group, sides in (port.get("groups") or {}).items():
        counted = [f"{rule} {numbers['packets']}" for rule, numbers in sides["ingress"].items() if numbers]
        report.note("rules in", f"{group}: " + (", ".join(counted) if counted else "no rule admits anything"))
    dropped = {side: numbers["packets"] for side, numbers in (port.get("dropped") or {}).items() if numbers}
    if any(not sides["ingress"] for sides in (port.get("groups") or {}).values()) and len(port.get("groups") or {}) == 1:
        report.note("firewall", "no security group opens any port: nothing can reach the instance")
    report.note("refused", ", ".join(f"{side} {count}" for side, count in dropped.items()) or "nothing")


def _metadata(network: dict[str, Any], instance: Instance, report: Report) -> None:
    if instance.state != rules.RUNNING:
        return
    for hop, what in (("metadata", "requests"), ("api", "connections")):
        tally = network.get(hop)
        if tally is not None:
            report.note(hop, f"{tally['count']} {what}, {tally['refused']} refused, {_last(tally)}")
    for held in network.get("credentials") or ():
        ends = f", good until {held['ends']}" if held["ends"] else ""
        report.note("credentials", f"{held['code']} for {held['role']}, by version {held['delivery']} of the service{ends}")


def _role(tx: Tx, chosen: Settings, instance: Instance, report: Report) -> None:
    if instance.profile_id is None:
        return
    profile = instance_profiles.profile(tx, chosen.partition, instance.profile_id)
    if profile is None:
        wrong = f"The instance profile {instance.profile_arn} of {instance.id} was deleted: it has no credentials."
        report.bad("role", "the profile is gone", wrong, "Associate another instance profile with the instance.")
    elif profile.role is None:
        wrong = f"The instance profile {profile.name} holds no role: {instance.id} has no credentials."
        remedy = f"aws iam add-role-to-instance-profile --instance-profile-name {profile.name} --role-name …"
        report.bad("role", f"none in {profile.name}", wrong, remedy)
    else:
        report.check(
            "role",
            instance_profiles.trusts_ec2(tx, profile.role, chosen.partition),
            f"{profile.role.name}, by the instance profile {profile.name}",
            f"The trust policy of the role {profile.role.name} does not let ec2.amazonaws.com assume it.",
            f"aws iam update-assume-role-policy --role-name {profile.role.name} …",
        )


def _console(text: str, instance: Instance, report: Report) -> None:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    for line in lines[-3:]:
        report.note("console", line[:160])
    if not lines and instance.state == rules.RUNNING:
        report.note("console", "empty so far")


def _last(tally: dict[str, Any]) -> str:
    """The last of what was asked and answered, in words."""
    last = dict(tally.get("last") or {})
    if not last:
        return "none since the agent started"
    at = datetime.fromtimestamp(float(last.pop("at", 0)), UTC)
    return f"last {at:%H:%M:%S}: " + " ".join(str(value) for value in last.values())
