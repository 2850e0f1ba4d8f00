"""Replication at work: what becomes a replica, where, with what of its original, and what S3 says of both."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cloud.harness import Account, TestCloud, refused
from tests.cloud.s3 import allow, bucket, version, with_headers

SOURCE, TARGET, OTHER = "the-source", "the-target", "another-target"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "s3.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


def role(cloud: TestCloud, name: str = "replicator", actions: Any = "s3:*", account: Account | None = None) -> str:
    iam = cloud.client("iam", account=account)
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
    document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": actions, "Resource": "*"}]}
    iam.put_role_policy(RoleName=name, PolicyName="all", PolicyDocument=json.dumps(document))
    return str(arn)


def rule(target: str = TARGET, priority: int = 1, markers: str = "Disabled", where: Any = None, to: Any = None, **more: Any) -> dict[str, Any]:
    return {
        "ID": f"rule-{priority}", "Priority": priority, "Status": "Enabled", "Filter": {} if where is None else where,
        "DeleteMarkerReplication": {"Status": markers}, "Destination": {"Bucket": f"arn:aws:s3:::{target}", **(to or {})}, **more,
    }  # fmt: skip


def configure(s3: Any, arn: str, *rules: dict[str, Any], name: str = SOURCE) -> None:
    s3.put_bucket_replication(Bucket=name, ReplicationConfiguration={"Role": arn, "Rules": list(rules)})


def pair(cloud: TestCloud, *rules: dict[str, Any], lock: bool = False, ownership: str = "") -> Any:
    s3 = bucket(cloud, SOURCE, versioning="Enabled", lock=lock, ownership=ownership)
    bucket(cloud, TARGET, versioning="Enabled", lock=lock, ownership=ownership)
    configure(s3, role(cloud), *(rules or (rule(),)))
    return s3


def status(s3: Any, key: str, name: str = SOURCE, **more: Any) -> str | None:
    return s3.head_object(Bucket=name, Key=key, **more).get("ReplicationStatus")  # type: ignore[no-any-return]


def keys(s3: Any, name: str = TARGET) -> list[str]:
    return [each["Key"] for each in s3.list_objects_v2(Bucket=name).get("Contents", ())]


def test_a_version_becomes_a_replica_with_all_that_it_has(cloud: TestCloud) -> None:
    s3 = pair(cloud)
    made = s3.put_object(
        Bucket=SOURCE, Key="a/key", Body=b"content", ContentType="text/plain", Metadata={"name": "value"}, Tagging="a=b",
        StorageClass="STANDARD_IA", ChecksumAlgorithm="SHA256",
    )  # fmt: skip
    assert status(s3, "a/key") == "PENDING" and keys(s3) == []
    cloud.clock.advance(100)
    cloud.run()
    assert status(s3, "a/key") == "COMPLETED"
    original = s3.head_object(Bucket=SOURCE, Key="a/key", ChecksumMode="ENABLED")
    replica = s3.get_object(Bucket=TARGET, Key="a/key", ChecksumMode="ENABLED")
    assert replica["Body"].read() == b"content" and replica["ReplicationStatus"] == "REPLICA"
    for name in ("VersionId", "ETag", "LastModified", "ContentType", "Metadata", "StorageClass", "ChecksumSHA256"):
        assert replica[name] == original[name], name
    assert replica["VersionId"] == made["VersionId"]
    assert s3.get_object_tagging(Bucket=TARGET, Key="a/key")["TagSet"] == [{"Key": "a", "Value": "b"}]


def test_small_large_empty_and_of_several_parts(cloud: TestCloud) -> None:
    s3 = pair(cloud)
    large = bytes(range(256)) * 4096 * 3
    s3.put_object(Bucket=SOURCE, Key="large", Body=large)
    s3.put_object(Bucket=SOURCE, Key="empty", Body=b"")
    upload = s3.create_multipart_upload(Bucket=SOURCE, Key="parts")["UploadId"]
    sizes = (5 * 1024 * 1024, 10)
    parts = [
        s3.upload_part(Bucket=SOURCE, Key="parts", UploadId=upload, PartNumber=number, Body=b"%d" % number * size)["ETag"]
        for number, size in enumerate(sizes, 1)
    ]
    told = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(parts, 1)]
    s3.complete_multipart_upload(Bucket=SOURCE, Key="parts", UploadId=upload, MultipartUpload={"Parts": told})
    s3.copy_object(Bucket=SOURCE, Key="copied", CopySource=f"{SOURCE}/large")
    cloud.run()
    assert keys(s3) == ["copied", "empty", "large", "parts"]
    for key in keys(s3):
        original, replica = s3.get_object(Bucket=SOURCE, Key=key), s3.get_object(Bucket=TARGET, Key=key)
        assert original["ReplicationStatus"] == "COMPLETED"
        assert replica["Body"].read() == original["Body"].read() and replica["ETag"] == original["ETag"]
    assert s3.get_object(Bucket=TARGET, Key="parts", PartNumber=2)["Body"].read() == b"2" * 10


def test_rules_choose_by_prefix_tag_and_priority(cloud: TestCloud) -> None:
    s3 = bucket(cloud, SOURCE, versioning="Enabled")
    for name in (TARGET, OTHER):
        bucket(cloud, name, versioning="Enabled")
    configure(
        s3, role(cloud),
        rule(priority=1, where={"Prefix": "a/"}),
        rule(priority=2, where={"And": {"Prefix": "a/", "Tags": [{"Key": "k", "Value": "v"}]}}, to={"StorageClass": "GLACIER_IR"}),
        rule(OTHER, priority=3, where={"Tag": {"Key": "k", "Value": "v"}}),
        rule(OTHER, priority=4, where={"Prefix": "z"}, Status="Disabled"),
    )  # fmt: skip
    s3.put_object(Bucket=SOURCE, Key="a/plain", Body=b"1")
    s3.put_object(Bucket=SOURCE, Key="a/tagged", Body=b"2", Tagging="k=v")
    s3.put_object(Bucket=SOURCE, Key="b/tagged", Body=b"3", Tagging="k=v")
    s3.put_object(Bucket=SOURCE, Key="z", Body=b"4")
    cloud.run()
    assert keys(s3) == ["a/plain", "a/tagged"]
    assert keys(s3, OTHER) == ["a/tagged", "b/tagged"]
    assert "ReplicationStatus" not in s3.head_object(Bucket=SOURCE, Key="z")
    classes = {each["Key"]: each["StorageClass"] for each in s3.list_objects_v2(Bucket=TARGET)["Contents"]}
    assert classes == {"a/plain": "STANDARD", "a/tagged": "GLACIER_IR"}


def test_delete_markers_where_the_rule_says_so_and_never_deletes_of_versions(cloud: TestCloud) -> None:
    s3 = bucket(cloud, SOURCE, versioning="Enabled")
    for name in (TARGET, OTHER):
        bucket(cloud, name, versioning="Enabled")
    configure(s3, role(cloud), rule(markers="Enabled", priority=1), rule(OTHER, priority=2))
    first = s3.put_object(Bucket=SOURCE, Key="key", Body=b"1")["VersionId"]
    cloud.run()
    marker = s3.delete_object(Bucket=SOURCE, Key="key")["VersionId"]
    s3.delete_object(Bucket=SOURCE, Key="key", VersionId=first)
    cloud.run()
    assert keys(s3) == [] and keys(s3, OTHER) == ["key"]
    found = s3.list_object_versions(Bucket=TARGET)
    assert [each["VersionId"] for each in found["DeleteMarkers"]] == [marker]
    assert [each["VersionId"] for each in found["Versions"]] == [first]


def test_tags_acls_and_locks_that_change_follow(cloud: TestCloud) -> None:
    s3 = pair(cloud, lock=True, ownership="ObjectWriter")
    s3.put_object(Bucket=SOURCE, Key="key", Body=b"1", Tagging="a=1")
    cloud.run()
    s3.put_object_tagging(Bucket=SOURCE, Key="key", Tagging={"TagSet": [{"Key": "a", "Value": "2"}]})
    s3.put_object_legal_hold(Bucket=SOURCE, Key="key", LegalHold={"Status": "ON"})
    s3.put_object_acl(Bucket=SOURCE, Key="key", ACL="bucket-owner-full-control")
    assert status(s3, "key") == "PENDING"
    cloud.run()
    assert status(s3, "key") == "COMPLETED" and status(s3, "key", TARGET) == "REPLICA"
    assert s3.get_object_tagging(Bucket=TARGET, Key="key")["TagSet"] == [{"Key": "a", "Value": "2"}]
    assert s3.get_object_legal_hold(Bucket=TARGET, Key="key")["LegalHold"]["Status"] == "ON"
    assert len(s3.list_object_versions(Bucket=TARGET)["Versions"]) == 1


def test_two_buckets_that_replicate_to_each_other_come_to_rest_on_the_same_versions(cloud: TestCloud) -> None:
    s3 = pair(cloud, rule(markers="Enabled"))
    arn = cloud.client("iam").get_role(RoleName="replicator")["Role"]["Arn"]
    synced = {"SourceSelectionCriteria": {"ReplicaModifications": {"Status": "Enabled"}}}
    configure(s3, arn, rule(SOURCE, markers="Enabled", **synced), name=TARGET)
    s3.put_object(Bucket=SOURCE, Key="key", Body=b"1")
    cloud.clock.advance(1)
    s3.put_object(Bucket=TARGET, Key="key", Body=b"2")
    cloud.run()
    for name in (SOURCE, TARGET):
        assert s3.get_object(Bucket=name, Key="key")["Body"].read() == b"2"
    listed = [[each["VersionId"] for each in s3.list_object_versions(Bucket=name)["Versions"]] for name in (SOURCE, TARGET)]
    assert listed[0] == listed[1] and len(listed[0]) == 2
    first = listed[0][1]
    # a replica that is changed is told back where the rule says so, and stays a replica
    assert status(s3, "key", TARGET, VersionId=first) == "REPLICA"
    s3.put_object_tagging(Bucket=TARGET, Key="key", VersionId=first, Tagging={"TagSet": [{"Key": "new", "Value": "tag"}]})
    assert status(s3, "key", TARGET, VersionId=first) == "PENDING"
    cloud.run()
    assert status(s3, "key", TARGET, VersionId=first) == "REPLICA"
    assert s3.get_object_tagging(Bucket=SOURCE, Key="key", VersionId=first)["TagSet"] == [{"Key": "new", "Value": "tag"}]
    s3.delete_object(Bucket=TARGET, Key="key")
    cloud.run()
    assert keys(s3, SOURCE) == []


def test_a_change_of_a_replica_stays_where_it_is_otherwise(cloud: TestCloud) -> None:
    s3 = pair(cloud)
    arn = cloud.client("iam").get_role(RoleName="replicator")["Role"]["Arn"]
    configure(s3, arn, rule(SOURCE), name=TARGET)
    s3.put_object(Bucket=SOURCE, Key="key", Body=b"1")
    cloud.run()
    s3.put_object_tagging(Bucket=TARGET, Key="key", Tagging={"TagSet": [{"Key": "new", "Value": "tag"}]})
    cloud.run()
    assert status(s3, "key", TARGET) == "REPLICA"
    assert s3.get_object_tagging(Bucket=SOURCE, Key="key")["TagSet"] == []


def test_encrypted_originals(cloud: TestCloud) -> None:
    cloud.scheme = "https"  # a customer's key goes over no open wire
    s3 = bucket(cloud, SOURCE, versioning="Enabled")
    bucket(cloud, TARGET, versioning="Enabled")
    keyed = {"SourceSelectionCriteria": {"SseKmsEncryptedObjects": {"Status": "Enabled"}}}
    configure(
        s3, role(cloud),
        rule(priority=2, where={"Prefix": "kms/"}, to={"EncryptionConfiguration": {"ReplicaKmsKeyID": "alias/theirs"}}, **keyed),
        rule(priority=1),
    )  # fmt: skip
    s3.put_object(Bucket=SOURCE, Key="s3", Body=b"x" * 300_000, ServerSideEncryption="AES256")
    s3.put_object(Bucket=SOURCE, Key="kms/a", Body=b"kms", ServerSideEncryption="aws:kms", SSEKMSKeyId="alias/ours")
    s3.put_object(Bucket=SOURCE, Key="no-kms", Body=b"kms", ServerSideEncryption="aws:kms")
    s3.put_object(Bucket=SOURCE, Key="customer", Body=b"c", SSECustomerAlgorithm="AES256", SSECustomerKey="k" * 32)
    cloud.run()
    assert keys(s3) == ["kms/a", "s3"]
    replica = s3.get_object(Bucket=TARGET, Key="s3")
    assert replica["Body"].read() == b"x" * 300_000 and replica["ServerSideEncryption"] == "AES256"
    replica = s3.get_object(Bucket=TARGET, Key="kms/a")
    assert replica["Body"].read() == b"kms" and replica["SSEKMSKeyId"] == "alias/theirs"
    told = s3.head_object(Bucket=SOURCE, Key="customer", SSECustomerAlgorithm="AES256", SSECustomerKey="k" * 32)
    assert told["ReplicationStatus"] == "FAILED"
    assert status(s3, "no-kms") is None


def test_another_account_must_let_it_in_and_may_own_it(cloud: TestCloud) -> None:
    other = cloud.account()
    s3 = bucket(cloud, SOURCE, versioning="Enabled")
    theirs = bucket(cloud, TARGET, versioning="Enabled", ownership="ObjectWriter", account=other)
    arn = role(cloud)
    owned = {"Account": other.id, "AccessControlTranslation": {"Owner": "Destination"}}
    configure(s3, arn, rule(to=owned))
    s3.put_object(Bucket=SOURCE, Key="before", Body=b"1")
    cloud.run()
    assert status(s3, "before") == "FAILED"
    allow(theirs, "s3:ReplicateObject", "s3:ReplicateTags", "s3:ObjectOwnerOverrideToBucketOwner", name=TARGET, to={"AWS": arn})
    s3.put_object(Bucket=SOURCE, Key="after", Body=b"2", Tagging="a=b")
    cloud.run()
    assert status(s3, "after") == "COMPLETED" and keys(theirs) == ["after"]
    assert theirs.get_object(Bucket=TARGET, Key="after")["Body"].read() == b"2"
    assert theirs.get_object_tagging(Bucket=TARGET, Key="after")["TagSet"] == [{"Key": "a", "Value": "b"}]


def test_the_role_must_be_allowed_and_tags_may_be_left_behind(cloud: TestCloud) -> None:
    s3 = bucket(cloud, SOURCE, versioning="Enabled")
    bucket(cloud, TARGET, versioning="Enabled")
    configure(s3, role(cloud, actions=["s3:GetObjectVersionForReplication"]), rule())
    s3.put_object(Bucket=SOURCE, Key="refused", Body=b"1")
    configure(s3, role(cloud, "other", ["s3:GetObjectVersionForReplication", "s3:ReplicateObject"]), rule())
    s3.put_object(Bucket=SOURCE, Key="untagged", Body=b"1", Tagging="a=b")
    cloud.run()
    assert status(s3, "refused") == "FAILED" and status(s3, "untagged") == "COMPLETED"
    assert s3.get_object_tagging(Bucket=TARGET, Key="untagged")["TagSet"] == []


def test_what_was_there_before_is_replicated_where_the_rule_says_so(cloud: TestCloud) -> None:
    s3 = bucket(cloud, SOURCE, versioning="Enabled")
    bucket(cloud, TARGET, versioning="Enabled")
    for number in range(3):
        s3.put_object(Bucket=SOURCE, Key="key", Body=b"%d" % number)
        cloud.clock.advance(1)
    s3.put_object(Bucket=SOURCE, Key="other", Body=b"x")
    arn = role(cloud)
    configure(s3, arn, rule())
    cloud.run()
    assert keys(s3) == []
    cloud.clock.advance(1)
    configure(s3, arn, rule(ExistingObjectReplication={"Status": "Enabled"}))
    s3.put_object(Bucket=SOURCE, Key="key", Body=b"newest")
    cloud.run()
    cloud.run()
    listed = [[each["VersionId"] for each in s3.list_object_versions(Bucket=name)["Versions"]] for name in (SOURCE, TARGET)]
    assert listed[0] == listed[1] and len(listed[0]) == 5
    assert s3.get_object(Bucket=TARGET, Key="key")["Body"].read() == b"newest"


def test_a_disk_that_is_away_costs_time_only(sqlite_cloud: TestCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    from mallee.objects import replicas
    from mallee.objects.engine.base import EngineError

    cloud = sqlite_cloud
    s3 = pair(cloud)
    with monkeypatch.context() as broken:
        def fail(*_: Any) -> None:
            raise EngineError("away")

        broken.setattr(replicas, "_copy", fail)
        s3.put_object(Bucket=SOURCE, Key="key", Body=b"1")
        s3.put_object(Bucket=SOURCE, Key="key", Body=b"2")
        cloud.run()
        assert status(s3, "key") == "PENDING"
    cloud.run()
    assert keys(s3) == []
    cloud.clock.advance(10)
    cloud.run()
    assert status(s3, "key") == "COMPLETED"
    assert s3.get_object(Bucket=TARGET, Key="key")["Body"].read() == b"2"


# ---------------------------------------------------------------------------------------------------------- other endpoints


@pytest.fixture
def elsewhere(cloud: TestCloud) -> Any:
    """The cloud's own API on a port, as another endpoint would be: an account of its own there has the bucket."""
    with served(cloud) as url:
        yield url


def served(cloud: TestCloud, context: Any = None) -> Any:
    import contextlib
    import http.server
    import threading

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _any(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            path, _, query = self.path.partition("?")
            headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in self.headers.items()]
            state, sent, told = cloud.request(self.command, path, query, headers, body)
            self.send_response(state)
            for name, value in sent.items():
                if name != "content-length":
                    self.send_header(name, value)
            self.send_header("content-length", str(len(told)))
            self.end_headers()
            self.wfile.write(told)

        do_PUT = do_POST = do_DELETE = _any

        def log_message(self, *_: Any) -> None:
            pass

    @contextlib.contextmanager
    def serving() -> Any:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"{'http' if context is None else 'https'}://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
            server.server_close()

    return serving()


def target(cloud: TestCloud, url: str, to: Account, name: str = "other-site", owner: Account | None = None, **more: Any) -> None:
    pair = to.credentials
    cloud.client("mallee").put_replication_target(
        Name=name, Endpoint=url, Region=cloud.settings.region, AccessKeyId=pair.access_key_id, SecretAccessKey=pair.secret_access_key,
        **({"AccountId": owner.id} if owner else {}), **more,
    )  # fmt: skip


def test_another_endpoint_gets_versions_tags_and_markers(cloud: TestCloud, elsewhere: str) -> None:
    other = cloud.account()
    theirs = bucket(cloud, TARGET, versioning="Enabled", account=other)
    s3 = bucket(cloud, SOURCE, versioning="Enabled")
    target(cloud, elsewhere, other)
    configure(s3, role(cloud), rule(to={"Bucket": f"arn:aws:s3:other-site::{TARGET}", "StorageClass": "STANDARD_IA"}, markers="Enabled"))
    key = "a key/with ümläuts+&=?"
    s3.put_object(Bucket=SOURCE, Key=key, Body=b"content", ContentType="text/plain", Metadata={"name": "va  lue"}, Tagging="a=b%20c")
    large = bytes(range(256)) * 8192
    s3.put_object(Bucket=SOURCE, Key="large", Body=large)
    s3.put_object(Bucket=SOURCE, Key="empty", Body=b"")
    upload = s3.create_multipart_upload(Bucket=SOURCE, Key="parts", Metadata={"of": "parts"})["UploadId"]
    parts = [
        s3.upload_part(Bucket=SOURCE, Key="parts", UploadId=upload, PartNumber=number, Body=b"%d" % number * size)["ETag"]
        for number, size in enumerate((5 * 1024 * 1024, 10), 1)
    ]
    told = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(parts, 1)]
    s3.complete_multipart_upload(Bucket=SOURCE, Key="parts", UploadId=upload, MultipartUpload={"Parts": told})
    cloud.run()
    assert keys(theirs) == sorted([key, "large", "empty", "parts"])
    for each in keys(theirs):
        assert status(s3, each) == "COMPLETED" and status(theirs, each, TARGET) == "REPLICA"
        original, replica = s3.get_object(Bucket=SOURCE, Key=each), theirs.get_object(Bucket=TARGET, Key=each)
        assert replica["Body"].read() == original["Body"].read() and replica["StorageClass"] == "STANDARD_IA"
        for name in ("ETag", "ContentType", "Metadata"):
            assert replica[name] == original[name]
    assert theirs.get_object_tagging(Bucket=TARGET, Key=key)["TagSet"] == [{"Key": "a", "Value": "b c"}]
    s3.put_object_tagging(Bucket=SOURCE, Key=key, Tagging={"TagSet": [{"Key": "new", "Value": "t+a g"}]})
    s3.delete_object(Bucket=SOURCE, Key="large")
    cloud.run()
    assert theirs.get_object_tagging(Bucket=TARGET, Key=key)["TagSet"] == [{"Key": "new", "Value": "t+a g"}]
    assert len(theirs.list_object_versions(Bucket=TARGET, Prefix="a")["Versions"]) == 1 and "large" not in keys(theirs)


def test_two_endpoints_that_replicate_to_each_other_come_to_rest(cloud: TestCloud, elsewhere: str) -> None:
    other = cloud.account()
    theirs = bucket(cloud, TARGET, versioning="Enabled", account=other)
    s3 = bucket(cloud, SOURCE, versioning="Enabled")
    target(cloud, elsewhere, other, "there")
    target(cloud, elsewhere, cloud.admin, "back", owner=other)
    configure(s3, role(cloud), rule(to={"Bucket": f"arn:aws:s3:there::{TARGET}"}, markers="Enabled"))
    configure(theirs, role(cloud, account=other), rule(to={"Bucket": f"arn:aws:s3:back::{SOURCE}"}, markers="Enabled"), name=TARGET)
    s3.put_object(Bucket=SOURCE, Key="key", Body=b"1")
    cloud.run()
    theirs.delete_object(Bucket=TARGET, Key="key")
    cloud.run()
    for client, name in ((s3, SOURCE), (theirs, TARGET)):
        found = client.list_object_versions(Bucket=name)
        assert len(found["Versions"]) == 1 and len(found["DeleteMarkers"]) == 1


def test_an_endpoint_that_is_away_gets_it_later_and_one_that_refuses_is_told(cloud: TestCloud) -> None:
    s3 = bucket(cloud, SOURCE, versioning="Enabled")
    theirs = bucket(cloud, TARGET, versioning="Enabled", account=(other := cloud.account()))
    target(cloud, "http://127.0.0.1:9", other)
    arn = role(cloud)
    configure(s3, arn, rule(to={"Bucket": f"arn:aws:s3:other-site::{TARGET}"}))
    s3.put_object(Bucket=SOURCE, Key="key", Body=b"1")
    cloud.run()
    assert status(s3, "key") == "PENDING"
    with served(cloud) as url:
        target(cloud, url, other)
        cloud.clock.advance(10)
        cloud.run()
        assert status(s3, "key") == "COMPLETED" and keys(theirs) == ["key"]
        target(cloud, url, cloud.user("nobody"))
        s3.put_object(Bucket=SOURCE, Key="refused", Body=b"1")
        cloud.run()
        assert status(s3, "refused") == "FAILED"


def test_targets_are_the_administrators_and_of_one_account(cloud: TestCloud) -> None:
    other = cloud.account()
    with refused("AccessDeniedException"):
        target_of = other.client("mallee")
        target_of.put_replication_target(Name="a", Endpoint="http://localhost", AccessKeyId="a", SecretAccessKey="b")
    mallee = cloud.client("mallee")
    with refused("InvalidParameterException"):
        mallee.put_replication_target(Name="a", Endpoint="ftp://localhost", AccessKeyId="a", SecretAccessKey="b")
    made = mallee.put_replication_target(Name="a", Endpoint="https://s3.example.org/", AccessKeyId="a", SecretAccessKey="secret")
    assert made["ReplicationTarget"]["Endpoint"] == "https://s3.example.org" and "secret" not in str(made)
    assert [each["Name"] for each in mallee.list_replication_targets()["ReplicationTargets"]] == ["a"]
    theirs = bucket(cloud, SOURCE, versioning="Enabled", account=other)
    with refused("InvalidRequest"):
        configure(theirs, role(cloud, account=other), rule(to={"Bucket": "arn:aws:s3:a::bucket"}))
    s3 = bucket(cloud, TARGET, versioning="Enabled")
    arn = role(cloud)
    with refused("InvalidRequest"):
        configure(s3, arn, rule(to={"Bucket": "arn:aws:s3:a::bucket", "Account": cloud.admin.id}), name=TARGET)
    configure(s3, arn, rule(to={"Bucket": "arn:aws:s3:a::bucket"}), name=TARGET)
    mallee.delete_replication_target(Name="a")
    with refused("ReplicationTargetNotFoundException"):
        mallee.delete_replication_target(Name="a")


def test_who_may_write_cannot_pass_off_an_object_as_a_replica(cloud: TestCloud) -> None:
    s3 = pair(cloud)
    user = cloud.user("writer")
    allow(s3, "s3:PutObject", name=SOURCE, to={"AWS": cloud.client("sts", account=user).get_caller_identity()["Arn"]})
    headers = {"x-amz-mallee-replica": "x" * 32}
    with refused("AccessDenied"):
        with_headers(cloud, headers, user).put_object(Bucket=SOURCE, Key="key", Body=b"1")
    cloud.client("s3", account=user).put_object(Bucket=SOURCE, Key="key", Body=b"1")
    with_headers(cloud, headers).put_object(Bucket=SOURCE, Key="replica", Body=b"1")
    cloud.run()
    assert keys(s3) == ["key"] and status(s3, "replica") == "REPLICA"


def test_large_ones_are_copied_aside_and_hold_nobody(cloud: TestCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    from mallee.objects import store
    from mallee.objects.upkeep import replication

    monkeypatch.setattr(replication, "LARGE", 1000)
    s3 = pair(cloud)
    sizes = {"large-1": 5000, "large-2": 300_000, "large-3": 2000, "small": 10}
    for key, size in sizes.items():
        s3.put_object(Bucket=SOURCE, Key=key, Body=b"x" * size)
    for _ in sizes:
        cloud.run()
        replication.Aside.of(store.at(cloud.database), cloud.clock).join()
        cloud.clock.advance(61)
    assert keys(s3) == sorted(sizes)
    assert all(status(s3, key) == "COMPLETED" for key in sizes)


def test_a_process_that_dies_between_bytes_and_commit_loses_nothing(sqlite_cloud: TestCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    from mallee.objects.upkeep import replication

    cloud = sqlite_cloud
    s3 = pair(cloud)
    s3.put_object(Bucket=SOURCE, Key="key", Body=b"x" * 300_000)
    with monkeypatch.context() as dying:

        class Killed(BaseException):
            pass

        def die(*_: Any) -> None:
            raise Killed

        dying.setattr(replication._Batch, "_begin", die)
        with pytest.raises(Killed):
            cloud.run()
    assert status(s3, "key") == "PENDING" and keys(s3) == []
    cloud.run()
    assert status(s3, "key") == "COMPLETED"
    assert s3.get_object(Bucket=TARGET, Key="key")["Body"].read() == b"x" * 300_000


def test_what_was_there_before_the_bucket_kept_versions(cloud: TestCloud) -> None:
    s3 = bucket(cloud, SOURCE)
    s3.put_object(Bucket=SOURCE, Key="key", Body=b"old")
    version(s3, SOURCE)
    bucket(cloud, TARGET, versioning="Enabled")
    configure(s3, role(cloud), rule(ExistingObjectReplication={"Status": "Enabled"}))
    cloud.run()
    cloud.run()
    (replica,) = s3.list_object_versions(Bucket=TARGET)["Versions"]
    assert len(replica["VersionId"]) == 32 and status(s3, "key") == "COMPLETED"
    s3.put_object_tagging(Bucket=SOURCE, Key="key", Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
    cloud.run()
    assert s3.get_object_tagging(Bucket=TARGET, Key="key")["TagSet"] == [{"Key": "a", "Value": "b"}]
    assert len(s3.list_object_versions(Bucket=TARGET)["Versions"]) == 1


def test_a_replica_without_a_lock_has_the_destinations_default(cloud: TestCloud) -> None:
    s3 = pair(cloud, lock=True)
    kept = {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 3}}}
    s3.put_object_lock_configuration(Bucket=TARGET, ObjectLockConfiguration=kept)
    s3.put_object(Bucket=SOURCE, Key="key", Body=b"")
    cloud.run()
    assert s3.head_object(Bucket=TARGET, Key="key")["ObjectLockMode"] == "GOVERNANCE"
    assert "ObjectLockMode" not in s3.head_object(Bucket=SOURCE, Key="key")


def test_one_destination_that_fails_is_told_whichever_is_the_last(cloud: TestCloud, elsewhere: str) -> None:
    other = cloud.account()
    bucket(cloud, TARGET, versioning="Enabled", account=other)
    s3 = bucket(cloud, SOURCE, versioning="Enabled")
    bucket(cloud, OTHER, versioning="Enabled")
    target(cloud, elsewhere, other)
    arn = role(cloud)
    here, there = rule(TARGET, priority=1), rule(priority=2, to={"Bucket": f"arn:aws:s3:other-site::{TARGET}"})
    configure(s3, arn, here, there)  # the one belongs to an account that lets nobody in
    s3.put_object(Bucket=SOURCE, Key="key", Body=b"1")
    cloud.run()
    assert status(s3, "key") == "FAILED"
    configure(s3, arn, rule(OTHER, priority=1), rule(priority=2, to={"Bucket": "arn:aws:s3:other-site::no-such-bucket"}))
    s3.put_object(Bucket=SOURCE, Key="other", Body=b"1")
    cloud.run()
    assert status(s3, "other") == "FAILED" and keys(s3, OTHER) == ["other"]


def test_an_endpoint_with_tls_must_be_who_it_says(sqlite_cloud: TestCloud) -> None:
    from mallee.http import tls

    cloud = sqlite_cloud
    tls.ensure(cloud.settings)
    authority = (cloud.settings.cloud / "tls" / "ca.pem").read_text()
    theirs = bucket(cloud, TARGET, versioning="Enabled", account=(other := cloud.account()))
    s3 = bucket(cloud, SOURCE, versioning="Enabled")
    with served(cloud, tls.context(cloud.settings)) as url:
        with refused("InvalidParameterException"):
            target(cloud, url, other, CertificateAuthority="none")
        target(cloud, url, other)
        configure(s3, role(cloud), rule(to={"Bucket": f"arn:aws:s3:other-site::{TARGET}"}))
        s3.put_object(Bucket=SOURCE, Key="key", Body=b"1")
        cloud.run()
        assert status(s3, "key") == "PENDING" and keys(theirs) == []
        target(cloud, url.replace("127.0.0.1", "localhost"), other, CertificateAuthority=authority)
        cloud.clock.advance(10)
        cloud.run()
    assert status(s3, "key") == "COMPLETED" and keys(theirs) == ["key"]
