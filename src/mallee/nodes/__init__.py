"""The cloud's knowledge of its hosts, and its end of the fabric. See docs/fabric.md."""
