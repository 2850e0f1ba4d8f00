"""Replicas of versions in other buckets of this cloud: whether the role may make one, what it is, and its bytes.

The bytes are read decrypted and verified, block by block, and encrypted anew with a data key of the replica's own; ETag, checksum and
parts are the original's. What must be allowed to the role of the configuration is what AWS asks: its trust in S3, its own policies, and the
policies of both buckets.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/setting-repl-config-perm-overview.html
"""

from __future__ import annotations

import base64
import datetime
import hashlib
from dataclasses import dataclass, field, replace
from typing import Any, Final

from mallee.identity import grants
from mallee.identity.call import Principal
from mallee.identity.records import roles
from mallee.identity.rules.context import Context
from mallee.identity.rules.evaluate import Grants, Question, decide
from mallee.identity.rules.policy import Kind
from mallee.identity.rules.principals import service
from mallee.identity.sessions import role_session_arn
from mallee.objects import capacity, encryption, lookup, public_access, reading, receiving, records, writing
from mallee.objects.attributes import default_retention
from mallee.objects.engine.base import Label
from mallee.objects.index import locks, placing, versions
from mallee.objects.index.rows import NULL, New, Piece, Version
from mallee.objects.receiving import Intake
from mallee.objects.records import ENFORCED, Bucket
from mallee.objects.rules import replication as rules
from mallee.objects.store import Store
from mallee.store import Tx
from mallee.wire.errors import AwsError

SERVICE: Final = service("s3.amazonaws.com")
_MOST: Final = 50 * 1024**4


class Refused(Exception):
    """It will not be replicated, however often it is tried: why."""


@dataclass(frozen=True, slots=True)
class Actor:
    """The role of a configuration at work: what it may do."""

    principal: Principal
    held: Grants
    partition: str

    @classmethod
    def of(cls, tx: Tx, arn: str, bucket: Bucket, partition: str) -> Actor:
        """Raises Refused when the role is not there, or S3 may not assume it."""
        role = roles.role_by_name(tx.everyone(), bucket.account_id, arn.rpartition("/")[2])
        if role is None or role.arn(partition) != arn:
            raise Refused(f"there is no role {arn}")
        context = Context({"aws:SourceAccount": bucket.account_id, "aws:SourceArn": f"arn:{partition}:s3:::{bucket.name}"})
        trust = grants.compiled(role.trust_policy, Kind.TRUST, role.name)
        asked = Question(
            "sts:AssumeRole", role.arn(partition), context, SERVICE, trust, role.account_id, resource_policy_name="role trust"
        )
        if not decide(asked, grants.NOTHING).allowed:
            raise Refused(f"the role {arn} does not trust s3.amazonaws.com")
        session = "s3-replication"
        principal = Principal(
            role.account_id, role_session_arn(partition, role, session), f"{role.id}:{session}", "assumed-role", holder_id=role.id,
            issuer_arn=role.arn(partition),
        )  # fmt: skip
        return cls(principal, grants.of(tx, principal), partition)

    def may(self, action: str, bucket: Bucket, key: bytes) -> bool:
        resource = f"arn:{self.partition}:s3:::{bucket.name}/{key.decode('utf-8', 'replace')}"
        context = Context(
            {
                "aws:PrincipalArn": self.principal.issuer_arn, "aws:PrincipalAccount": self.principal.account_id,
                "aws:PrincipalType": "AssumedRole", "aws:userid": self.principal.user_id, "aws:SecureTransport": True,
                "aws:PrincipalIsAWSService": False, "aws:ViaAWSService": True,
            }
        )  # fmt: skip
        policy = None if bucket.policy is None else grants.compiled(bucket.policy, Kind.RESOURCE, bucket.name)
        return decide(Question(action, resource, context, self.principal, policy, bucket.account_id), self.held).allowed

    def check(self, action: str, bucket: Bucket, key: bytes) -> None:
        if not self.may(action, bucket, key):
            raise Refused(f"the role {self.principal.issuer_arn} may not do {action} in {bucket.name}")


@dataclass(slots=True)
class Replica:
    """What is to be written in one destination. ``made``: the original's; ``contents``: small pieces that go with the commit, whose places
    in ``content`` are None."""

    new: New
    made: int
    marker: bool = False
    content: list[Piece | None] = field(default_factory=list)
    contents: list[tuple[Label, bytes]] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    intakes: list[tuple[Intake, receiving.Received]] = field(default_factory=list)
    only_attributes: bool = False

    def put(self, tx: Tx, locations: list[str]) -> None:
        """In a transaction of the index. ``locations``: of ``contents``. Raises BucketClosed."""
        if self.marker:
            placing.delete(tx, self.new, self.made)
            return
        there = versions.version(tx, self.new.bucket_id, self.new.key, self.new.version_id or "")
        if there is not None and not there.deleted:
            self._keep_lock(there, tx.now)
        if self.only_attributes:
            if there is not None:  # it was removed meanwhile, and stays so
                kept = {name: value for name, value in there.attributes.items() if name not in _CARRIED}
                carried = {name: value for name, value in self.new.attributes.items() if name in _CARRIED}
                versions.change(tx, there, attributes=kept | carried)
            return
        small = iter(zip(locations, self.sizes, strict=True))
        content = tuple(next(small) if piece is None else piece for piece in self.content)
        placing.put(tx, replace(self.new, content=content), self.made)

    def _keep_lock(self, there: Version, now: datetime.datetime) -> None:
        """What protects the replica is its own bucket's: the original's retention may lengthen it, and a legal hold goes off with the
        original's only if it came with it."""
        wanted = self.new.attributes.get("lock")
        lock = locks.stricter(there.attributes.get("lock"), wanted, now)
        if (there.attributes.get("lock") or {}).get("hold") == "ON" and not there.attributes.get(BROUGHT):
            lock["hold"] = "ON"
            self.new.attributes.pop(BROUGHT, None)
        if lock:
            self.new.attributes["lock"] = lock

    def give_up(self) -> None:
        for intake, received in self.intakes:
            intake.give_up(received)


BROUGHT: Final = "brought_hold"
"""Attribute of a replica whose legal hold is its original's. Whoever sets one at the replica itself takes it away."""
_CARRIED: Final = frozenset(("tags", "acl", "lock", "replication", "replica", BROUGHT))


def target_of(tx: Tx, source: Bucket, destination: dict[str, Any]) -> Bucket:
    """Raises Refused."""
    found = lookup.named(tx, destination["Bucket"].rpartition(":")[2])
    if found is None or found.internal or found.id == source.id:
        raise Refused(f"there is no bucket {destination['Bucket']}")
    if found.versioning != records.ENABLED:
        raise Refused(f"the bucket {found.name} does not keep versions")
    if destination.get("Account", found.account_id) != found.account_id:
        raise Refused(f"the bucket {found.name} belongs to another account")
    if found.account_id != source.account_id and _is_restricted(tx, found):
        raise Refused(f"the bucket {found.name} restricts a policy that is public to its own account")
    return found


def _is_restricted(tx: Tx, found: Bucket) -> bool:
    """Whether its policy lets in nobody of another account, since it is public."""
    public = found.policy is not None and public_access.is_public_policy(found.policy)
    return public and public_access.RESTRICT in public_access.blocked(tx, found)


def made(
    objects: Store, actor: Actor, source: Bucket, found: Version, what: str, target: Bucket, destination: dict[str, Any],
    now: datetime.datetime,
) -> Replica:  # fmt: skip
    """Reads and writes the bytes; nothing refers to them yet. Raises Refused, EngineError, ContentMissing."""
    key = found.key
    if found.deleted:
        actor.check("s3:ReplicateDelete", target, key)
        return Replica(_new(found, target, destination, {}), found.made, marker=True)
    actor.check("s3:GetObjectVersionForReplication", source, key)
    actor.check("s3:ReplicateObject", target, key)
    if _overrides_owner(destination):
        actor.check("s3:ObjectOwnerOverrideToBucketOwner", target, key)
    with_tags = actor.may("s3:GetObjectVersionTagging", source, key) and actor.may("s3:ReplicateTags", target, key)
    attributes = _attributes(found, target, destination, with_tags, now)
    if what == rules.CHANGE:
        with objects.index.reading() as tx:
            there = versions.version(tx, target.id, key, id_of(found))
        if there is not None and (there.size, there.etag) == (found.size, found.etag):
            return Replica(_new(found, target, destination, attributes), found.made, only_attributes=True)
    try:
        opener = encryption.internal_opener(objects.vault, found.attributes.get("sse"))
        _check_room(objects, target, found.size)
    except AwsError as problem:
        raise Refused(problem.message) from None
    plan = _plan(objects, found, target, destination)
    if plan is not None:
        attributes["sse"] = plan.sse
    replica = Replica(_new(found, target, destination, attributes), found.made)
    try:
        _copy(objects, found, target, opener, plan, replica)
    except BaseException:
        replica.give_up()
        raise
    return replica


def _check_room(objects: Store, target: Bucket, size: int) -> None:
    """Replicas in flight at the same time do not see each other."""
    with objects.database.reading() as tx:
        room = capacity.of_bucket(tx, target)
    if room is not None:
        with objects.index.reading() as tx:
            room.require(tx, size, 1)


def _copy(
    objects: Store,
    found: Version,
    target: Bucket,
    opener: encryption.Opener | None,
    plan: encryption.Plan | None,
    replica: Replica,
) -> None:
    """Piece by piece, as the original is."""
    offset = 0
    for _, size in found.content:
        intake = Intake(
            objects.engine, receiving.Claims(size), label=writing.label("object", target, found.key),
            encryption=None if plan is None else plan.sealer(), most=_MOST,
        )  # fmt: skip
        flow = reading.Outflow(objects.engine, objects.pins, found.content, offset, size, opener) if size else None
        try:
            while flow is not None and (block := flow.read(receiving.BLOCK)):
                for job in intake.jobs(block):
                    job()
            received = intake.finish()
        except BaseException:
            intake.abort()
            raise
        finally:
            if flow is not None:
                flow.close()
        if received.data is not None:
            if size:
                replica.content.append(None)
                replica.contents.append((intake.label, received.data))
                replica.sizes.append(size)
        else:
            replica.content += received.pieces
            replica.intakes.append((intake, received))
        offset += size


def _new(found: Version, target: Bucket, destination: dict[str, Any], attributes: dict[str, Any]) -> New:
    owner = target.account_id if _overrides_owner(destination) or target.ownership == ENFORCED else found.owner
    kind = destination.get("StorageClass") or found.storage_class
    return New(
        target.id,
        found.key,
        found.size,
        found.etag,
        owner,
        (),
        kind,
        found.checksum,
        attributes,
        id_of(found),
        found.modified,
    )


def id_of(found: Version) -> str:
    """The replica's version id: the original's. One from before the bucket kept versions has none, and its replica always the same."""
    if found.version_id != NULL:
        return found.version_id
    digest = hashlib.sha256(b"%s/%d/%s" % (found.bucket_id.encode(), found.made, found.key)).digest()
    return base64.urlsafe_b64encode(digest[:24]).decode("ascii").replace("-", ".")


def _overrides_owner(destination: dict[str, Any]) -> bool:
    return (destination.get("AccessControlTranslation") or {}).get("Owner") == "Destination"


_OWN: Final = frozenset(("sse", "restore", "replica", "remotes", "replication_failed", BROUGHT))
"""What a version has for itself."""


def _attributes(
    found: Version, target: Bucket, destination: dict[str, Any], with_tags: bool, now: datetime.datetime
) -> dict[str, Any]:
    """A replica that brings no lock has the destination's default. Raises Refused for a lock that the destination could not keep."""
    kept = {name: value for name, value in found.attributes.items() if name not in _OWN}
    if kept.get("lock") and not target.object_lock:
        raise Refused(f"the bucket {target.name} has no object lock")
    if not with_tags:
        kept.pop("tags", None)
    if _overrides_owner(destination) or target.ownership == ENFORCED:
        kept.pop("acl", None)
    if not kept.get("lock") and target.object_lock and (held := default_retention(target, now)):
        kept["lock"] = held
    if (kept.get("lock") or {}).get("hold") == "ON":
        kept[BROUGHT] = True
    return {**kept, "replication": rules.REPLICA}


def _plan(objects: Store, found: Version, target: Bucket, destination: dict[str, Any]) -> encryption.Plan | None:
    """An original that is not encrypted gets the destination's default encryption."""
    sse = found.attributes.get("sse")
    if sse is None:
        default = encryption.default_of(target)
        if default is None:
            return None
        form, kms = default["SSEAlgorithm"], default.get("KMSMasterKeyID")
    else:
        form, kms = sse["form"], (destination.get("EncryptionConfiguration") or {}).get("ReplicaKmsKeyID")
    if form == encryption.AES256:
        return encryption.managed(objects.vault, form)
    context = None if sse is None else sse.get("context")
    return encryption.managed(objects.vault, form, kms or encryption.DEFAULT_KMS_KEY, context)
