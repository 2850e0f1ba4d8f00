"""What a VPC's router lets through: the ruleset of one VPC as a value, computed from the desired document.

Every stage is a base chain of its own, because an accept ends only its own chain: first the sender (a port may send from its own MAC
and address only), then what can never be right, then network ACLs, then the sender's security groups, then the receiver's.
A group is two chains and a set of its members; ports with the same groups share a chain per direction, and a port is one element in
each of a few maps, so that a thousand ports cost a thousand elements and not ten thousand rules.

No base chain has the policy drop, which a chain has from before its rules are active: what shall be dropped is dropped by its last rule.

Security groups are stateful as in AWS: a connection that was once allowed goes on when its rule is revoked. It ends when the port or
the public address goes (see ``Netlink.forget_connections``).

Counters, by name: a rule's own id; ``refused-in-``, ``refused-out-`` and ``spoofed-`` with a port's link name; ``no-public-address``;
``forged``: what would have been taken for another guest by the metadata service or the API.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterable

from mallee.fabric.document import Group, Network, Port, Rule
from mallee.node.network.namespaces import NetworkError, checked_id, port_link
from mallee.node.network.routers import API, GATEWAY, INTERNET, METADATA, RESOLVER
from mallee.node.network.ruleset import Chain, Ruleset, Set, Table

TABLE = Table("inet", "vpc")
CONNECTIONS_PER_PORT = 65536  # tracked at a time: one guest can't fill the host's table
_PROTOCOLS = {"1": "icmp", "6": "tcp", "17": "udp"}


def ruleset(network: Network) -> Ruleset:
    table = Table("inet", "vpc")
    _add_sets(table, network)
    _add_groups(table, network)
    _add_ports(table, network)
    _add_stages(table, network)
    return Ruleset([table, _arp(network)])


# ----------------------------------------------------------------------------------------------------------------- parts


def _add_sets(table: Table, network: Network) -> None:
    sender = "type ifname . ether_addr . ipv4_addr;"
    table.sets = {
        "senders": Set(sender),
        "unchecked": Set("type ifname . ether_addr;"),
        "macs": Set("type ifname . ether_addr;"),
        "marks": Set("type ifname : mark;", is_map=True),
        "acl_out": Set("type ifname : verdict;", is_map=True),
        "acl_in": Set("type ifname : verdict;", is_map=True),
        "groups_out": Set("type ifname : verdict;", is_map=True),
        "groups_in": Set("type ifname : verdict;", is_map=True),
        "public_in": Set("type ipv4_addr : ipv4_addr;", is_map=True),
        "public_out": Set("type ipv4_addr : ipv4_addr;", is_map=True),
        "public": Set("type ipv4_addr;"),
        "spoofed": Set("type ifname : counter;", is_map=True),
        "refused_in": Set("type ifname : counter;", is_map=True),
        "refused_out": Set("type ifname : counter;", is_map=True),
        "dhcp_rate": Set("type ifname; flags dynamic; size 65535;"),
        "dns_rate": Set("type ifname; flags dynamic; size 65535;"),
        "metadata_rate": Set("type ifname; flags dynamic; size 65535;"),
        "api_rate": Set("type ifname; flags dynamic; size 65535;"),
        "tracked": Set("type ifname; flags dynamic; size 65535;"),
    }
    table.counters = {"no-public-address": None, "untranslated": None, "invalid": None, "forged": None}


def _add_groups(table: Table, network: Network) -> None:
    """Chains for the groups that a port here is in; of the others, which rules refer to, the members only."""
    groups = {group.id: group for group in network.groups}
    enforced = {group_id for port in network.ports for group_id in port.group_ids}
    rules = [rule for group_id in enforced & groups.keys() for rule in groups[group_id].ingress + groups[group_id].egress]
    # a group that nobody described has no members, and lets nothing through
    for group_id in sorted(enforced | {rule.group_id for rule in rules if rule.group_id} | groups.keys()):
        group = groups.get(checked_id(group_id), Group(group_id))
        members = dict.fromkeys(sorted({_ip(member) for member in group.members}), "")
        table.sets[f"{group.id}-members"] = Set("type ipv4_addr;", members)
        if group_id in enforced:
            for direction, side, own in (("in", "saddr", group.ingress), ("out", "daddr", group.egress)):
                table.counters.update(dict.fromkeys(checked_id(rule.id) for rule in own))
                table.chains[f"{group.id}-{direction}"] = Chain([line for rule in own if (line := _rule(rule, side))])


def _rule(rule: Rule, side: str) -> str:
    """One security group rule; nothing for one that no IPv4 packet can meet."""
    parts = []
    if rule.group_id:
        parts.append(f"ip {side} @{checked_id(rule.group_id)}-members")
    elif rule.cidr:
        network = ipaddress.ip_network(rule.cidr, strict=False)
        if network.version != 4:
            return ""
        if network.prefixlen:
            parts.append(f"ip {side} {network}")
    else:
        return ""
    protocol = _PROTOCOLS.get(rule.protocol, rule.protocol)
    if protocol in ("tcp", "udp"):
        parts.append(_ports(protocol, rule.from_port, rule.to_port))
    elif protocol == "icmp":
        parts.append(f"icmp type {_byte(rule.from_port)}" if rule.from_port >= 0 else "meta l4proto icmp")
        if rule.from_port >= 0 and rule.to_port >= 0:
            parts.append(f"icmp code {_byte(rule.to_port)}")
    elif protocol == "icmpv6":
        return ""
    elif protocol != "-1":
        if not (protocol.isascii() and protocol.isdigit()):
            raise NetworkError(f"{rule.id} names the protocol {protocol!r}, which is neither a name nor a number")
        parts.append(f"meta l4proto {_byte(int(protocol))}")
    return " ".join([*parts, f"counter name {checked_id(rule.id)} accept"])


def _byte(value: int) -> int:
    if not 0 <= value <= 255:
        raise NetworkError(f"{value} is not a number of a protocol, a type or a code")
    return value


def _ports(protocol: str, first: int, last: int) -> str:
    if first < 0 or (first, last) == (0, 65535):
        return f"meta l4proto {protocol}"
    last = first if last < 0 else last
    if not 0 <= first <= last <= 65535:
        raise NetworkError(f"{first}-{last} is not a range of ports")
    return f"{protocol} dport {first}" if first == last else f"{protocol} dport {first}-{last}"


def _ip(value: str) -> str:
    return str(ipaddress.IPv4Address(value))


def _mac(value: str) -> str:
    octets = bytes.fromhex(value.replace(":", ""))
    if len(octets) != 6:
        raise NetworkError(f"{value!r} is not a MAC address")
    return ":".join(f"{octet:02x}" for octet in octets)


def _groups_chain(table: Table, group_ids: Iterable[str], direction: str) -> str:
    """The chain that a port with these groups goes through: the group's own, or one made for the combination."""
    ids = sorted({checked_id(group_id) for group_id in group_ids})
    if len(ids) == 1:
        return f"{ids[0]}-{direction}"
    digest = hashlib.sha1(" ".join(ids).encode(), usedforsecurity=False).hexdigest()[:16]
    name = f"together-{digest}-{direction}"
    if name not in table.chains:
        table.chains[name] = Chain([f"jump {group_id}-{direction}" for group_id in ids])
    return name


def _add_ports(table: Table, network: Network) -> None:
    internet = {subnet.id for subnet in network.subnets if subnet.internet}
    for port in network.ports:
        name, mac, ip = port_link(port.id), _mac(port.mac), _ip(port.ip)
        sets = table.sets
        sets["senders"].elements[f"{name} . {mac} . {ip}"] = ""
        sets["macs"].elements[f"{name} . {mac}"] = ""
        if not port.source_dest_check:
            sets["unchecked"].elements[f"{name} . {mac}"] = ""
        sets["marks"].elements[name] = hex(INTERNET) if port.subnet_id in internet else "0x0"
        sets["groups_in"].elements[name] = f"jump {_groups_chain(table, port.group_ids, 'in')}"
        sets["groups_out"].elements[name] = f"jump {_groups_chain(table, port.group_ids, 'out')}"
        for kind in ("spoofed", "refused_in", "refused_out"):
            counter = f"{kind.replace('_', '-')}-{name}"
            table.counters[counter] = None
            sets[kind].elements[name] = f'"{counter}"'
        if port.public_ip:
            public = _ip(port.public_ip)
            sets["public_in"].elements[public] = ip
            sets["public_out"].elements[ip] = public
            sets["public"].elements[ip] = ""


def _add_stages(table: Table, network: Network) -> None:
    served = f"{{ {RESOLVER}, {_ip(network.dns)} }}" if network.dns != RESOLVER else RESOLVER
    over = "limit rate over"
    stages: dict[str, tuple[str, list[str]]] = {
        "arriving": ("filter hook prerouting priority -300; policy accept;", ['iifname "p-*" jump from_port']),
        "public_arriving": ("nat hook prerouting priority -100; policy accept;", [f'iifname "{GATEWAY}" dnat ip to ip daddr map @public_in']),
        "public_leaving": ("nat hook postrouting priority 100; policy accept;", [f'oifname "{GATEWAY}" snat ip to ip saddr map @public_out']),
        "to_router": (
            "filter hook input priority 0; policy accept;",
            [
                "ct state established,related accept",
                'iifname "lo" accept',
                'iifname != "p-*" drop',
                f"udp dport 67 add @dhcp_rate {{ iifname {over} 50/second burst 100 packets }} drop",
                "udp dport 67 accept",
                # who asks is told by the address, also of a port that may send from any
                f"ip daddr {{ {METADATA}, {API} }} iifname . ether saddr . ip saddr != @senders counter name forged drop",
                f"ip daddr {METADATA} tcp dport 80 add @metadata_rate {{ iifname {over} 200/second burst 400 packets }} drop",
                f"ip daddr {METADATA} tcp dport 80 accept",
                f"ip daddr {served} meta l4proto {{ tcp, udp }} th dport 53 add @dns_rate {{ iifname {over} 1024/second burst 1024 packets }} drop",
                f"ip daddr {served} meta l4proto {{ tcp, udp }} th dport 53 accept",
                f"ip daddr {API} tcp dport {{ 80, 443 }} add @api_rate {{ iifname {over} 200/second burst 400 packets }} drop",
                f"ip daddr {API} tcp dport {{ 80, 443 }} iifname vmap @groups_out",
                f"ip daddr {API} counter name iifname map @refused_out drop",
                "icmp type echo-request accept",
                "drop",
            ],
        ),
        "from_router": (
            "filter hook output priority 0; policy accept;",
            [
                "ct state established,related accept",
                'oifname != "p-*" accept',
                "udp sport 67 udp dport 68 accept",
                "oifname vmap @groups_in",
                "counter name oifname map @refused_in",
                "drop",
            ],
        ),
        "never": (
            "filter hook forward priority -40; policy accept;",
            [
                'iifname "p-*" ct state invalid counter name invalid drop',
                f'iifname "{GATEWAY}" ct direction original ct status & dnat == 0 counter name untranslated drop',
                f'iifname "p-*" oifname "{GATEWAY}" ip saddr != @public counter name no-public-address drop',
                f'iifname "p-*" ct state new add @tracked {{ iifname ct count over {CONNECTIONS_PER_PORT} }} drop',
            ],
        ),
        "acls_out": ("filter hook forward priority -30; policy accept;", ["iifname vmap @acl_out"]),
        "acls_in": ("filter hook forward priority -20; policy accept;", ["oifname vmap @acl_in"]),
        "sent": ("filter hook forward priority -10; policy accept;", _groups_stage("iifname", "out")),
        "received": ("filter hook forward priority 0; policy accept;", _groups_stage("oifname", "in")),
    }
    table.chains["from_port"] = Chain(
        [
            "meta nfproto != ipv4 drop",
            "ip saddr 0.0.0.0 ip daddr 255.255.255.255 udp sport 68 udp dport 67 iifname . ether saddr @macs accept",
            "iifname . ether saddr . ip saddr @senders meta mark set iifname map @marks accept",
            "iifname . ether saddr @unchecked meta mark set iifname map @marks accept",
            "counter name iifname map @spoofed",
            "drop",
        ]
    )
    for name, (hook, rules) in stages.items():
        table.chains[name] = Chain(rules, f"type {hook}")


def _groups_stage(side: str, direction: str) -> list[str]:
    return [
        "ct state established,related accept",
        f"{side} vmap @groups_{direction}",
        f'{side} "p-*" counter name {side} map @refused_{direction}',
        f'{side} "p-*" drop',
    ]


def _arp(network: Network) -> Table:
    """A port may speak of its own address only, unless it may send from any: entries that others could be misled by can't come into being."""
    sets = {"senders": Set("type ifname . ether_addr . ipv4_addr;"), "macs": Set("type ifname . ether_addr;")}
    table = Table("arp", "vpc", sets=sets | {"unchecked": Set("type ifname . ether_addr;")})
    for port in network.ports:
        name, mac = port_link(port.id), _mac(port.mac)
        table.sets["senders"].elements[f"{name} . {mac} . {_ip(port.ip)}"] = ""
        table.sets["macs"].elements[f"{name} . {mac}"] = ""
        if not port.source_dest_check:
            table.sets["unchecked"].elements[f"{name} . {mac}"] = ""
    table.counters = {"arp-spoofed": None}
    table.chains["arriving"] = Chain(
        [
            'iifname != "p-*" accept',
            "arp operation request arp saddr ip 0.0.0.0 iifname . arp saddr ether @macs accept",
            "iifname . arp saddr ether . arp saddr ip @senders accept",
            "iifname . arp saddr ether @unchecked accept",
            "counter name arp-spoofed drop",
        ],
        "type filter hook input priority 0; policy accept;",
    )
    return table


def rules_of(network: Network, port: Port) -> dict[str, tuple[list[str], list[str]]]:
    """The rule ids of each of a port's groups: group -> (ingress, egress)."""
    groups = {group.id: group for group in network.groups}
    found = [groups[group_id] for group_id in port.group_ids if group_id in groups]
    return {group.id: ([rule.id for rule in group.ingress], [rule.id for rule in group.egress]) for group in found}
