"""The simulated nodes of a cloud, in one process: ``python -m mallee.simulator --home H``. Needs no privilege."""

from __future__ import annotations

import argparse
import gc
import logging
import signal
import sys
from pathlib import Path

from mallee.fabric.client import SocketTransport
from mallee.fabric.document import Capacity
from mallee.settings import Settings, SettingsError, load

from .guests import AT_ONCE, Times
from .simulator import Simulator


def times(settings: Settings) -> Times:
    """With no time to boot, nothing takes time."""
    if settings.simulated_boot_seconds == 0:
        return AT_ONCE
    return Times(boot=settings.simulated_boot_seconds, stop=settings.simulated_stop_seconds)


def nodes(settings: Settings) -> list[Simulator]:
    """Simulated nodes, spread over the zones; their ids are always the same."""
    capacity = Capacity(settings.simulated_vcpus, settings.simulated_memory_mib, settings.simulated_disk_gib, "simulated")
    made = []
    for number in range(settings.simulated_nodes):
        zone = settings.zones[number % len(settings.zones)]
        node_id = f"node-{number + 1}"
        transport = SocketTransport(settings.run / "fabric.sock")
        made.append(Simulator(node_id, zone, transport, times=times(settings), capacity=capacity))
    return made


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m mallee.simulator")
    parser.add_argument("--home", type=Path, required=True)
    try:
        settings = load(parser.parse_args().home)
    except SettingsError as reason:
        print(f"mallee simulator: {reason}", file=sys.stderr)
        return 1
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    running = nodes(settings)
    for each in running:
        each.start()
    gc.collect()
    gc.freeze()
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    for each in running:
        each.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
