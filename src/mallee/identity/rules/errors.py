"""A document that is not a policy."""

from __future__ import annotations


class Malformed(Exception):
    """What AWS says of the document, ready for MalformedPolicyDocument."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


SYNTAX = "Syntax errors in policy."
