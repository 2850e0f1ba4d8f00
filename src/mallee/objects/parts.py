"""Parts of multipart uploads: what UploadPart and UploadPartCopy have in common."""

from __future__ import annotations

from typing import Any, Final

from mallee.identity.call import Call, Later
from mallee.objects import attributes, capacity, store, writing
from mallee.objects.index import uploads
from mallee.objects.index.rows import Upload
from mallee.objects.receiving import Intake, Received
from mallee.objects.records import Bucket
from mallee.store import Tx
from mallee.wire.errors import AwsError

MOST_NUMBER: Final = 10_000


def stored(call: Call, bucket: Bucket, upload: Upload, intake: Intake, received: Received, told: dict[str, Any]) -> Later:
    number = call.input["PartNumber"]
    room = capacity.of(call, bucket)

    def work(tx: Tx, content: Any) -> dict[str, Any]:
        if room is not None:
            room.require_part(tx, upload, number, received.size)
        stored = uploads.put_part(
            tx, upload, number, size=received.size, etag=received.etag, content=content, checksum=received.described()
        )
        if not stored:
            raise no_such_upload(upload.upload_id)
        return told

    return writing.committed(call, intake, received, bucket, work)


def check_algorithm(upload: Upload, algorithm: str, said: bool) -> None:
    wanted = upload.attributes["algorithm"]
    if wanted and algorithm != wanted:
        actual = algorithm.lower() if said else "null"
        told = f"Checksum Type mismatch occurred, expected checksum Type: {wanted.lower()}, actual checksum Type: {actual}"
        raise AwsError("InvalidRequest", told, status=400)


def checked_number(number: int, name: str = "partNumber") -> int:
    if not 1 <= number <= MOST_NUMBER:
        told = f"Part number must be an integer between 1 and {MOST_NUMBER}, inclusive"
        raise AwsError("InvalidArgument", told, status=400, ArgumentName=name, ArgumentValue=str(number))
    return number


def existing(call: Call, bucket: Bucket) -> Upload:
    """The upload that the call names, of this key. Raises NoSuchUpload."""
    key, upload_id = attributes.key(call), call.input["UploadId"]
    with store.of(call).index.reading() as tx:
        found = uploads.get(tx, bucket.id, key, upload_id)
    if found is None:
        raise no_such_upload(upload_id)
    return found


def no_such_upload(upload_id: str) -> AwsError:
    told = "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed."
    return AwsError("NoSuchUpload", told, status=404, UploadId=upload_id)
