"""The edge: HTTP in, calls through, answers out. See docs/http.md.

``protocol`` and ``server`` speak HTTP within limits, ``app`` and ``workers`` carry whole requests to a thread, ``dispatch`` makes
one call of each; ``tls``, ``metrics`` and ``log`` are what an operator needs around them.
"""
