"""What the services of one VPC know: an immutable view of its ports and guests, and the tally of what was asked and answered.

``apply`` makes a new view and puts it in the place of the old one; a request in progress keeps the one that it began with.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from mallee.fabric.document import Guest, Network, Port, Subnet


@dataclass(frozen=True, slots=True)
class Place:
    """One port as the services see it, with what lies around it."""

    port: Port
    network: Network
    subnet: Subnet
    guest: Guest | None


@dataclass(frozen=True, slots=True)
class View:
    by_ip: dict[str, Place] = field(default_factory=dict)
    by_index: dict[int, Place] = field(default_factory=dict)  # the link's number in the router's namespace
    ports: dict[str, tuple[Place, ...]] = field(default_factory=dict)  # guest id -> its ports in this VPC, in order

    @classmethod
    def of(cls, network: Network, guests: dict[str, Guest], indexes: dict[str, int]) -> View:
        """``indexes``: port id -> number of its link, for those that have one."""
        subnets = {subnet.id: subnet for subnet in network.subnets}
        view = cls()
        per_guest: dict[str, list[Place]] = {}
        for port in sorted(network.ports, key=lambda port: port.device_index):
            if port.subnet_id not in subnets:
                continue
            place = Place(port, network, subnets[port.subnet_id], guests.get(port.guest_id))
            view.by_ip[port.ip] = place
            if port.id in indexes:
                view.by_index[indexes[port.id]] = place
            per_guest.setdefault(port.guest_id, []).append(place)
        view.ports.update({guest_id: tuple(places) for guest_id, places in per_guest.items()})
        return view


@dataclass(slots=True)
class Tally:
    """Counts of one guest (metadata) or port (DHCP) since the agent started, for doctor."""

    count: int = 0
    refused: int = 0
    last: dict[str, object] = field(default_factory=dict)

    def note(self, refused: bool = False, **facts: object) -> None:
        self.count += 1
        self.refused += refused
        self.last = {"at": time.time(), **facts}

    def facts(self) -> dict[str, object]:
        return {"count": self.count, "refused": self.refused, "last": self.last or None}


class Tallies:
    """Tallies by id, for as long as the document has the id."""

    def __init__(self) -> None:
        self._of: dict[str, Tally] = {}

    def of(self, subject: str) -> Tally:
        return self._of.setdefault(subject, Tally())

    def keep(self, subjects: set[str]) -> None:
        for subject in self._of.keys() - subjects:
            self._of.pop(subject, None)
