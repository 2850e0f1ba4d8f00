"""What a protocol must do, and what all of them do alike: run the checks, find an error's status and shape, wrap
misfits of output."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mallee.wire.checks import Checks, Violation
from mallee.wire.errors import AwsError
from mallee.wire.message import Request, Response
from mallee.wire.model import Model, Operation, Shape
from mallee.wire.output import OutputError, misfit
from mallee.wire.reading import Unreadable

if TYPE_CHECKING:
    from mallee.wire.catalogue import Service
    from mallee.wire.routing import Route


@dataclass(frozen=True, slots=True)
class Told:
    """An error as the service's model knows it. ``code`` is what query clients see, ``kind`` the name of the shape,
    which JSON clients see."""

    code: str
    kind: str
    message: str
    status: int
    fields: dict[str, Any]
    shape: Shape | None

    @property
    def sender(self) -> bool:
        return self.status < 500


class Protocol:
    name = ""

    def parse(self, route: Route, request: Request) -> dict[str, Any]:
        """The operation's input: read, then checked. Raises AwsError."""
        try:
            value = self.read(route, request)
        except Unreadable as error:
            raise route.service.dialect.unreadable(error) from None
        except RecursionError:
            raise route.service.dialect.unreadable(
                Unreadable("syntax", value="The request is nested too deeply.")
            ) from None
        found = self.violations(route, value)
        if found:
            raise route.service.dialect.violations(found)
        return value

    def violations(self, route: Route, value: dict[str, Any]) -> Sequence[Violation]:
        """What the model does not allow about an input, in the order in which it was found."""
        rules = route.service.dialect.rules
        check = route.operation.compiled("check", lambda model, op: _check(model, op, rules))
        if check is _nothing:
            return ()
        found: list[Violation] = []
        check(value, None, found)
        return found

    def respond(self, route: Route, output: dict[str, Any] | None, request_id: str) -> Response:
        try:
            return self.write(route, {} if output is None else output, request_id)
        except (TypeError, KeyError, AttributeError, ValueError) as error:
            where = misfit(route.operation.output, output) or repr(error)
            raise OutputError(f"{route.service.name}:{route.operation.name}: {where}") from error

    def read(self, route: Route, request: Request) -> dict[str, Any]:
        raise NotImplementedError

    def write(self, route: Route, output: dict[str, Any], request_id: str) -> Response:
        raise NotImplementedError

    def error(self, service: Service | None, version: str, params: Any, error: AwsError, request_id: str) -> Response:
        """``service`` is None when the request named none; ``params`` as in `Route`."""
        raise NotImplementedError


def _nothing(value: Any, path: Any, found: list[Violation]) -> None:
    pass


def _check(model: Model, operation: Operation, rules: Any) -> Callable[..., None]:
    if operation.input is None:
        return _nothing
    return Checks(model, rules).shape(operation.input) or _nothing


def told(service: Service | None, error: AwsError) -> Told:
    """Completes an error from the service's model and tables."""
    status = error.status
    shape = None
    code = kind = error.code
    if service is not None:
        shape = service.exception(error.code) or service.exception(service.dialect.kind_of(error.code))
        if shape is not None:
            kind = shape.name
            trait = shape.traits.get("error", {})
            code = service.dialect.query_codes.get(kind) or trait.get("code", kind)
            status = status or trait.get("httpStatusCode") or (500 if shape.traits.get("fault") else None)
        status = status or service.dialect.status(kind) or service.dialect.status(error.code)
    return Told(code, kind, error.message, status or 400, error.fields, shape)
