"""How many instances one account may have: AWS's quota of processors that run, and Eucalyptus's further measures.

The default for processors is far beyond what the nodes hold, so that capacity is what limits a cloud whose administrator
sets nothing. Eucalyptus's measures have no default at all: they exist for administrators and for ``Effect: Limit``
statements. What runs counts processors and memory, what exists counts as an instance and with its disk.
"""

from __future__ import annotations

from collections.abc import Callable

from mallee.compute import instance_types, rules
from mallee.compute.instance_types import InstanceType
from mallee.compute.records import INSTANCES, ROOT_VOLUMES
from mallee.identity.call import Call
from mallee.identity.quotas import UNLIMITED, Quota, Rows, Standing
from mallee.wire.errors import AwsError

RUN = "ec2:RunInstances"
_RUNS = INSTANCES.c.state.in_((rules.PENDING, rules.RUNNING))
_EXISTS = INSTANCES.c.terminated_at.is_(None)


def _vcpus(name: str) -> float:
    kind = instance_types.find(name)
    return kind.vcpus if kind is not None else 0


def _memory(name: str) -> float:
    kind = instance_types.find(name)
    return kind.memory_mib if kind is not None else 0


_PROCESSORS = Rows(INSTANCES, _RUNS, of=INSTANCES.c.instance_type, weigh=_vcpus)

VCPUS = Quota(
    "ec2", "L-1216C47A", "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances", 100_000, _PROCESSORS,
    "ec2:quota-cputotalsize", RUN,
    description="Maximum number of vCPUs assigned to the Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances.",
)  # fmt: skip
INSTANCES_EXISTING = Quota(
    "ec2", "mallee-instances", "Instances", UNLIMITED, Rows(INSTANCES, _EXISTS), "ec2:quota-vminstancenumber", RUN,
    description="Maximum number of instances, running or stopped.",
)  # fmt: skip
INSTANCES_ACTIVE = Quota(
    "ec2", "mallee-instances-active", "Running instances", UNLIMITED, Rows(INSTANCES, _RUNS),
    "ec2:quota-vminstanceactivenumber", RUN, description="Maximum number of instances that run.",
)  # fmt: skip
MEMORY = Quota(
    "ec2", "mallee-memory", "Memory of running instances", UNLIMITED,
    Rows(INSTANCES, _RUNS, of=INSTANCES.c.instance_type, weigh=_memory), "ec2:quota-memorytotalsize", RUN, unit="Megabytes",
    description="Maximum memory, in MiB, of the instances that run.",
)  # fmt: skip
DISKS = Quota(
    "ec2", "mallee-disks", "Disks of instances", UNLIMITED, Rows(ROOT_VOLUMES, of=ROOT_VOLUMES.c.size_gib),
    "ec2:quota-disktotalsize", RUN, unit="Gigabytes", description="Maximum size, in GiB, of the instances' root volumes.",
)  # fmt: skip

QUOTAS = (VCPUS, INSTANCES_EXISTING, INSTANCES_ACTIVE, MEMORY, DISKS)


def _too_many(limit: int, asked: int) -> AwsError:
    text = f"You have requested more instances ({asked}) than your current instance limit of {limit} allows"
    return AwsError("InstanceLimitExceeded", f"{text} for the specified instance type. {_ADJUST}")


def _too_many_vcpus(limit: int, asked: int) -> AwsError:
    text = f"You have requested more vCPU capacity than your current vCPU limit of {limit} allows"
    return AwsError("VcpuLimitExceeded", f"{text} for the instance bucket that the specified instance type belongs to. {_ADJUST}")


def _too_large(what: str, unit: str) -> Callable[[int, int], AwsError]:
    def error(limit: int, asked: int) -> AwsError:
        text = f"You have requested more {what} than your current limit of {limit} {unit} allows."
        return AwsError("InstanceLimitExceeded", f"{text} {_ADJUST}")

    return error


_ADJUST = "Please request an adjustment to this limit with Service Quotas, or ask the cloud's administrator."

_ERRORS: dict[Quota, Callable[[int, int], AwsError]] = {
    VCPUS: _too_many_vcpus,
    INSTANCES_EXISTING: _too_many,
    INSTANCES_ACTIVE: _too_many,
    MEMORY: _too_large("memory", "MiB"),
    DISKS: _too_large("disk space", "GiB"),
}


def launchable(call: Call, kind: InstanceType, disk_gib: int, minimum: int, maximum: int) -> int:
    """How many of ``maximum`` instances the account may launch; refuses when they are less than ``minimum``. As in AWS, a
    launch gets what the quota leaves."""
    standing = Standing(call)
    each = {VCPUS: kind.vcpus, INSTANCES_EXISTING: 1, INSTANCES_ACTIVE: 1, MEMORY: kind.memory_mib, DISKS: disk_gib}
    for quota, size in each.items():
        left, limit = standing.left(quota)
        if left < maximum * size:
            if left < minimum * size:
                raise _ERRORS[quota](int(limit), minimum)
            maximum = int(left // size)
    return maximum


def check_running(call: Call, started: int) -> None:
    """Refuses when what runs now, ``started`` instances of it since this call, is more than the account may have."""
    standing = Standing(call)
    for quota in (VCPUS, INSTANCES_ACTIVE, MEMORY):
        limit = standing.blocked_by(quota, 0)
        if limit is not None:
            raise _ERRORS[quota](int(limit), started)
