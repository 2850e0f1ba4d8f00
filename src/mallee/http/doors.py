"""Which of the doors of the object store a request comes by: S3's API, a browser's form, a preflight, a website, or Swift's API."""

from __future__ import annotations

from mallee.http import forms
from mallee.http.dispatch import Answer, Dispatcher, Source
from mallee.http.forms import Forms
from mallee.http.streams import Begun, Incoming, Receive, Send, Streams, drain
from mallee.http.swift import Swift
from mallee.http.website import Websites
from mallee.http.workers import Workers
from mallee.wire import AwsError, Headers, Request


class Preflights(Streams):
    """OPTIONS."""

    async def _perform(self, call: Begun, receive: Incoming) -> None:
        call.answer = await self._workers.run(self._cors.preflight, call.request, call.request_id)
        if not await drain(receive, call.request):
            call.answer.headers.append((b"connection", b"close"))

    def _let_in(self, request: Request) -> Headers:
        return []  # the answer itself says it


class Doors:
    def __init__(self, dispatcher: Dispatcher, workers: Workers, bodies: Workers, at_once: bool) -> None:
        """``workers`` do calls, ``bodies`` blocks of bodies."""
        self._router = dispatcher.router
        self._api = Streams(dispatcher, workers, bodies, at_once)
        self._forms = Forms(dispatcher, workers, bodies, at_once)
        self._preflights = Preflights(dispatcher, workers, bodies, at_once)
        self._websites = Websites(dispatcher, workers, bodies, at_once)
        self._swift = Swift(dispatcher, workers, bodies, at_once)

    def is_website(self, request: Request) -> bool:
        """Whether the host that a request names is a bucket's website."""
        return self._websites.is_named(request)

    def names_bucket(self, request: Request) -> bool:
        """Whether its host alone says that a request is about a bucket."""
        try:
            return self.is_website(request) or self._router.s3_path(request) != request.raw_path.decode("latin-1")
        except AwsError:
            return True

    def path(self, request: Request) -> tuple[str, bool]:
        """A request's path with the bucket in front, and whether that is a website."""
        name = self._websites.named(request)
        if name is not None:
            return f"/{name}{request.raw_path.decode('latin-1')}", True
        try:
            return self._router.s3_path(request), False
        except AwsError:
            return "/", False

    async def serve(self, request: Request, request_id: str, source: Source, receive: Receive, send: Send) -> Answer | None:
        """None when the client went away before it could be answered."""
        door: Streams = self._api
        if self._websites.is_named(request):
            door = self._websites
        elif await self._swift.is_named(request):
            door = self._swift
        elif request.method == "OPTIONS":
            door = self._preflights
        elif forms.is_form(request):
            door = self._forms
        return await door.serve(request, request_id, source, receive, send)


