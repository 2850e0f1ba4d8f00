"""The protocol between cloud and node: its language, and the node's end. Imports nothing else of Mallee. See docs/fabric.md."""
