"""The tables of compute, and the questions asked of them.

``instances`` holds what the user asked and what became of it; where an instance stands is ``nodes``' knowledge, its
addresses are ``network``'s. Three columns are what the node of the instance is asked for: ``power`` (on, off,
gone), ``revision`` (raised with every change that the node must apply and report back) and ``reboots`` (how many
were ever asked). They change together with ``state``, in the same transaction, and the document of the node is
computed from them.

Two kinds of bulk stay out of ``instances``, which is read for every description: ``launch_data`` (user data and the
public key, as they were at the launch) and ``root_volumes``. An image that instances were launched from is never
deleted, only marked: they must still be able to start.

Statements are built once and bound by name. ``tx`` restricts them to the account of the transaction by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Column, ForeignKey, Index, PrimaryKeyConstraint, UniqueConstraint, bindparam, func, or_, select

from mallee.store import Flag, Integer, Text, Timestamp, Tx, plain_table, read, read_all, resource_table

INSTANCES = resource_table(
    "instances",
    Column("id", Text, primary_key=True),
    Column("reservation_id", Text, nullable=False),
    Column("launch_index", Integer, nullable=False),
    Column("image_id", Text, nullable=False),
    Column("kernel_id", Text),
    Column("ramdisk_id", Text),
    Column("architecture", Text, nullable=False),
    Column("root_device_name", Text, nullable=False),
    Column("instance_type", Text, nullable=False),
    Column("key_name", Text),
    Column("zone", Text, nullable=False),
    Column("vpc_id", Text, nullable=False),
    Column("subnet_id", Text, nullable=False),
    Column("client_token", Text, nullable=False),
    Column("created_at", Timestamp, nullable=False),
    Column("launched_at", Timestamp, nullable=False),  # of the present run: EC2's LaunchTime
    Column("terminated_at", Timestamp),
    Column("state", Text, nullable=False),
    Column("power", Text, nullable=False),
    Column("force_off", Flag, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("reboots", Integer, nullable=False),
    Column("has_run", Flag, nullable=False),
    Column("reason_code", Text),
    Column("reason", Text),
    Column("transition_reason", Text, nullable=False),
    Column("shutdown_behavior", Text, nullable=False),  # stop | terminate, when the guest switches itself off
    Column("termination_protected", Flag, nullable=False),
    Column("stop_protected", Flag, nullable=False),
    Column("ebs_optimized", Flag, nullable=False),
    Column("metadata_tokens", Text, nullable=False),
    Column("metadata_hops", Integer, nullable=False),
    Column("metadata_endpoint", Text, nullable=False),
    Column("metadata_tags", Text, nullable=False),
    Column("metadata_applied", Flag, nullable=False),
    # the association with an instance profile, as it was made: a profile made anew under the same name is another
    Column("profile_association_id", Text),
    Column("profile_id", Text),
    Column("profile_arn", Text),
    Column("profile_since", Timestamp),
)
Index("instances_by_profile", INSTANCES.c.profile_id)
Index("instances_by_profile_association", INSTANCES.c.profile_association_id, unique=True)
Index("instances_by_age", INSTANCES.c.account_id, INSTANCES.c.created_at)
Index("instances_by_image", INSTANCES.c.image_id)
Index("instances_by_state", INSTANCES.c.account_id, INSTANCES.c.state, INSTANCES.c.instance_type)

LAUNCH_DATA = plain_table(
    "launch_data",
    Column("instance_id", Text, ForeignKey("instances.id"), primary_key=True),
    Column("user_data", Text),  # base64
    Column("public_key", Text),  # OpenSSH line
)

ROOT_VOLUMES = resource_table(
    "root_volumes",
    Column("id", Text, primary_key=True),
    Column("instance_id", Text),  # None once it has outlived its instance
    Column("node_id", Text),  # where it lies when it has outlived its instance
    Column("image_id", Text, nullable=False),
    Column("device_name", Text, nullable=False),
    Column("size_gib", Integer, nullable=False),
    Column("volume_type", Text, nullable=False),
    Column("delete_on_termination", Flag, nullable=False),
    Column("attached_at", Timestamp, nullable=False),
)
Index("root_volumes_by_instance", ROOT_VOLUMES.c.instance_id)

IMAGES = resource_table(
    "images",
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),  # machine | kernel | ramdisk
    Column("name", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("location", Text, nullable=False),
    Column("state", Text, nullable=False),  # available | deregistered
    Column("public", Flag, nullable=False),
    Column("architecture", Text, nullable=False),
    Column("created_at", Timestamp, nullable=False),
    Column("kernel_id", Text),
    Column("ramdisk_id", Text),
    Column("root_device_name", Text),
    Column("root_gib", Integer),
    Column("boot_mode", Text),
    Column("command_line", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("format", Text, nullable=False),  # raw | qcow2
    Column("bytes", Integer, nullable=False),
)
Index("images_public", IMAGES.c.public)

IMAGE_PERMISSIONS = resource_table(
    "image_permissions",
    Column("image_id", Text, ForeignKey("images.id"), nullable=False),
    Column("user_id", Text, nullable=False),  # the account that may launch it
    PrimaryKeyConstraint("image_id", "user_id"),
)
Index("image_permissions_by_user", IMAGE_PERMISSIONS.c.user_id)

KEY_PAIRS = resource_table(
    "key_pairs",
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("kind", Text, nullable=False),  # rsa | ed25519
    Column("fingerprint", Text, nullable=False),
    Column("public_key", Text, nullable=False),  # OpenSSH line without a comment
    Column("created_at", Timestamp, nullable=False),
    Column("account_id", Text, nullable=False),
    UniqueConstraint("account_id", "name"),
)


@dataclass(frozen=True, slots=True)
class Instance:
    id: str
    account_id: str
    reservation_id: str
    launch_index: int
    image_id: str
    kernel_id: str | None
    ramdisk_id: str | None
    architecture: str
    root_device_name: str
    instance_type: str
    key_name: str | None
    zone: str
    vpc_id: str
    subnet_id: str
    client_token: str
    created_at: datetime
    launched_at: datetime
    terminated_at: datetime | None
    state: str
    power: str
    force_off: bool
    revision: int
    reboots: int
    has_run: bool
    reason_code: str | None
    reason: str | None
    transition_reason: str
    shutdown_behavior: str
    termination_protected: bool
    stop_protected: bool
    ebs_optimized: bool
    metadata_tokens: str
    metadata_hops: int
    metadata_endpoint: str
    metadata_tags: str
    metadata_applied: bool
    profile_association_id: str | None = None
    profile_id: str | None = None
    profile_arn: str | None = None
    profile_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class RootVolume:
    id: str
    account_id: str
    instance_id: str | None
    node_id: str | None
    image_id: str
    device_name: str
    size_gib: int
    volume_type: str
    delete_on_termination: bool
    attached_at: datetime


@dataclass(frozen=True, slots=True)
class Image:
    id: str
    account_id: str
    kind: str
    name: str
    description: str
    location: str
    state: str
    public: bool
    architecture: str
    created_at: datetime
    kernel_id: str | None
    ramdisk_id: str | None
    root_device_name: str | None
    root_gib: int | None
    boot_mode: str | None
    command_line: str
    digest: str
    format: str
    bytes: int


@dataclass(frozen=True, slots=True)
class KeyPair:
    id: str
    account_id: str
    name: str
    kind: str
    fingerprint: str
    public_key: str
    created_at: datetime


# --------------------------------------------------------------------------------------------------------- instances

_MANY = 500  # parameters of one statement; longer lists of ids are asked for in pieces

_INSTANCE = select(INSTANCES).where(INSTANCES.c.id == bindparam("id"))
_LOCKED = select(INSTANCES).where(INSTANCES.c.id.in_(bindparam("ids", expanding=True))).with_for_update()
_SOME = select(INSTANCES).where(INSTANCES.c.id.in_(bindparam("ids", expanding=True)))
_EVERY = select(INSTANCES).order_by(INSTANCES.c.created_at, INSTANCES.c.reservation_id, INSTANCES.c.launch_index)
_IDS = select(INSTANCES.c.id).where(INSTANCES.c.id.in_(bindparam("ids", expanding=True)))
_LIVE = select(func.count()).select_from(INSTANCES).where(INSTANCES.c.terminated_at.is_(None))
_WITH_PROFILE = select(INSTANCES.c.id).where(INSTANCES.c.profile_id == bindparam("profile_id"))
_ASSOCIATED = select(INSTANCES).where(INSTANCES.c.profile_association_id.is_not(None))
_BY_ASSOCIATION = select(INSTANCES).where(INSTANCES.c.profile_association_id == bindparam("id"))
_OF_RESERVATION = select(INSTANCES.c.id).where(INSTANCES.c.reservation_id == bindparam("id")).order_by(INSTANCES.c.launch_index)
_LAUNCH_DATA = select(LAUNCH_DATA).where(LAUNCH_DATA.c.instance_id == bindparam("id"))
_LAUNCH_DATA_OF = select(LAUNCH_DATA).where(LAUNCH_DATA.c.instance_id.in_(bindparam("ids", expanding=True)))


def _pieces(ids: Sequence[str]) -> Iterable[list[str]]:
    return (list(ids[at : at + _MANY]) for at in range(0, len(ids), _MANY))


def _read(tx: Tx, statement: Any, ids: Sequence[str]) -> list[Any]:
    return [row for piece in _pieces(ids) for row in tx.all(statement, ids=piece)]


def instance(tx: Tx, id: str) -> Instance | None:
    row = tx.first(_INSTANCE, id=id)
    return None if row is None else read(Instance, row)


def instances(tx: Tx, ids: Sequence[str]) -> list[Instance]:
    """Those of the ids that exist, in no order."""
    return read_all(Instance, _read(tx, _SOME, ids))


def instances_for_change(tx: Tx, ids: Sequence[str]) -> dict[str, Instance]:
    """Those of the ids that exist, locked until the commit, in one order for all transactions."""
    found = read_all(Instance, _read(tx, _LOCKED, sorted(ids)))
    return {each.id: each for each in found}


def rows(tx: Tx, ids: Sequence[str] | None) -> list[Any]:
    """Instances as plain rows in the order of their launch: all of the account, or those of the ids that exist."""
    if ids is None:
        return list(tx.all(_EVERY))
    return sorted(_read(tx, _SOME, ids), key=lambda row: (row.created_at, row.reservation_id, row.launch_index))


def existing_instances(tx: Tx, ids: Sequence[str]) -> list[str]:
    return [row.id for row in _read(tx, _IDS, ids)]


def count_live(tx: Tx) -> int:
    """Instances of the account that are not terminated."""
    return int(tx.value(_LIVE) or 0)


def of_reservation(tx: Tx, reservation_id: str) -> list[str]:
    """Ids of the instances of one launch, by launch index."""
    return [row.id for row in tx.all(_OF_RESERVATION, id=reservation_id)]


def with_profile(tx: Tx, profile_id: str) -> list[str]:
    """Ids of the instances that an instance profile is associated with."""
    return [row.id for row in tx.all(_WITH_PROFILE, profile_id=profile_id)]


def associated(tx: Tx) -> list[Instance]:
    """The account's instances that have an instance profile."""
    return read_all(Instance, tx.all(_ASSOCIATED))


def of_profile_association(tx: Tx, id: str) -> Instance | None:
    row = tx.first(_BY_ASSOCIATION, id=id)
    return None if row is None else read(Instance, row)


def launch_data(tx: Tx, id: str) -> tuple[str | None, str | None]:
    """User data (base64) and public key of an instance."""
    row = tx.first(_LAUNCH_DATA, id=id)
    return (None, None) if row is None else (row.user_data, row.public_key)


def launch_data_of(tx: Tx, ids: Sequence[str]) -> dict[str, tuple[str | None, str | None]]:
    return {row.instance_id: (row.user_data, row.public_key) for row in _read(tx, _LAUNCH_DATA_OF, ids)}


# ------------------------------------------------------------------------------------------------------ root volumes

_VOLUMES = select(ROOT_VOLUMES).where(ROOT_VOLUMES.c.instance_id.in_(bindparam("ids", expanding=True)))
_EVERY_VOLUME = select(ROOT_VOLUMES).where(ROOT_VOLUMES.c.instance_id.is_not(None))
_VOLUME = select(ROOT_VOLUMES).where(ROOT_VOLUMES.c.id == bindparam("id"))
_VOLUME_IDS = select(ROOT_VOLUMES.c.id).where(ROOT_VOLUMES.c.id.in_(bindparam("ids", expanding=True)))


def volume_rows(tx: Tx, ids: Sequence[str] | None) -> list[Any]:
    """Root volumes as plain rows: of all instances of the account, or of the instances named."""
    return list(tx.all(_EVERY_VOLUME)) if ids is None else _read(tx, _VOLUMES, ids)


def root_volume_of(tx: Tx, instance_id: str) -> RootVolume | None:
    row = tx.first(_VOLUMES, ids=[instance_id])
    return None if row is None else read(RootVolume, row)


def volume(tx: Tx, id: str) -> RootVolume | None:
    row = tx.first(_VOLUME, id=id)
    return None if row is None else read(RootVolume, row)


def existing_volumes(tx: Tx, ids: Sequence[str]) -> list[str]:
    return [row.id for row in _read(tx, _VOLUME_IDS, ids)]


# ------------------------------------------------------------------------------------------------------------ images

_VISIBLE = select(IMAGES).where(
    or_(
        IMAGES.c.public,
        IMAGES.c.account_id == bindparam("viewer"),
        IMAGES.c.id.in_(select(IMAGE_PERMISSIONS.c.image_id).where(IMAGE_PERMISSIONS.c.user_id == bindparam("viewer"))),
    )
)
_VISIBLE_ONE = _VISIBLE.where(IMAGES.c.id == bindparam("id"))
_IMAGES = select(IMAGES).where(IMAGES.c.id.in_(bindparam("ids", expanding=True)))
_IMAGE_IDS = select(IMAGES.c.id).where(IMAGES.c.id.in_(bindparam("ids", expanding=True)))
_PERMITTED = select(IMAGE_PERMISSIONS.c.image_id, IMAGE_PERMISSIONS.c.user_id).order_by(IMAGE_PERMISSIONS.c.user_id)
_NAMED = select(IMAGES).where(IMAGES.c.name == bindparam("name"), IMAGES.c.account_id == bindparam("owner"))
_LAST_LAUNCHED = (
    select(INSTANCES.c.created_at).where(INSTANCES.c.image_id == bindparam("id")).order_by(INSTANCES.c.created_at.desc()).limit(1)
)


def visible_images(tx: Tx, viewer: str) -> list[Image]:
    """The images that an account may see: its own, public ones, and those shared with it."""
    return read_all(Image, tx.everyone().all(_VISIBLE, viewer=viewer))


def visible_image(tx: Tx, viewer: str, id: str) -> Image | None:
    row = tx.everyone().first(_VISIBLE_ONE, viewer=viewer, id=id)
    return None if row is None else read(Image, row)


def images(tx: Tx, ids: Sequence[str]) -> dict[str, Image]:
    """Images by id, whoever owns them: what instances that run already are made of."""
    return {row.id: read(Image, row) for row in _read(tx.everyone(), _IMAGES, ids)}


def last_launched(tx: Tx, id: str) -> datetime | None:
    """When an instance was last launched from an image, by whomever, as far as instances are remembered."""
    found: datetime | None = tx.everyone().value(_LAST_LAUNCHED, id=id)
    return found


def images_named(tx: Tx, owner: str, name: str) -> list[Image]:
    return read_all(Image, tx.everyone().all(_NAMED, name=name, owner=owner))


def existing_images(tx: Tx, ids: Sequence[str]) -> list[str]:
    """Those of the ids that the account owns."""
    return [row.id for row in _read(tx, _IMAGE_IDS, ids)]


def launch_permissions(tx: Tx) -> dict[str, list[str]]:
    """The accounts that may launch each image of others, by image."""
    found: dict[str, list[str]] = {}
    for row in tx.everyone().all(_PERMITTED):
        found.setdefault(row.image_id, []).append(row.user_id)
    return found


# --------------------------------------------------------------------------------------------------------- key pairs

_KEY_PAIRS = select(KEY_PAIRS).order_by(KEY_PAIRS.c.name)
_KEY_NAMED = select(KEY_PAIRS).where(KEY_PAIRS.c.name == bindparam("name"))
_KEY_IDENTIFIED = select(KEY_PAIRS).where(KEY_PAIRS.c.id == bindparam("id"))
_KEY_IDS = select(KEY_PAIRS.c.id).where(KEY_PAIRS.c.id.in_(bindparam("ids", expanding=True)))
_KEY_COUNT = select(func.count()).select_from(KEY_PAIRS)


def key_pairs(tx: Tx) -> list[KeyPair]:
    return read_all(KeyPair, tx.all(_KEY_PAIRS))


def key_named(tx: Tx, name: str) -> KeyPair | None:
    row = tx.first(_KEY_NAMED, name=name)
    return None if row is None else read(KeyPair, row)


def key_identified(tx: Tx, id: str) -> KeyPair | None:
    row = tx.first(_KEY_IDENTIFIED, id=id)
    return None if row is None else read(KeyPair, row)


def existing_keys(tx: Tx, ids: Sequence[str]) -> list[str]:
    return [row.id for row in _read(tx, _KEY_IDS, ids)]


def count_keys(tx: Tx) -> int:
    return int(tx.value(_KEY_COUNT) or 0)
