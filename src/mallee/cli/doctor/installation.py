"""The hops of an installation: processes, API, certificate, database, secrets, room, nodes, objects, hypervisor, reconcilers, faults."""

from __future__ import annotations

import shutil
import socket
import ssl
import stat
import urllib.request

from mallee.cli import home, node_client, rows
from mallee.cli.client import health
from mallee.cli.doctor import objects
from mallee.cli.doctor.examination import Report
from mallee.cli.status import wanted
from mallee.durable import Reconciliation, faults, unfinished
from mallee.durable.records import RECONCILIATIONS
from mallee.nodes import records as nodes
from mallee.settings import Settings
from mallee.store import Tx, read_all

GIB = 1 << 30


def examine(chosen: Settings, report: Report) -> None:
    _processes(chosen, report)
    _api(chosen, report)
    if chosen.tls:
        _certificate(chosen, report)
    _metrics(chosen, report)
    _secrets(chosen, report)
    free = shutil.disk_usage(chosen.home).free / GIB
    report.check(
        "disk",
        free > 1,
        f"{free:.1f} GiB free for {chosen.home}",
        "The disk of the cloud's home is nearly full.",
        "Free space there.",
    )
    with rows.reading(chosen) as tx:
        _database(chosen, tx, report)
    objects.examine(chosen, report)
    if not chosen.simulated:
        _node(chosen, report)


def _processes(chosen: Settings, report: Report) -> None:
    for name in wanted(chosen):
        pid = home.running(chosen, name)
        text = f"pid {pid}" if pid else "not running"
        report.check(
            name,
            pid is not None,
            text,
            f"The process {name} does not run.",
            f"./mallee up starts it; ./mallee logs {name} says why it ended.",
        )


def _api(chosen: Settings, report: Report) -> None:
    found = health(chosen)
    if found is None:
        remedy = "See ./mallee logs cloud; another program may hold the port."
        report.bad("API", f"{chosen.endpoint} does not answer", "The API does not answer.", remedy)
        return
    text = f"{chosen.endpoint} answers, version {found.get('version')}, {found.get('database')}"
    report.check("API", found.get("status") == "ok", text, str(found.get("cause", "")), str(found.get("remedy", "")))


def _certificate(chosen: Settings, report: Report) -> None:
    authority = chosen.cloud / "tls" / "ca.pem"
    given = bool(chosen.tls_certificate)
    context = ssl.create_default_context(cafile=None if given else str(authority))
    context.check_hostname = not given
    try:
        host = "127.0.0.1" if chosen.host in ("0.0.0.0", "::") else chosen.host
        with socket.create_connection((host, chosen.tls_port), timeout=5) as plain:
            with context.wrap_socket(plain, server_hostname=host) as link:
                peer = link.getpeercert() or {}
        report.well("TLS", f"{chosen.tls_endpoint}, certificate until {peer.get('notAfter')}")
    except (OSError, ssl.SSLError) as error:
        remedy = "See ./mallee logs cloud. A given certificate must be vouched for by an authority that this machine knows."
        report.bad("TLS", f"{chosen.tls_endpoint}: {error}", f"The TLS port does not work: {error}.", remedy)


def _metrics(chosen: Settings, report: Report) -> None:
    address = f"http://{chosen.metrics_host}:{chosen.metrics_port}/metrics"
    try:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(address, timeout=5) as answer:
            report.well("metrics", f"{address}, {len(answer.read())} bytes")
    except OSError as error:
        report.bad("metrics", f"{address}: {error}", "The metrics port does not answer.", "See ./mallee logs cloud.")


def _secrets(chosen: Settings, report: Report) -> None:
    file = chosen.cloud / "master.key"
    if not file.exists():
        remedy = "Put it back from your backup: without it no secret in the database can be read."
        report.bad("master key", f"{file} is missing", "The master key is missing.", remedy)
        return
    closed = not stat.S_IMODE(file.stat().st_mode) & 0o077
    report.check("master key", closed, str(file), "The master key can be read by others.", f"chmod 600 {file}")


def _database(chosen: Settings, tx: Tx, report: Report) -> None:
    report.well("database", chosen.database_url.split("@")[-1])
    all_nodes = nodes.nodes(tx)
    report.check(
        "nodes",
        bool(all_nodes),
        f"{len(all_nodes)} joined",
        "No node has joined.",
        "./mallee up starts one; see ./mallee logs node.",
    )
    for node in all_nodes:
        text = f"{node.accelerator}, generation {node.applied} of {node.generation}, seen {node.seen_at:%H:%M:%S}"
        remedy = "See ./mallee logs node on its host."
        report.check(node.id, node.reachable, text, f"Node {node.id} is silent since {node.seen_at:%H:%M:%S}.", remedy)
    for each in read_all(Reconciliation, tx.all(RECONCILIATIONS.select())):
        if each.error:
            report.bad(each.name, each.error, f"The reconciler {each.name} fails: {each.error}.", "See ./mallee logs cloud.")
    report.note("jobs", ", ".join(f"{count} {machine} in {step}" for machine, step, count in unfinished(tx)) or "none")
    for fault in faults.open_(tx):
        report.bad(fault.code, f"{fault.subject}: {fault.cause}", fault.cause, fault.remedy)


def _node(chosen: Settings, report: Report) -> None:
    try:
        status = node_client.ask(chosen, {"ask": "status"})
    except home.Sorry as sorry:
        report.bad("node agent", str(sorry), "The node agent does not answer.", "See ./mallee logs node.")
        return
    text = f"libvirtd pid {status['libvirtd']}, {status['accelerator']}, guest limits by {status['limits']}"
    report.check(
        "hypervisor",
        bool(status["connected"]),
        text,
        "libvirtd does not answer.",
        "The agent starts it again; see ./mallee logs libvirtd.",
    )
    report.note("guests", ", ".join(f"{each['id']} {each['state']}" for each in status["guests"]) or "none")
