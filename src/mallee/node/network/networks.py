"""All networks of this node: makes the host match the networks of the desired document, whole, as often as one likes.

``apply`` takes no notice of how the host came to be as it is: after a start of the agent, a reboot, or somebody's interference it does
the same as after a change of the document, and what is right already is left alone. A network that fails leaves the others working
and comes back as a fault. Packets never pass through the agent: while it is down, everything it made goes on.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from mallee.fabric.document import Desired, Fault, Guest, Network, Port
from mallee.node.config import NodeConfig
from mallee.node.network import firewall, inspect
from mallee.node.network.credentials import Fetch
from mallee.node.network.edge import Edge, PublicAddress, router_address
from mallee.node.network.names import Names
from mallee.node.network.namespaces import (
    Namespace,
    NetworkError,
    checked_id,
    node_namespace,
    port_link,
    router_namespace,
    tagged,
    uplink_link,
)
from mallee.node.network.routers import Router
from mallee.node.network.ruleset import Applied
from mallee.node.network.services import Services

log = logging.getLogger(__name__)

_LOOK_AGAIN_AFTER = 30.0  # seconds after which an unchanged network is compared with the host once more


@dataclass(slots=True)
class Vpc:
    """One VPC as this agent holds it: its parts, and the network that was last applied whole."""

    router: Router
    rules: Applied
    network: Network | None = None
    applied_at: float = 0.0
    identity: int = 0  # of the namespace that it was applied to


class Networks:
    """``host`` names the namespace that stands for the host's own (None is the agent's), ``upstream`` the file of its resolvers;
    ``credentials`` asks the cloud for those of a guest's role."""

    def __init__(
        self,
        config: NodeConfig,
        host: str | None = None,
        upstream: Path = Path("/etc/resolv.conf"),
        credentials: Fetch | None = None,
    ) -> None:
        self.config = config
        self.edge = Edge(config, Namespace(host))
        self.names = Names(config, self.edge.host, upstream)
        self.services = Services(config, credentials)
        self._lock = threading.RLock()
        self._vpcs: dict[str, Vpc] = {}
        self._ports: dict[str, tuple[str, Port]] = {}
        self._guests: dict[str, Guest] = {}

    # ------------------------------------------------------------------------------------------------------ the document

    def ensure_node_namespace(self) -> str:
        """The namespace in which the hypervisor lives and makes the guests' taps."""
        with self._lock:
            self.edge.ensure()
            return node_namespace(self.config.tag)

    def apply(self, desired: Desired) -> list[Fault]:
        with self._lock:
            faults: list[Fault] = []
            if not self._attempt(faults, self.config.node_id, self.edge.ensure):
                return faults
            guests = {guest.id: guest for guest in desired.guests}
            self._ports = {port.id: (network.id, port) for network in desired.networks for port in network.ports}
            self._guests = guests
            wanted = {network.id: network for network in desired.networks}
            for vpc_id in self._present() - wanted.keys():
                self._attempt(faults, vpc_id, partial(self._remove, vpc_id))
            for network in desired.networks:
                if self._attempt(faults, network.id, partial(self._apply_network, network, guests)):
                    self._attempt(faults, network.id, partial(self._apply_names, network), "names-failed")
            self._attempt(faults, self.config.node_id, lambda: faults.extend(self._apply_edge(desired)))
            self._attempt(faults, self.config.node_id, self.names.ensure_host, "names-failed")
            present = {port.guest_id for _, port in self._ports.values()}
            self.services.keep(set(self._ports), {id: guest for id, guest in guests.items() if id in present})
            return faults

    def _attempt(self, faults: list[Fault], subject: str, work: Callable[[], object], code: str = "network-failed") -> bool:
        try:
            work()
        except (NetworkError, OSError, ValueError) as error:
            log.warning("%s of %s: %s", code, subject, error)
            remedy = (
                getattr(error, "remedy", "") or "It is tried again by itself. If it stays, see log/node.log and `mallee doctor`."
            )
            what = {"network-failed": "set up the network", "names-failed": "run the resolver"}[code]
            faults.append(
                Fault(
                    code=code,
                    subject=subject,
                    cause=f"The node could not {what} of {subject}: {error}.",
                    remedy=remedy,
                )
            )
            return False
        return True

    def _present(self) -> set[str]:
        """The ids of the VPCs that have a router namespace here, or that this agent knows."""
        prefix = f"mle-{self.config.tag}-"
        names = {name.removeprefix(prefix) for name in tagged(self.config.tag)} - {"node"}
        return {f"vpc-{name}" for name in names} | self._vpcs.keys()

    def vpc(self, vpc_id: str) -> Vpc:
        if vpc_id not in self._vpcs:
            router = Router(self.config, self.edge.node, checked_id(vpc_id))
            self._vpcs[vpc_id] = Vpc(router, Applied(router.namespace))
        return self._vpcs[vpc_id]

    def _apply_network(self, network: Network, guests: dict[str, Guest]) -> None:
        vpc = self.vpc(network.id)
        if vpc.network != network or not self._is_fresh(vpc):
            vpc.router.prepare()
            vpc.rules.apply(firewall.ruleset(network))
            vpc.router.connect(network)
            self._forget_connections(vpc, network)
            vpc.network, vpc.applied_at, vpc.identity = network, time.monotonic(), vpc.router.namespace.identity()
        self.services.update(network, vpc.router.namespace, guests)

    @staticmethod
    def _is_fresh(vpc: Vpc) -> bool:
        """Whether what was applied is recent enough to be taken for what is."""
        return vpc.identity == vpc.router.namespace.identity() and time.monotonic() - vpc.applied_at < _LOOK_AGAIN_AFTER

    def _apply_names(self, network: Network) -> None:
        self.names.ensure(network, self.vpc(network.id).router.namespace)

    def _forget_connections(self, vpc: Vpc, network: Network) -> None:
        """Cuts what was tracked for addresses that have gone or changed hands."""
        if vpc.network is None:
            return
        before = {(port.ip, port.id) for port in vpc.network.ports} | {
            (p.public_ip, p.ip) for p in vpc.network.ports if p.public_ip
        }
        after = {(port.ip, port.id) for port in network.ports} | {(p.public_ip, p.ip) for p in network.ports if p.public_ip}
        vpc.router.namespace.netlink.forget_connections({address for address, _ in before - after})

    def _apply_edge(self, desired: Desired) -> list[Fault]:
        routers = {uplink_link(network.id): router_address(network.vni) for network in desired.networks}
        public = [
            PublicAddress(port.public_ip, uplink_link(network.id), router_address(network.vni))
            for network in desired.networks
            for port in network.ports
            if port.public_ip
        ]
        return self.edge.apply(desired.public_pool or self.config.public_pool, routers, public)

    def _remove(self, vpc_id: str) -> None:
        vpc = self.vpc(vpc_id)
        self.services.remove(vpc_id)
        self.names.remove(vpc_id, vpc.router.namespace)
        vpc.router.remove()
        del self._vpcs[vpc_id]

    # ------------------------------------------------------------------------------------------------------------- ports

    def adopt_tap(self, port_id: str, ifname: str) -> None:
        """QEMU has opened the tap ``ifname`` in the node's namespace: makes it the link of that port, up and routed."""
        with self._lock:
            vpc, port = self._port(port_id)
            vpc.router.adopt(port, ifname)
            if vpc.network is not None:
                self.services.update(vpc.network, vpc.router.namespace, self._guests)

    def drop_port(self, port_id: str) -> None:
        """Unplugs a port: its link and what was tracked for it. The port itself goes when the document no longer has it."""
        with self._lock:
            known = self._ports.get(port_id)
            for vpc in [self.vpc(known[0])] if known else list(self._vpcs.values()):
                if vpc.router.namespace.identity():
                    vpc.router.drop_link(port_link(port_id))
                    if known:
                        gone = {known[1].ip, known[1].public_ip or known[1].ip}
                        vpc.router.namespace.netlink.forget_connections(gone)

    def _port(self, port_id: str) -> tuple[Vpc, Port]:
        if port_id not in self._ports:
            raise NetworkError(f"{port_id} is not in the document that was last applied")
        vpc_id, port = self._ports[port_id]
        return self.vpc(vpc_id), port

    def connect(self, guest_id: str, port: int, timeout: float = 10.0) -> socket.socket:
        """A TCP connection to a guest from its subnet's gateway; the guest's security groups decide, as for any other sender."""
        with self._lock:
            found = self.ports_of(guest_id)
            if not found:
                raise NetworkError(f"{guest_id} has no network interface on this node")
            vpc_id, target = found[0]
            network = self.vpc(vpc_id).network
            gateway = next((subnet.gateway for subnet in network.subnets if subnet.id == target.subnet_id), "") if network else ""
            with Namespace(router_namespace(self.config.tag, vpc_id)).inside():
                connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            connection.settimeout(timeout)
            connection.bind((gateway, 0))
            connection.connect((target.ip, port))
        except BaseException:
            connection.close()
            raise
        return connection

    # ------------------------------------------------------------------------------------------------------ what there is

    def inspect(self, guest_id: str) -> dict[str, Any]:
        """The facts about one guest's network, for doctor: see inspect.py."""
        with self._lock:
            return inspect.inspect(self, guest_id)

    def audit(self) -> dict[str, Any]:
        """Everything on the host under the tag, for the auditor to compare with the document."""
        with self._lock:
            return inspect.audit(self)

    def ports_of(self, guest_id: str) -> list[tuple[str, Port]]:
        """(VPC, port) of a guest in the document that was last applied, in device order."""
        found = [item for item in self._ports.values() if item[1].guest_id == guest_id]
        return sorted(found, key=lambda item: item[1].device_index)

    # ---------------------------------------------------------------------------------------------------------- teardown

    def close(self) -> None:
        """Ends what this agent answers; everything else on the host stays and goes on."""
        self.services.stop()

    def teardown(self) -> None:
        """Removes everything that bears the tag from this host, and ends."""
        with self._lock:
            for vpc_id in self._present():
                self._remove(vpc_id)
            self._ports = {}
            self.names.teardown()
            self.edge.teardown()
            self.close()
