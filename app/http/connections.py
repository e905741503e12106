"""Connections, and which are let go: who has not asked for anything yet gets a while, and less where others come."""

import socket
import time
from typing import Any, Final, Self

import orjson
from flask import Flask
from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.server import TcpWSGIServer
from waitress.task import ErrorTask
from waitress.utilities import Error

from app.http.problems import CONTENT_TYPE, document
from app.identity import new_id

#: Within so long a new connection sends the whole head of a request, and one that has begun another sends the rest.
HEAD_SECONDS: Final = 10

#: Where all places are taken, whoever is without a whole request for so long gives theirs to who comes.
PATIENCE_SECONDS: Final = 1.0

_CODES: Final = {400: "bad_request", 413: "too_large", 431: "headers_too_large"}


class ProblemTask(ErrorTask):  # type: ignore[misc]
    """Answers what cannot be parsed as a request, and so never reaches the application, as the application would."""

    def execute(self) -> None:
        """Write the response and close the connection."""
        error: Error = self.request.error
        code = _CODES.get(error.code, "bad_request" if error.code < 500 else "internal_error")
        correlation_id = str(new_id())
        body = document(code, str(error.body), correlation_id=correlation_id)
        self.status = f"{body['status']} {error.reason}"
        self.response_headers.extend([("Content-Type", CONTENT_TYPE), ("X-Correlation-Id", correlation_id)])
        self.set_close_on_finish()
        content = orjson.dumps(body)
        self.content_length = len(content)
        self.write(content)


class Channel(HTTPChannel):  # type: ignore[misc]
    """A connection. `head_since` is when it came, or began a request that it has not sent as a whole yet."""

    error_task_class = ProblemTask

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self.head_since = time.time()
        self.has_asked = False
        super().__init__(*arguments, **named)

    def received(self, data: bytes) -> bool:
        """Take in what a client sends."""
        before = self.request
        taken: bool = super().received(data)
        if self.has_asked and self.request is not before:
            self.head_since = time.time()
        return taken

    def service(self) -> None:
        """Answer a request, in a thread of its own."""
        self.has_asked = True
        super().service()

    @property
    def is_answered(self) -> bool:
        """Whether a whole request is at work here, or its answer on the way."""
        return bool(self.requests or self.total_outbufs_len)

    @property
    def has_head(self) -> bool:
        """Whether the head of the next request is here, and its body on the way."""
        return bool(self.request is not None and self.request.headers_finished)

    @property
    def is_idle(self) -> bool:
        """Whether it was answered and has not begun another request."""
        return self.has_asked and self.request is None

    @property
    def since(self) -> float:
        """Since when it is without a whole request."""
        return float(self.last_activity) if self.is_idle else self.head_since


class Server(TcpWSGIServer):  # type: ignore[misc]
    """Where connections come in."""

    channel_class = Channel

    @classmethod
    def on(cls, listening: socket.socket, app: Flask, adjustments: Adjustments, connections: dict[int, Any]) -> Self:
        """One that takes connections from a socket, and keeps them in `connections`, by their descriptors."""
        described = (listening.family, listening.type, listening.proto, listening.getsockname())
        return cls(app, connections, _sock=listening, adj=adjustments, sockinfo=described, bind_socket=False)

    def readable(self) -> bool:
        """Whether one more may come in. Before the last place is taken, one is made free."""
        if len(self._map) >= self.adj.connection_limit - 1:
            self._make_room()
        is_readable: bool = super().readable()
        return is_readable

    def maintenance(self, now: float) -> None:
        """Let go of whoever has been silent for too long, or sends a head too slowly."""
        super().maintenance(now)
        for channel in self.active_channels.values():
            owes_head = not (channel.is_answered or channel.has_head or channel.is_idle)
            if owes_head and channel.since < now - HEAD_SECONDS:
                channel.will_close = True

    def _make_room(self) -> None:
        """Let go of the connection that is without a whole request for longest."""
        waiting = [one for one in self.active_channels.values() if not one.is_answered]
        longest = min(waiting, key=lambda one: one.since, default=None)
        if longest is not None and longest.since < time.time() - PATIENCE_SECONDS:
            # It is closed when the loop comes to it: here another could get its descriptor, and what was said to it.
            longest.will_close = True
