"""The networks of a node: VPC routers, security groups, public addresses, and what their guests are served.

See docs/node-network.md for the whole picture. ``Networks`` is all that the rest of the agent uses.
"""

from mallee.node.network.namespaces import NetworkError, node_namespace, port_link
from mallee.node.network.networks import Networks

__all__ = ["NetworkError", "Networks", "node_namespace", "port_link"]
