"""What clients of AWS's S3 got otherwise here, found by sending the same requests to this cloud and to Ceph's RADOS Gateway, and asking AWS's
documentation who was right."""

from __future__ import annotations

import datetime
import hashlib
import json
from base64 import b64encode
from typing import Any
from xml.etree import ElementTree

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.cloud import forms
from tests.cloud.harness import ENDPOINT, TestCloud, refused
from tests.cloud.s3 import NAME, bucket
from tests.http.server import serving

Told = tuple[int, dict[str, str], bytes]


def send(cloud: TestCloud, method: str, path: str, query: str = "", body: bytes = b"", **headers: str) -> Told:
    """A signed request that no client of AWS's would make."""
    who = cloud.admin.credentials
    digest = {"content-md5": b64encode(hashlib.md5(body).digest()).decode()} if body else {}
    given = {name.replace("_", "-"): value for name, value in headers.items()} | digest
    request = AWSRequest(method, f"{ENDPOINT}{path}" + (f"?{query}" if query else ""), given, body)
    S3SigV4Auth(Credentials(who.access_key_id, who.secret_access_key), "s3", cloud.settings.region).add_auth(request)
    named = [(name.lower().encode(), value.encode()) for name, value in request.headers.items()]
    length = [(b"host", b"mallee.test:8773"), (b"content-length", b"%d" % len(body))]
    return cloud.request(method, path, query, named + length, body)


# ----------------------------------------------------------------------------------------------------------- documents


@pytest.mark.parametrize("kind", ["publicAccessBlock", "logging", "notification"])
def test_an_empty_document_of_another_kind_switches_nothing_off(sqlite_cloud: TestCloud, kind: str) -> None:
    s3 = bucket(sqlite_cloud)
    status, _, body = send(sqlite_cloud, "PUT", f"/{NAME}", kind, b"<x/>")
    assert status == 400 and b"<Code>MalformedXML</Code>" in body
    assert all(s3.get_public_access_block(Bucket=NAME)["PublicAccessBlockConfiguration"].values())


def test_what_is_no_list_of_deletes_deletes_nothing(sqlite_cloud: TestCloud) -> None:
    s3 = bucket(sqlite_cloud)
    s3.put_object(Bucket=NAME, Key="key", Body=b"x")
    status, _, body = send(sqlite_cloud, "POST", f"/{NAME}", "delete", b"<Keep><Object><Key>key</Key></Object></Keep>")
    assert status == 400 and b"<Code>MalformedXML</Code>" in body
    assert s3.head_object(Bucket=NAME, Key="key")["ContentLength"] == 1
    namespaced = b'<n:Delete xmlns:n="http://s3.amazonaws.com/doc/2006-03-01/"><n:Object><n:Key>key</n:Key></n:Object></n:Delete>'
    assert send(sqlite_cloud, "POST", f"/{NAME}", "delete", namespaced)[0] == 200
    with refused("404"):
        s3.head_object(Bucket=NAME, Key="key")


@pytest.mark.parametrize(("quiet", "told"), [("1", False), ("0", True), (" true ", False), ("false", True), ("yes", None)])
def test_a_boolean_is_one_of_xml_schema(sqlite_cloud: TestCloud, quiet: str, told: bool | None) -> None:
    bucket(sqlite_cloud)
    document = f"<Delete><Quiet>{quiet}</Quiet><Object><Key>key</Key></Object></Delete>"
    status, _, body = send(sqlite_cloud, "POST", f"/{NAME}", "delete", document.encode())
    assert (status == 400) if told is None else (status == 200 and (b"<Deleted>" in body) is told)


def test_policies_and_tags_are_answered_with_204_and_without_a_length(sqlite_cloud: TestCloud) -> None:
    """minio-go took nothing else for a policy that was set until 2021."""
    s3 = bucket(sqlite_cloud, public=True)
    tags = b"<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>"
    policy = b'{"Statement": [{"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::%s/*"}]}'
    for asked in (("PUT", "tagging", tags), ("PUT", "policy", policy % NAME.encode()), ("DELETE", "policy", b"")):
        status, headers, body = send(sqlite_cloud, asked[0], f"/{NAME}", *asked[1:])
        assert (status, body) == (204, b"") and "content-length" not in headers
    assert s3.get_bucket_tagging(Bucket=NAME)["TagSet"] == [{"Key": "a", "Value": "b"}]


# ------------------------------------------------------------------------------------------------------------- uploads


def test_half_a_part_does_not_become_the_object(sqlite_cloud: TestCloud) -> None:
    s3 = bucket(sqlite_cloud)
    s3.put_object(Bucket=NAME, Key="key", Body=b"whole")
    upload = s3.create_multipart_upload(Bucket=NAME, Key="key")["UploadId"]
    status, _, body = send(sqlite_cloud, "PUT", f"/{NAME}/key", "partNumber=1", b"part")
    assert status == 400 and b"This operation does not accept partNumber without uploadId" in body
    status, _, body = send(sqlite_cloud, "PUT", f"/{NAME}/key", f"uploadId={upload}", b"part")
    assert status == 405 and b"<Code>MethodNotAllowed</Code>" in body
    assert s3.get_object(Bucket=NAME, Key="key")["Body"].read() == b"whole"


@pytest.mark.parametrize("part", [{"PartNumber": 1}, {"ETag": '"x"'}, {}])
def test_a_completion_names_numbers_and_etags(sqlite_cloud: TestCloud, part: dict[str, Any]) -> None:
    s3 = bucket(sqlite_cloud)
    upload = s3.create_multipart_upload(Bucket=NAME, Key="key")["UploadId"]
    s3.upload_part(Bucket=NAME, Key="key", UploadId=upload, PartNumber=1, Body=b"x")
    with refused("MalformedXML", 400):
        s3.complete_multipart_upload(Bucket=NAME, Key="key", UploadId=upload, MultipartUpload={"Parts": [part]})


@pytest.mark.parametrize("source", ["%2Fkey%20x", "%2Fkey%2520x"])
def test_a_source_whose_slash_is_encoded(sqlite_cloud: TestCloud, source: str) -> None:
    """As AWS's own examples for Go and JavaScript say it: ``url.PathEscape(bucket + "/" + key)``."""
    s3 = bucket(sqlite_cloud)
    for key in ("key x", "key%20x"):
        s3.put_object(Bucket=NAME, Key=key, Body=key.encode())
    for before in ("", "%2F"):
        assert send(sqlite_cloud, "PUT", f"/{NAME}/copy", x_amz_copy_source=before + NAME + source)[0] == 200
        assert s3.get_object(Bucket=NAME, Key="copy")["Body"].read() == (b"key x" if "25" not in source else b"key%20x")


def test_what_is_posted_to_a_bucket_is_a_form(sqlite_cloud: TestCloud) -> None:
    bucket(sqlite_cloud)
    status, _, body = sqlite_cloud.request("POST", f"/{NAME}", headers=[(b"host", b"mallee.test:8773"), (b"content-type", b"text/plain")])
    assert status == 412 and b"<Condition>Bucket POST must be of the enclosure-type multipart/form-data</Condition>" in body


def test_a_form_is_for_the_bucket_that_its_signer_named(sqlite_cloud: TestCloud) -> None:
    """Without that, who had a form could send it to any of the signer's buckets."""
    bucket(sqlite_cloud)
    before = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)
    document: dict[str, Any] = {"expiration": before.strftime("%Y-%m-%dT%H:%M:%SZ"), "conditions": [["starts-with", "$key", ""]]}
    for conditions, status in (([], 403), ([{"bucket": NAME}], 204)):
        text = json.dumps(document | {"conditions": document["conditions"] + conditions})
        told, _, body = forms.send(sqlite_cloud, forms.encoded(forms.signed_by(sqlite_cloud, text, version=2)))
        assert told == status and (status == 204 or b"Extra input fields: bucket" in body)


# ------------------------------------------------------------------------------------------------------------- headers


@pytest.mark.parametrize(
    ("sent", "kept"),
    [("gzip, deflate", "gzip, deflate"), ("gzip,  br", "gzip,  br"), ("aws-chunked, gzip", "gzip"), ("AWS-Chunked", None), ("gzip", "gzip")],
)
def test_an_encoding_stays_as_it_was_sent(sqlite_cloud: TestCloud, sent: str, kept: str | None) -> None:
    s3 = bucket(sqlite_cloud)
    s3.put_object(Bucket=NAME, Key="key", Body=b"x", ContentEncoding=sent)
    assert s3.head_object(Bucket=NAME, Key="key").get("ContentEncoding") == kept


def test_white_space_behind_a_value_is_none_of_it() -> None:
    found: list[tuple[bytes, bytes]] = []

    async def note(scope: dict[str, Any], receive: Any, send: Any) -> None:
        found.extend(scope["headers"])
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    with serving(note) as server:
        client = server.connect()
        client.send(b"GET / HTTP/1.1\r\nHost: x \t\r\nX-Amz-Meta-A: \t two  words \t \r\nX-Amz-Meta-B:  \r\n\r\n")
        assert client.answer()[0] == 204
    assert found == [(b"host", b"x"), (b"x-amz-meta-a", b"two  words"), (b"x-amz-meta-b", b"")]


def test_a_304_has_no_length_of_its_own(sqlite_cloud: TestCloud) -> None:
    s3 = bucket(sqlite_cloud)
    etag = s3.put_object(Bucket=NAME, Key="key", Body=b"x")["ETag"]
    for method in ("GET", "HEAD"):
        status, headers, body = send(sqlite_cloud, method, f"/{NAME}/key", if_none_match=etag)
        assert (status, body, headers["etag"]) == (304, b"", etag) and "content-length" not in headers


def test_until_when_an_object_is_kept_is_told_as_clients_read_it(sqlite_cloud: TestCloud) -> None:
    """AWS's SDKs for Go, Rust and Java take no other form in this header, and with it no answer to HEAD."""
    s3 = bucket(sqlite_cloud, lock=True)
    until = datetime.datetime(2080, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
    s3.put_object(Bucket=NAME, Key="key", Body=b"x", ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=until)
    _, headers, _ = send(sqlite_cloud, "HEAD", f"/{NAME}/key")
    assert headers["x-amz-object-lock-retain-until-date"] == "2080-01-02T03:04:05Z" and headers["last-modified"].endswith(" GMT")
    assert s3.head_object(Bucket=NAME, Key="key")["ObjectLockRetainUntilDate"] == until


# ------------------------------------------------------------------------------------------------------------ listings


def test_delete_markers_stand_among_the_versions(sqlite_cloud: TestCloud) -> None:
    """minio-go, and with it mc, takes versions of a key in the order in which the XML has them."""
    s3 = bucket(sqlite_cloud, versioning="Enabled")
    made = []
    for key in ("a", "b/c", "d"):
        for step in ("put", "delete", "delete", "put"):
            done = s3.put_object(Bucket=NAME, Key=key, Body=b"x") if step == "put" else s3.delete_object(Bucket=NAME, Key=key)
            made.append((key, "Version" if step == "put" else "DeleteMarker", done["VersionId"]))
    _, _, body = send(sqlite_cloud, "GET", f"/{NAME}", "versions")
    root = ElementTree.fromstring(body)
    names = [each.tag.rpartition("}")[2] for each in root]
    found = [
        (each.findtext("{*}Key"), name, each.findtext("{*}VersionId"))
        for each, name in zip(root, names, strict=True) if name in ("Version", "DeleteMarker")
    ]  # fmt: skip
    made.reverse()
    assert found == sorted(made, key=lambda each: each[0])
    _, _, body = send(sqlite_cloud, "GET", f"/{NAME}", "delimiter=%2F&versions=")
    assert [each.tag.rpartition("}")[2] for each in ElementTree.fromstring(body)][-1] == "CommonPrefixes"
    told = s3.list_object_versions(Bucket=NAME, Delimiter="/")
    assert (len(told["Versions"]), len(told["DeleteMarkers"]), told["CommonPrefixes"]) == (4, 4, [{"Prefix": "b/"}])
    empty = s3.list_object_versions(Bucket=NAME, Prefix="none")
    assert "Versions" not in empty and "DeleteMarkers" not in empty


# ---------------------------------------------------------------------------------------------------------------- ACLs


def test_an_acl_without_grants_is_told_as_it_is(sqlite_cloud: TestCloud) -> None:
    s3 = bucket(sqlite_cloud, ownership="ObjectWriter")
    s3.put_object(Bucket=NAME, Key="key", Body=b"x")
    owner = s3.get_object_acl(Bucket=NAME, Key="key")["Owner"]
    s3.put_object_acl(Bucket=NAME, Key="key", AccessControlPolicy={"Owner": owner, "Grants": []})
    s3.put_bucket_acl(Bucket=NAME, AccessControlPolicy={"Owner": owner, "Grants": []})
    assert s3.get_object_acl(Bucket=NAME, Key="key")["Grants"] == s3.get_bucket_acl(Bucket=NAME)["Grants"] == []
    s3.put_object_acl(Bucket=NAME, Key="key", ACL="private")
    assert [each["Permission"] for each in s3.get_object_acl(Bucket=NAME, Key="key")["Grants"]] == ["FULL_CONTROL"]
