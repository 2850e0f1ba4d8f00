"""The whole cloud in one process, driven by boto3 without a socket.

What boto3 signs and serializes goes, as bytes, through the same ASGI application that the server runs, and the answer's
bytes back through boto3's parser. Machines, reconcilers and simulated nodes do nothing by themselves: ``run`` lets them
work until nothing is left to do, and the clock stands still unless a test moves it. A test is therefore exact: between
two calls nothing happens that it did not ask for.

    def test_an_instance_runs(cloud):
        ec2 = cloud.client("ec2")
        instance_id = ec2.run_instances(ImageId=cloud.image_id, MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
        cloud.run()
        ...
"""

from __future__ import annotations

import asyncio
import functools
import io
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import botocore.session
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.config import Config

from mallee.admin import MODELS
from mallee.cloud import Cloud, World, start_hooks
from mallee.compute import projection
from mallee.compute.credentials import issuer
from mallee.durable import Reconcilers, Runner
from mallee.durable.records import NEXT_DUE
from mallee.identity import setup, vault
from mallee.identity.setup import Credentials
from mallee.nodes.session import DirectTransport
from mallee.settings import Settings
from mallee.simulator import AT_ONCE, Simulator, Times
from mallee.store import Database, ManualClock
from tests import stores

ENDPOINT = "http://mallee.test:8773"
ADMIN = "123456789012"


@functools.cache
def _session() -> boto3.Session:
    """One session for all tests: its loader reads each of botocore's models once."""
    core = botocore.session.Session()
    core.set_config_variable("data_path", str(MODELS))  # what AWS_DATA_PATH does
    core.set_config_variable("metadata_service_num_attempts", 1)
    return boto3.Session(botocore_session=core)


@dataclass(frozen=True, slots=True)
class Account:
    """An account and a key of its root (or of a user), with clients that use it."""

    cloud: TestCloud
    credentials: Credentials

    @property
    def id(self) -> str:
        return self.credentials.account_id

    def client(self, service: str, region: str | None = None, **options: Any) -> Any:
        return self.cloud.client(service, region, account=self, **options)


class TestCloud:
    __test__ = False

    def __init__(
        self,
        home: Path,
        database: Database,
        clock: ManualClock,
        *,
        zones: tuple[str, ...] = ("local-1a", "local-1b", "local-1c"),
        nodes_per_zone: int = 1,
        times: Times = AT_ONCE,
        **settings: Any,
    ) -> None:
        (home / "cloud" / "blobs").mkdir(parents=True, exist_ok=True)
        self.database = database
        self.clock = clock
        self.settings = Settings(home=home, simulated=True, zones=zones, admin_account_id=ADMIN, **settings)
        self.index_database = stores.index(self.settings, database)
        self.cloud = Cloud(self.settings, database, vault.at(self.settings.cloud, create=True), index_database=self.index_database)
        registry = self.cloud.registry
        credentials = setup.bootstrap(database, self.cloud.vault, self.settings, registry.account_hooks())
        start_hooks(database, self.settings, registry)
        self.admin = Account(self, credentials)
        self.world = World(self.settings, database, self.cloud.tools)
        self.runner = Runner(database, self.cloud.machines, self.world, clock)
        self.reconcilers = Reconcilers(database, self.cloud.reconcilers, clock)
        self.simulators: list[Simulator] = []
        for zone in zones:
            for number in range(nodes_per_zone):
                self.add_node(f"node-{zone}-{number}", zone, times=times)
        self.scheme = "http"  # what requests come by
        self.address = "192.0.2.1"  # and from
        self._clients: dict[tuple[Any, ...], Any] = {}
        self._local = threading.local()

    # ------------------------------------------------------------------------------------------------------------ nodes

    def add_node(self, node_id: str, zone: str, times: Times = AT_ONCE, **options: Any) -> Simulator:
        """Another simulated node, which has joined when this returns."""
        transport = DirectTransport(
            self.database,
            projection.builder(self.settings),
            self.settings.blobs,
            credentials=issuer(self.settings, self.cloud.vault),
        )
        made = Simulator(node_id, zone, transport, clock=self.clock, times=times, **options)
        self.simulators.append(made)
        made.step()
        return made

    def node(self, node_id: str) -> Simulator:
        return next(each for each in self.simulators if each.node_id == node_id)

    # ------------------------------------------------------------------------------------------------------------- time

    def run(self, seconds: float = 0.0, rounds: int = 200) -> None:
        """Let everything work until nothing is left to do now. With ``seconds``, the clock goes on by that much, from one
        thing that is due to the next."""
        self._settle(rounds)
        self.cloud.usage.write()
        until = self.clock.now().timestamp() + seconds
        while seconds and (left := until - self.clock.now().timestamp()) > 0:
            self.clock.advance(min(left, max(self._next_due() or left, 0.001)))
            self._settle(rounds)

    def _settle(self, rounds: int) -> None:
        for _ in range(rounds):
            if self._work():
                continue
            self.reconcilers.run_all()
            if not self._work():
                return
        raise AssertionError(f"the cloud was not idle after {rounds} rounds")

    def _work(self) -> bool:
        """One turn of the machines and of every node; whether there was anything to do."""
        busy = self.runner.run_until_idle() > 0
        for simulator in self.simulators:
            busy = simulator.step() or busy
        return busy

    def _next_due(self) -> float | None:
        """Seconds until the next thing happens by itself."""
        now = self.clock.now()
        moments = [simulator.next_due() for simulator in self.simulators]
        with self.database.reading() as tx:
            moments.append(tx.value(NEXT_DUE))
        waits = [(moment - now).total_seconds() for moment in moments if moment is not None]
        return min((wait for wait in waits if wait > 0), default=None)

    # --------------------------------------------------------------------------------------------------------- accounts

    def account(self, alias: str | None = None) -> Account:
        """Another account, with a key of its root."""
        with self.database.transaction() as tx:
            made = self.cloud.new_account(tx, alias)
            return Account(self, setup.create_access_key(tx, self.cloud.vault, made.id))

    def user(self, name: str = "somebody", account: Account | None = None) -> Account:
        """A key of a user of the account; users may do nothing yet but ask who they are."""
        from mallee.identity import records

        owner = account or self.admin
        with self.database.transaction() as tx:
            user = records.add_user(tx, owner.id, name)
            return Account(self, setup.create_access_key(tx, self.cloud.vault, owner.id, user.id))

    @property
    def image_id(self) -> str:
        """The starter image."""
        images = self.client("ec2").describe_images(Owners=["self"])["Images"]
        return str(max(images, key=lambda image: image["CreationDate"])["ImageId"])

    def session(self, told: dict[str, Any], account_id: str = "") -> Account:
        """Whoever has the temporary credentials that STS told (``Credentials`` of its answers)."""
        pair = Credentials(account_id, told["AccessKeyId"], told["SecretAccessKey"], told["SessionToken"])
        return Account(self, pair)

    # ---------------------------------------------------------------------------------------------------------- clients

    def client(self, service: str, region: str | None = None, account: Account | None = None, **options: Any) -> Any:
        """A boto3 client of the administrator's root, or of ``account``."""
        credentials = (account or self.admin).credentials
        key = (service, region, credentials.access_key_id, repr(sorted(options.items())))
        if key not in self._clients:
            config = Config(retries={"max_attempts": 0}, parameter_validation=options.pop("validate", True), **options)
            made = _session().client(
                service,
                region_name=region or self.settings.region,
                endpoint_url=ENDPOINT,
                aws_access_key_id=credentials.access_key_id,
                aws_secret_access_key=credentials.secret_access_key,
                aws_session_token=credentials.session_token,
                config=config,
            )
            made.meta.events.register("before-send", self._answer)
            self._clients[key] = made
        return self._clients[key]

    def _answer(self, request: AWSPreparedRequest, **_: Any) -> AWSResponse:
        target = urlsplit(request.url)
        headers = [(name.lower().encode(), _raw(value)) for name, value in request.headers.items()]
        if not any(name == b"host" for name, _ in headers):
            headers.append((b"host", target.netloc.encode()))
        status, sent, body = self.request(request.method, target.path, target.query, headers, _body(request.body))
        return AWSResponse(request.url, status, sent, _Raw(body))

    def request(
        self, method: str, path: str, query: str = "", headers: list[tuple[bytes, bytes]] | None = None, body: bytes = b""
    ) -> tuple[int, dict[str, str], bytes]:
        """One HTTP request as it is, through the ASGI application: status, headers, body."""
        from urllib.parse import unquote

        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "scheme": self.scheme,
            "path": unquote(path),
            "raw_path": path.encode() or b"/",
            "query_string": query.encode(),
            "headers": headers or [],
            "client": (self.address, 40000),
            "server": ("192.0.2.2", 8773),
        }
        incoming: Iterator[dict[str, Any]] = iter([{"type": "http.request", "body": body, "more_body": False}])
        outgoing: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return next(incoming, {"type": "http.disconnect"})

        async def send(message: dict[str, Any]) -> None:
            outgoing.append(message)

        self._loop().run_until_complete(self.cloud.api(scope, receive, send))
        start = outgoing[0]
        given = {name.decode(): value.decode("latin-1") for name, value in start["headers"]}
        return start["status"], given, b"".join(message.get("body", b"") for message in outgoing[1:])

    def _loop(self) -> asyncio.AbstractEventLoop:
        loop = getattr(self._local, "loop", None)
        if loop is None:
            loop = self._local.loop = asyncio.new_event_loop()
        return loop

    def close(self) -> None:
        self.cloud.api.close()
        self.cloud.objects.close()
        loop = getattr(self._local, "loop", None)
        if loop is not None:
            loop.close()


class _Raw(io.BytesIO):
    """What AWSResponse reads from."""

    def stream(self, amount: int = 65536, **_: Any) -> Iterator[bytes]:
        while piece := self.read(amount):
            yield piece


def _raw(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode()


def _body(body: Any) -> bytes:
    if body is None:
        return b""
    if hasattr(body, "read"):
        body = body.read()
    return body if isinstance(body, bytes) else body.encode()


@contextmanager
def refused(code: str, status: int | None = None) -> Iterator[Callable[[], str]]:
    """The block must fail with the AWS error ``code``; the function that it gives returns the error's message."""
    from botocore.exceptions import ClientError

    told: list[str] = []
    try:
        yield lambda: told[0]
    except ClientError as error:
        found = error.response["Error"]["Code"]
        assert found == code, f"{found}: {error.response['Error'].get('Message')}, not {code}"
        if status is not None:
            assert error.response["ResponseMetadata"]["HTTPStatusCode"] == status
        told.append(error.response["Error"].get("Message", ""))
    else:
        raise AssertionError(f"{code} was expected, and the call went well")


__all__ = ["Account", "TestCloud", "refused"]
