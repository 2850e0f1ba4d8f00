"""The services that Mallee can speak, and where their models are.

One line per service says what is needed to recognise a request without opening the model: the names in credential
scopes, the target prefix of its JSON and CBOR requests, its API version, the dialect of its refusals. A test holds
these lines against the models.
"""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from botocore import xform_name

from mallee.wire import dialects, overlays, pack
from mallee.wire.dialects import Dialect
from mallee.wire.model import Model, Operation, Shape
from mallee.wire.paths import PathTable


@dataclass(frozen=True, slots=True)
class Entry:
    """``scopes``: names in credential scopes and host names. ``protocols``: all that the service speaks, its first
    choice first. ``namespace``: of the answers in XML, where the model does not say it. ``model``: a model file of
    our own instead of botocore's."""

    name: str
    scopes: tuple[str, ...]
    version: str
    protocols: tuple[str, ...]
    dialect: Dialect = field(repr=False)
    target: str | None = None
    query_compatible: bool = False
    namespace: str | None = None
    model: Path | None = None

    @property
    def is_form(self) -> bool:
        """Whether its requests may be forms with an Action."""
        return "query" in self.protocols or "ec2" in self.protocols

    @property
    def is_rest(self) -> bool:
        return self.protocols[0].startswith("rest-")


OWN = Path(__file__).resolve().parents[1] / "admin" / "model"  # Mallee's own service, as botocore's loader wants it

_QUERY = ("query",)
_JSON = ("json",)
_S3 = "http://s3.amazonaws.com/doc/2006-03-01/"

ENTRIES = (
    Entry("ec2", ("ec2",), "2016-11-15", ("ec2",), dialects.EC2, namespace="http://ec2.amazonaws.com/doc/{version}/"),
    Entry("iam", ("iam",), "2010-05-08", _QUERY, dialects.IAM),
    Entry("sts", ("sts",), "2011-06-15", _QUERY, dialects.QUERY),
    Entry("s3", ("s3", "s3express"), "2006-03-01", ("rest-xml",), dialects.S3, namespace=_S3),
    Entry("s3control", ("s3", "s3-control"), "2018-08-20", ("rest-xml",), dialects.S3),
    Entry("autoscaling", ("autoscaling",), "2011-01-01", _QUERY, dialects.QUERY),
    Entry(
        "cloudwatch",
        ("monitoring",),
        "2010-08-01",
        ("smithy-rpc-v2-cbor", "json", "query"),
        dialects.CLOUDWATCH,
        target="GraniteServiceVersion20100801",
        query_compatible=True,
    ),
    Entry("elb", ("elasticloadbalancing",), "2012-06-01", _QUERY, dialects.QUERY),
    Entry("elbv2", ("elasticloadbalancing",), "2015-12-01", _QUERY, dialects.QUERY),
    Entry(
        "sqs",
        ("sqs",),
        "2012-11-05",
        ("json", "query"),
        dialects.SQS,
        target="AmazonSQS",
        namespace="http://queue.amazonaws.com/doc/{version}/",
        query_compatible=True,
    ),
    Entry("sns", ("sns",), "2010-03-31", _QUERY, dialects.QUERY),
    Entry("cloudformation", ("cloudformation",), "2010-05-15", _QUERY, dialects.QUERY),
    Entry(
        "route53",
        ("route53",),
        "2013-04-01",
        ("rest-xml",),
        dialects.ROUTE53,
        namespace="https://route53.amazonaws.com/doc/{version}/",
    ),
    Entry("logs", ("logs",), "2014-03-28", _JSON, dialects.LOGS, target="Logs_20140328"),
    Entry("kms", ("kms",), "2014-11-01", _JSON, dialects.JSON, target="TrentService"),
    Entry("ssm", ("ssm",), "2014-11-06", _JSON, dialects.JSON, target="AmazonSSM"),
    Entry("events", ("events",), "2015-10-07", _JSON, dialects.JSON, target="AWSEvents"),
    Entry("ebs", ("ebs",), "2019-11-02", ("rest-json",), dialects.EBS),
    Entry("service-quotas", ("servicequotas",), "2019-06-24", _JSON, dialects.QUOTAS, target="ServiceQuotasV20190624"),
    Entry("mallee", ("mallee",), "2026-11-01", _JSON, dialects.JSON, target="Mallee_20261101", model=OWN / "mallee/2026-11-01/service-2.json"),
)


class Service:
    """A service's line in the table and its model, which is loaded when first needed."""

    def __init__(self, entry: Entry, catalogue: Services) -> None:
        self.name = entry.name
        self.entry = entry
        self.dialect = entry.dialect
        self._catalogue = catalogue
        self._pack: pack.Pack | None = None
        self._models: dict[str, Model] = {}
        self._paths: PathTable | None = None
        self._lock = threading.Lock()

    @property
    def model(self) -> Model:
        return self.model_for("")

    def model_for(self, protocol: str) -> Model:
        """The model as that protocol sees it; the same one for all protocols but where an overlay says otherwise."""
        overlay = overlays.OVERLAYS.get((self.name, protocol))
        key = protocol if overlay is not None else ""
        overlay = overlay or overlays.OVERLAYS.get((self.name, ""))
        model = self._models.get(key)
        if model is None:
            with self._lock:
                model = self._models.get(key)
                if model is None:
                    if self._pack is None:
                        self._pack = pack.load(self.entry.model or model_file(self.name), self._catalogue.cache)
                    model = self._models[key] = Model(self._pack, overlay)
        return model

    @property
    def paths(self) -> PathTable:
        """Of a REST service."""
        if self._paths is None:
            model = self.model
            with model.lock:
                self._paths = self._paths or PathTable(model)
        return self._paths

    @property
    def operations(self) -> Mapping[str, Operation]:
        return self.model.operations

    def methods(self) -> dict[str, str]:
        """boto3's method names to the operations' own, without making the operations."""
        return {xform_name(name): name for name in self.operations}

    def operation(self, name: str) -> Operation:
        """Raises KeyError for a name that the model does not have."""
        return self.model.operation(name)

    @property
    def version(self) -> str:
        return self.entry.version

    def exception(self, code: str) -> Shape | None:
        return self.model.exception(code)

    def __repr__(self) -> str:
        return f"<Service {self.name}>"


class Services:
    """The catalogue. ``cache`` is a directory for packed models; it counts for models that are loaded after it was set."""

    def __init__(self, entries: tuple[Entry, ...] = ENTRIES, cache: Path | None = None) -> None:
        self.cache = cache
        self._services: dict[str, Service] = {}
        self._entries: dict[str, Entry] = {}
        self.by_scope: dict[str, list[Entry]] = {}
        self.by_target: dict[str, Entry] = {}
        self.by_version: dict[str, Entry] = {}
        for entry in entries:
            self.add(entry)

    def add(self, entry: Entry) -> None:
        self._entries[entry.name] = entry
        for scope in entry.scopes:
            self.by_scope.setdefault(scope, []).append(entry)
        if entry.target is not None:
            self.by_target[entry.target] = entry
        if entry.is_form:
            self.by_version.setdefault(entry.version, entry)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._entries)

    @property
    def entries(self) -> tuple[Entry, ...]:
        return tuple(self._entries.values())

    def get(self, name: str) -> Service:
        """Raises KeyError for a service that is not in the table."""
        service = self._services.get(name)
        if service is None:
            service = self._services.setdefault(name, Service(self._entries[name], self))
        return service

    def __iter__(self) -> Iterator[Service]:
        return iter([self.get(name) for name in self._entries])

    def __contains__(self, name: object) -> bool:
        return name in self._entries


@lru_cache(maxsize=1)
def _data() -> Path:
    found = importlib.util.find_spec("botocore")  # Finds the package without importing what it imports.
    assert found is not None and found.submodule_search_locations
    return Path(next(iter(found.submodule_search_locations))) / "data"


def model_file(name: str) -> Path:
    """botocore's newest model of a service."""
    files = [*_data().glob(f"{name}/*/service-2.json.gz"), *_data().glob(f"{name}/*/service-2.json")]
    if not files:
        raise LookupError(f"botocore has no model of {name}")
    return max(files, key=lambda file: file.parent.name)


services = Services()
