"""The one exception that operations raise: an AWS error code, a message, and what else the service's error shape
carries."""

from __future__ import annotations

from typing import Any


class AwsError(Exception):
    """``code`` as AWS spells it (``InvalidInstanceID.NotFound``). ``status`` is looked up in the service's table or
    model when it is None; ``fields`` are further members of the error's shape, ``headers`` those that its answer has besides."""

    def __init__(
        self, code: str, message: str, *, status: int | None = None, headers: tuple[tuple[bytes, bytes], ...] = (), **fields: Any
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.headers = headers
        self.fields = fields
