"""Whoever connects and asks for nothing keeps nobody else out."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Any

import pytest
from flask import Flask, request
from waitress import wasyncore
from waitress.adjustments import Adjustments

from app.http import connections
from app.http.connections import Server

#: Of which the server takes two for itself.
PLACES = 12

HALF = b"GET / HTTP/1.1\r\nHost: localhost\r\n"
WHOLE = HALF + b"\r\n"
SLOW = b"GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n"
LATE = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nhalf"


class Serving:
    """A server on loopback with few places, in a thread."""

    def __init__(self) -> None:
        self.begun, self.end = threading.Event(), threading.Event()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address = self._listening.getsockname()
        self._connections: dict[int, Any] = {}
        adjustments = Adjustments(
            sockets=[self._listening], threads=2, connection_limit=PLACES, cleanup_interval=0, asyncore_use_poll=True
        )
        self._server = Server.on(self._listening, self._app(), adjustments, self._connections)
        self._stopped, self._clients = threading.Event(), ExitStack()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _app(self) -> Flask:
        app = Flask("here")

        @app.route("/", methods=["GET", "POST"])
        def here() -> str:
            return "here"

        @app.get("/slow")
        def slow() -> str:
            self.begun.set()
            assert self.end.wait(30)
            return request.path

        return app

    def _serve(self) -> None:
        while not self._stopped.is_set():
            wasyncore.loop(timeout=0.02, use_poll=True, map=self._connections, count=1)

    def close(self) -> None:
        """Stop, and let everybody go."""
        self.end.set()
        self._clients.close()
        self._stopped.set()
        self._thread.join()
        self._server.task_dispatcher.shutdown()
        wasyncore.close_all(self._connections)

    def connect(self, said: bytes = b"") -> socket.socket:
        """Connect, and say that much."""
        connected = self._clients.enter_context(socket.create_connection(self.address, timeout=10))
        connected.sendall(said)
        return connected


@pytest.fixture
def serving(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serving]:
    """One of them, which is less patient."""
    monkeypatch.setattr(connections, "PATIENCE_SECONDS", 0.2)
    one = Serving()
    yield one
    one.close()


def answer(connected: socket.socket) -> bytes:
    """What the server has to say, up to its last byte."""
    said = b""
    while not said.endswith((b"here", b"slow")):
        more = connected.recv(1000)
        assert more, said
        said += more
    return said


def is_open(connected: socket.socket) -> bool:
    """Whether the server has not closed it."""
    connected.settimeout(0.2)
    try:
        return connected.recv(1) != b""
    except TimeoutError:
        return True
    except ConnectionResetError:
        return False


def test_who_asks_takes_the_place_of_whoever_is_silent_for_longest(serving: Serving) -> None:
    silent = [serving.connect(HALF if n % 2 else b"") for n in range(PLACES)]
    assert b"here" in answer(serving.connect(WHOLE))
    assert not is_open(silent[0])
    assert is_open(silent[-1])


def test_who_is_answered_keeps_their_place(serving: Serving) -> None:
    slow = serving.connect(SLOW)
    assert serving.begun.wait(10)
    # Given that all others have sent a head, and the body never comes
    late = [serving.connect(LATE) for _ in range(PLACES)]
    assert b"here" in answer(serving.connect(WHOLE))
    assert not is_open(late[0])
    serving.end.set()
    assert b"/slow" in answer(slow)


def test_a_head_comes_soon_or_not_at_all(serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.5)
    idle, again = serving.connect(WHOLE), serving.connect(WHOLE)
    assert b"here" in answer(idle)
    assert b"here" in answer(again)
    silent, late = serving.connect(), serving.connect(LATE)
    dripping = [again, serving.connect()]
    # When some begin a head and say a byte now and then
    for byte in HALF[:10]:
        time.sleep(0.1)
        for one in dripping:
            with suppress(OSError):
                one.sendall(bytes([byte]))
    # Then they are let go like whoever says nothing
    assert [is_open(one) for one in (silent, *dripping)] == [False, False, False]
    # And nobody who has asked before, or sends a body.
    assert is_open(late)
    idle.sendall(WHOLE)
    assert b"here" in answer(idle)
