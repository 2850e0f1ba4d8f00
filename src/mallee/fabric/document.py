"""The desired document of a node and the report that answers it: the whole language of the fabric.

The cloud computes one complete ``Desired`` per node from rows; what is not in it shall not exist on that node. The
node answers with a ``Report`` of what it observes. Both are plain data (frozen dataclasses <-> JSON), versioned by
``VERSION``: a field may be added with a default at any time, a reader ignores members it does not know, and nothing
is ever renamed or given a new meaning.

``Desired.generation`` grows with every change that concerns the node. ``Report.generation`` is the newest generation
whose document the node has *applied whole* (each guest's and network's own outcome stands in its entry). A machine of
the control plane that has removed a guest waits for ``report.generation >= g`` and the guest's absence from
``report.guests``.

A node opens its session with a ``Join``, which names its present run (``boot_id``). From then on reports of another
run are refused, so that nothing a former run sent late can overwrite what the present one sees.

Sizes are MiB or GiB as named, times are UTC ISO 8601 strings, addresses and CIDRs dotted strings, digests
``sha256:<hex>``.
"""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from dataclasses import dataclass, field
from typing import Any, TypeVar

VERSION = 1

T = TypeVar("T")


# ------------------------------------------------------------------------------------------------ desired


@dataclass(frozen=True, slots=True)
class Blob:
    """A file that the node fetches once from the cloud (``GET /blobs/<digest>``), verifies by digest and caches."""

    digest: str
    format: str = "raw"  # raw | qcow2
    size: int = 0  # bytes, for the disk check before fetching


@dataclass(frozen=True, slots=True)
class Disk:
    """One disk of a guest. The root is a qcow2 overlay on ``image``; ``image`` None means an empty disk."""

    volume_id: str  # vol-…, also the serial the guest sees (without the dash)
    device_name: str  # as the user named it: /dev/xvda
    size_gib: int
    image: Blob | None = None
    delete_on_termination: bool = True


@dataclass(frozen=True, slots=True)
class Boot:
    """Direct kernel boot when ``kernel`` is given, else the firmware boots the root disk."""

    kernel: Blob | None = None
    ramdisk: Blob | None = None
    command_line: str = ""


@dataclass(frozen=True, slots=True)
class MetadataOptions:
    """IMDS options of one instance, as ModifyInstanceMetadataOptions names them."""

    endpoint: bool = True
    tokens_required: bool = False
    hop_limit: int = 1
    tags: bool = False


@dataclass(frozen=True, slots=True)
class Metadata:
    """The facts that the node's metadata service turns into EC2's tree; the node adds what it knows of its ports."""

    account_id: str
    image_id: str
    instance_type: str
    reservation_id: str
    launch_index: int
    hostname: str  # ip-172-31-0-5.local-1.compute.internal
    region: str
    zone: str
    zone_id: str
    launched_at: str
    architecture: str = "x86_64"
    kernel_id: str | None = None
    ramdisk_id: str | None = None
    key_name: str | None = None
    public_key: str | None = None  # OpenSSH line
    user_data: str | None = None  # base64
    security_groups: tuple[str, ...] = ()  # names, for meta-data/security-groups
    block_devices: dict[str, str] = field(default_factory=dict)  # ami -> xvda, root -> /dev/xvda, ebs1 -> sdf
    tags: dict[str, str] = field(default_factory=dict)
    options: MetadataOptions = field(default_factory=MetadataOptions)
    profile_arn: str | None = None  # of the instance profile; its credentials are asked for (``GET /v1/credentials/<guest>``)
    profile_id: str = ""
    profile_since: str = ""
    profile_gone: bool = False  # it was deleted
    role: str | None = None  # the name of the role that the profile holds


@dataclass(frozen=True, slots=True)
class Guest:
    """A virtual machine that shall exist on this node. Absence from the document means: remove it and all that is
    its.
    """

    id: str  # i-…
    revision: int  # raised by the cloud with every change the user asks of it; reported back when applied
    power: str  # on | off
    reboots: int  # how many reboots were ever asked; the node reboots when its own count is lower
    vcpus: int
    memory_mib: int
    disks: tuple[Disk, ...]
    boot: Boot
    metadata: Metadata
    force_off: bool = False  # power off without asking the guest
    machine: str = "pc"
    port_ids: tuple[str, ...] = ()  # in device index order; each stands in a Network


@dataclass(frozen=True, slots=True)
class Rule:
    """One security group rule. ``cidr`` or ``group_id`` names the peer; ports -1 mean all (ICMP: type and code)."""

    id: str  # sgr-…
    protocol: str  # tcp | udp | icmp | -1 | a protocol number
    from_port: int = -1
    to_port: int = -1
    cidr: str | None = None
    group_id: str | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """A security group as this node needs it: rules and all private addresses of its members in the VPC, here or
    elsewhere.
    """

    id: str
    ingress: tuple[Rule, ...] = ()
    egress: tuple[Rule, ...] = ()
    members: tuple[str, ...] = ()
    name: str = ""


@dataclass(frozen=True, slots=True)
class Port:
    """A network interface's end on this node."""

    id: str  # eni-…
    guest_id: str
    device_index: int
    mac: str
    ip: str
    subnet_id: str
    group_ids: tuple[str, ...] = ()
    public_ip: str | None = None  # translated 1:1 to ip at the VPC's internet gateway
    private_hostname: str = ""
    public_hostname: str = ""
    source_dest_check: bool = True


@dataclass(frozen=True, slots=True)
class Subnet:
    """``gateway`` is the first address of the CIDR; ``internet`` says whether its route table leads to an internet
    gateway.
    """

    id: str
    cidr: str
    gateway: str
    internet: bool = True


@dataclass(frozen=True, slots=True)
class Network:
    """A VPC that has at least one port on this node: one router namespace there."""

    id: str  # vpc-…
    vni: int  # unique in the region, 1..16777215
    cidrs: tuple[str, ...]
    dns: str  # the VPC's resolver: base of the CIDR + 2
    domain: str  # local-1.compute.internal
    subnets: tuple[Subnet, ...] = ()
    ports: tuple[Port, ...] = ()
    groups: tuple[Group, ...] = ()
    hosts: dict[str, str] = field(default_factory=dict)  # private hostname -> address, for dnsmasq


@dataclass(frozen=True, slots=True)
class Desired:
    node_id: str
    generation: int
    region: str
    zone: str
    public_pool: tuple[str, ...] = ()  # CIDRs; each gets an unreachable route behind it
    networks: tuple[Network, ...] = ()
    guests: tuple[Guest, ...] = ()
    digest: str = ""  # of all but the generation; set by the cloud's session, handed back when the node asks again
    version: int = VERSION


# ------------------------------------------------------------------------------------------------ report


@dataclass(frozen=True, slots=True)
class Fault:
    """A catalogued problem: ``code`` is a key of docs/faults.md, ``cause`` and ``remedy`` are sentences for a person."""

    code: str  # disk-full, image-corrupt, guest-crashed, …
    subject: str  # i-…, vpc-…, or the node's id
    cause: str
    remedy: str


@dataclass(frozen=True, slots=True)
class GuestReport:
    """What the node sees of one guest. ``revision`` and ``reboots`` are the newest that were applied to it."""

    id: str
    revision: int
    state: str  # preparing | running | off | crashed | failed
    reboots: int = 0
    started_at: str | None = None  # when the present run began
    stopped_by: str | None = None  # off only: guest (it shut itself down) | cloud
    detail: str = ""  # preparing: which step; failed: why, for StateReason
    ready_at: str | None = None  # when the guest's own console said that it was ready, if it does
    health: str = "initializing"  # initializing | ok | impaired: DescribeInstanceStatus' instance reachability


@dataclass(frozen=True, slots=True)
class Capacity:
    vcpus: int
    memory_mib: int
    disk_gib: int
    accelerator: str = "tcg"  # kvm | tcg | simulated


@dataclass(frozen=True, slots=True)
class Join:
    """A node's registration, sent at every start of its agent and whenever the cloud asks for it (``JoinFirst``)."""

    node_id: str
    boot_id: str
    zone: str
    hostname: str
    capacity: Capacity
    version: int = VERSION


@dataclass(frozen=True, slots=True)
class Report:
    node_id: str
    boot_id: str  # new at every start of the agent
    sequence: int  # grows within a boot_id; the cloud drops an older one that arrives late
    generation: int  # newest generation applied whole
    capacity: Capacity
    guests: tuple[GuestReport, ...] = ()
    faults: tuple[Fault, ...] = ()
    version: int = VERSION


# ------------------------------------------------------------------------------------------------ credentials


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a guest gets of its role for the metadata service. ``code`` is ``Success``, or says with ``message`` in EC2's words
    why there are none. They are kept in memory only: nobody logs them or writes them down.
    """

    code: str
    role: str
    updated_at: str
    message: str = ""
    access_key_id: str = ""
    secret_access_key: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    expires_at: str = ""


# ------------------------------------------------------------------------------------------------ encoding
#
# Each class is compiled once into a writer and a reader: a document of a thousand guests has fifty thousand members.


def to_json(value: Any) -> Any:
    """Plain JSON-ready data of a document part; members that equal their default are left out."""
    return _writer_of(type(value))(value)


def from_json(kind: type[T], data: dict[str, Any]) -> T:
    """The inverse of ``to_json``. Unknown members are ignored; a missing or mistyped one raises ``TypeError``."""
    return typing.cast(T, _reader_of(kind)(data))


def encode(value: Any) -> bytes:
    """A document part as compact UTF-8 JSON."""
    return json.dumps(to_json(value), ensure_ascii=False, separators=(",", ":")).encode()


def decode(kind: type[T], body: bytes | bytearray) -> T:
    """The inverse of ``encode``; raises ``ValueError`` when the body is not such a document."""
    try:
        return from_json(kind, json.loads(body))
    except (TypeError, RecursionError) as error:
        raise ValueError(f"not a {kind.__name__}: {error}") from error


_REQUIRED = object()
_Convert = typing.Callable[[Any], Any]
_WRITERS: dict[type, _Convert] = {}
_READERS: dict[type, _Convert] = {}


def _writer_of(kind: Any) -> _Convert:
    convert = _WRITERS.get(kind)
    if convert is None:
        convert = _WRITERS[kind] = _compile_writer(kind)
    return convert


def _reader_of(kind: Any) -> _Convert:
    convert = _READERS.get(kind)
    if convert is None:
        convert = _READERS[kind] = _compile_reader(kind)
    return convert


def _default(item: dataclasses.Field[Any]) -> Any:
    if item.name == "version":
        return _REQUIRED
    if item.default is not dataclasses.MISSING:
        return item.default
    return _REQUIRED if item.default_factory is dataclasses.MISSING else item.default_factory()


def _compile_writer(kind: Any) -> _Convert:
    hints = typing.get_type_hints(kind)
    members = [(item.name, _default(item), _writer(hints[item.name])) for item in dataclasses.fields(kind)]

    def write(value: Any) -> dict[str, Any]:
        data = {}
        for name, default, convert in members:
            member = getattr(value, name)
            if member != default:
                data[name] = member if convert is None else convert(member)
        return data

    return write


def _writer(hint: Any) -> _Convert | None:
    """``None`` where the value goes into JSON as it is."""
    if dataclasses.is_dataclass(hint):
        return _writer_of(hint)
    arguments = typing.get_args(hint)
    if _is_optional(hint):
        inner = _writer(_present(arguments))
        return inner and (lambda value: None if value is None else inner(value))
    if typing.get_origin(hint) is tuple:
        item = _writer(arguments[0])
        return list if item is None else (lambda value: [item(each) for each in value])
    return None


def _compile_reader(kind: Any) -> _Convert:
    hints = typing.get_type_hints(kind)
    members = [(item.name, _reader(hints[item.name])) for item in dataclasses.fields(kind)]

    def read(data: Any) -> Any:
        if type(data) is not dict:
            raise TypeError(f"a {kind.__name__} is written as an object, not as {type(data).__name__}")
        return kind(**{name: convert(data[name]) for name, convert in members if name in data})

    return read


def _reader(hint: Any) -> _Convert:
    if dataclasses.is_dataclass(hint):
        return _reader_of(hint)
    arguments = typing.get_args(hint)
    if _is_optional(hint):
        inner = _reader(_present(arguments))
        return lambda value: None if value is None else inner(value)
    origin = typing.get_origin(hint) or hint
    if origin is tuple:
        item = _reader(arguments[0])

        def read_items(value: Any) -> Any:
            if type(value) is not list:
                raise TypeError(f"a list is expected, not {type(value).__name__}")
            return tuple([item(each) for each in value])

        return read_items
    if origin is dict:
        item = _reader(arguments[1])

        def read_map(value: Any) -> Any:
            if type(value) is not dict:
                raise TypeError(f"an object is expected, not {type(value).__name__}")
            return {key: item(each) for key, each in value.items()}

        return read_map

    def read_scalar(value: Any) -> Any:
        if type(value) is not origin:
            raise TypeError(f"{origin.__name__} is expected, not {type(value).__name__}")
        return value

    return read_scalar


def _is_optional(hint: Any) -> bool:
    return typing.get_origin(hint) in (typing.Union, types.UnionType)


def _present(arguments: tuple[Any, ...]) -> Any:
    return next(argument for argument in arguments if argument is not type(None))
