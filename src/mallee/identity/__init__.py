"""Who is it, and may they? Accounts, users, keys, signatures, authorization.

``call`` is what every operation receives; ``authenticate`` finds the principal of a request, ``authorize`` allows the call.
"""
