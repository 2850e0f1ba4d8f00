"""``python -m mallee.node --home H``: the node agent as a process. It ends on SIGTERM and leaves everything running."""

from __future__ import annotations

import argparse
import gc
import logging
import logging.handlers
import os
import signal
import sys
import threading
from pathlib import Path

from mallee.fabric.client import SocketTransport
from mallee.node.agent import Agent
from mallee.node.control import Control
from mallee.node.settings import config_of, only_one

log = logging.getLogger("mallee.node")


def main() -> int:
    parser = argparse.ArgumentParser(prog="mallee-node", description="The node agent of a Mallee cloud.")
    parser.add_argument("--home", type=Path, required=True, help="the cloud's home ($MALLEE_HOME)")
    home = parser.parse_args().home.absolute()
    if os.geteuid() != 0:
        print("mallee: the node agent needs root: use sudo", file=sys.stderr)
        return 1
    _log_to(home / "log/node.log")
    lock = only_one(home)
    if lock is None:
        print("mallee: another node agent of this cloud is running", file=sys.stderr)
        return 1
    agent = Agent(config_of(home), SocketTransport(home / "run/fabric.sock"))
    control = Control(home / "run/node.sock", agent)
    asked = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, frame: asked.set())
    agent.start()
    control.start()
    log.info("node %s, run %s, accelerator %s", agent.config.node_id, agent.boot_id, agent.hypervisor.accelerator)
    gc.collect()
    gc.freeze()
    asked.wait()
    control.stop()
    agent.stop()
    log.info("stopped")
    return 0


def _log_to(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.handlers.RotatingFileHandler(path, maxBytes=8 << 20, backupCount=2)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=os.environ.get("MALLEE_LOG_LEVEL", "INFO"), handlers=[handler])


if __name__ == "__main__":
    sys.exit(main())
