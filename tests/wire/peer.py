"""botocore as the other end: its serializer makes our requests, its parser reads our answers."""

from __future__ import annotations

import gzip
import io
import json
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from botocore.awsrequest import AWSRequest, HeadersDict, prepare_request_dict
from botocore.model import OperationModel, ServiceModel
from botocore.parsers import create_parser
from botocore.serialize import create_serializer

from mallee import wire
from mallee.wire.catalogue import model_file

# Every service with each protocol that it speaks.
SPOKEN = [(entry.name, protocol) for entry in wire.services.entries for protocol in entry.protocols]


@cache
def model_of(service: str, protocol: str) -> ServiceModel:
    """botocore's model, with the service's protocol replaced and, for SQS's forms, the names that its model dropped."""
    file = wire.services.get(service).entry.model or model_file(service)
    text = file.read_bytes()
    data = json.loads(gzip.decompress(text) if file.suffix == ".gz" else text)
    data["metadata"]["protocol"] = protocol
    data["metadata"]["protocols"] = [protocol]
    if (service, protocol) == ("sqs", "query"):
        from mallee.wire.overlays import OVERLAYS

        data["metadata"]["xmlNamespace"] = "http://queue.amazonaws.com/doc/2012-11-05/"
        for name, traits in OVERLAYS["sqs", "query"].items():
            for part, value in traits.items():
                if part in ("member", "key", "value"):
                    data["shapes"][name][part].update(value)
                else:
                    data["shapes"][name][part] = value
        for name, operation in data["operations"].items():
            if "output" in operation:
                operation["output"]["resultWrapper"] = f"{name}Result"
    return ServiceModel(data, service)


def request_of(service: str, protocol: str, operation: str, params: dict[str, Any]) -> wire.Request:
    op = model_of(service, protocol).operation_model(operation)
    serialized = create_serializer(protocol, include_validation=False).serialize_to_request(params, op)
    host = f"http://{serialized.get('host_prefix', '')}cloud.test:8773"
    prepare_request_dict(serialized, host)
    prepared = AWSRequest(
        method=serialized["method"],
        url=serialized["url"],
        data=serialized["body"],
        headers=serialized["headers"],
    ).prepare()
    return as_request(prepared, service)


def as_request(prepared: Any, service: str) -> wire.Request:
    url = urlsplit(prepared.url)
    body = prepared.body or b""
    headers = [(key.lower().encode(), _bytes(value)) for key, value in prepared.headers.items()]
    headers.append((b"host", url.netloc.encode()))
    scope = wire.services.get(service).entry.scopes[0]
    credential = f"AKIDEXAMPLE/20240101/us-east-1/{scope}/aws4_request"
    headers.append((b"authorization", f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders=host, Signature=0".encode()))
    return wire.Request(prepared.method, url.path.encode(), url.query.encode(), headers, _bytes(body))


def _bytes(value: Any) -> bytes:
    if hasattr(value, "read"):
        value = value.read()
    return value.encode() if isinstance(value, str) else bytes(value)


def parsed(op: OperationModel, protocol: str, response: wire.Response, shape: Any = None) -> dict[str, Any]:
    """The answer as boto3 would return it."""
    status, headers, body = response
    answer = {
        "status_code": status,
        "headers": HeadersDict({key.decode(): value.decode() for key, value in headers}),
        "body": body,
        "context": {"operation_name": op.name},
    }
    if status < 300 and (op.has_streaming_output or op.has_event_stream_output):
        answer["body"] = io.BytesIO(body) if isinstance(body, bytes) else body
    result: dict[str, Any] = create_parser(protocol).parse(answer, shape or op.output_shape)
    return result
