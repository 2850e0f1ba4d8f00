"""What the agent itself answers in every router's namespace: DHCP and instance metadata, all in one thread, and the way to
the API in another.

The sockets are the only thing of the data plane that ends with the agent; a new agent opens them again, and guests ask again.
"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from mallee.fabric.document import Guest, Network
from mallee.node.config import NodeConfig
from mallee.node.network import api, dhcp, imds
from mallee.node.network.credentials import Fetch, RoleCredentials
from mallee.node.network.loop import READ, Loop
from mallee.node.network.namespaces import Namespace, port_link
from mallee.node.network.served import Tallies, View


@dataclass(slots=True)
class Sockets:
    """Those of one VPC, and the namespace that they were opened in."""

    identity: int
    dhcp: dhcp.Responder
    metadata: imds.Server
    door: api.Door


class Services:
    def __init__(self, config: NodeConfig, fetch: Fetch | None = None) -> None:
        """``fetch`` asks the cloud for the credentials of a guest's role."""
        self.config = config
        self.credentials = RoleCredentials(fetch)
        self.loop = Loop()
        self.loop.every_second(self._tick)
        self.relays = Loop("mallee-api")  # much may go through it: nobody who asks for an address waits for that
        self.relays.every_second(self._tick_relays)
        self.dhcp = Tallies()  # by port
        self.metadata = Tallies()  # by guest
        self.api = Tallies()  # by guest
        self._tokens: imds.Tokens | None = None
        self._vpcs: dict[str, Sockets] = {}

    def update(self, network: Network, namespace: Namespace, guests: dict[str, Guest]) -> None:
        """Serves this network as it is now; opens its sockets when there are none in its namespace."""
        sockets = self._vpcs.get(network.id)
        if sockets is not None and sockets.identity != namespace.identity():
            self.remove(network.id)
            sockets = None
        if sockets is None:
            sockets = self._open(network.id, namespace)
            self._vpcs[network.id] = sockets
        links = namespace.netlink.links()
        indexes = {port.id: links[name].index for port in network.ports if (name := port_link(port.id)) in links}
        sockets.dhcp.view = sockets.metadata.view = sockets.door.view = View.of(network, guests, indexes)

    def _open(self, vpc_id: str, namespace: Namespace) -> Sockets:
        if self._tokens is None:
            self._tokens = imds.Tokens(_key(self.config.home / "network" / "metadata.key"))
        with namespace.inside():
            responder = dhcp.Responder(self.config.mtu, self.dhcp)
            try:
                server = imds.Server(self.config, self.loop, self._tokens, self.metadata, self.credentials)
            except OSError:
                responder.close()
                raise
            try:
                door = api.Door(self.config.run, self.relays, vpc_id, self.api)
            except OSError:
                responder.close()
                server.socket.close()
                raise
        self.loop.start()
        self.relays.start()
        self.relays.now(door.open)
        self.loop.now(lambda: self.loop.watch(responder.socket, READ, responder.readable))
        self.loop.now(lambda: self.loop.watch(server.socket, READ, server.acceptable))
        return Sockets(namespace.identity(), responder, server, door)

    def remove(self, vpc_id: str) -> None:
        sockets = self._vpcs.pop(vpc_id, None)
        if sockets is not None:
            self.loop.now(lambda: self._close(sockets))
            self.relays.now(sockets.door.close)

    def _close(self, sockets: Sockets) -> None:
        self.loop.forget(sockets.dhcp.socket)
        sockets.dhcp.close()
        sockets.metadata.close()

    def keep(self, ports: set[str], guests: dict[str, Guest]) -> None:
        self.dhcp.keep(ports)
        self.metadata.keep(set(guests))
        self.api.keep(set(guests))
        self.credentials.keep(guests)

    def _tick(self) -> None:
        for sockets in list(self._vpcs.values()):
            sockets.metadata.tick()
        self.credentials.tick()

    def _tick_relays(self) -> None:
        for sockets in list(self._vpcs.values()):
            sockets.door.tick()

    def stop(self) -> None:
        for vpc_id in list(self._vpcs):
            self.remove(vpc_id)
        self.loop.stop()
        self.relays.stop()
        self.credentials.stop()


def _key(path: Path) -> bytes:
    """The key that tokens are signed with; made once per node, so that tokens outlive the agent."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        key = path.read_bytes()
    except FileNotFoundError:
        key = b""
    if len(key) == 32:
        return key
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(secrets.token_bytes(32))
    fresh.replace(path)
    return path.read_bytes()
