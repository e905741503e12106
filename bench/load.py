"""Clients of one HTTP server, all in one thread: requests that are ready-made bytes, connections that stay open."""

import random
import select
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

PATIENCE_SECONDS: Final = 60

#: Connections at a time, as `select` can watch; what is due beyond them waits, and its waiting counts.
MOST_CONNECTIONS: Final = 500


def request_bytes(method: str, path: str, body: bytes = b"", *, headers: str = "") -> bytes:
    """One request; `headers` are whole lines."""
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
    return f"{head}Content-Type: application/json\r\n{headers}\r\n".encode() + body


@dataclass
class Client:
    """One connection with at most one request on its way."""

    port: int
    due_at: float = 0.0
    """When the request that is on its way ought to have been sent: what waited for a connection has waited."""
    _received: bytes = b""
    _socket: socket.socket = field(init=False)

    def __post_init__(self) -> None:
        self._socket = socket.create_connection(("127.0.0.1", self.port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def fileno(self) -> int:
        """For `select`."""
        return self._socket.fileno()

    def send(self, request: bytes, *, due_at: float) -> None:
        """Send a request."""
        self.due_at = due_at
        self._socket.sendall(request)

    def receive(self) -> tuple[int, bytes] | None:
        """Status and body once the answer is whole; call it when there is something to read."""
        self._received += self._socket.recv(1 << 20)
        head, mark, rest = self._received.partition(b"\r\n\r\n")
        if not mark:
            return None
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])
        if len(rest) < length:
            return None
        self._received = b""
        return int(head[9:12]), rest

    def call(self, request: bytes) -> tuple[int, bytes]:
        """Send a request and wait for its answer."""
        self.send(request, due_at=time.monotonic())
        while (answer := self.receive()) is None:
            pass
        return answer

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()


@dataclass
class Load:
    """What clients saw. Times count from the moment at which a request ought to have been sent."""

    status: int
    """Of the answers that were wanted."""
    durations: list[float] = field(default_factory=list)
    """Milliseconds of those."""
    put_off: int = 0
    """Answers of 202 where the end was wanted: too many waited already."""
    seconds: float = 0.0

    def answered(self, clients: list[Client], seconds: float) -> Iterator[Client]:
        """Those whose answer has come; `select` wakes to the microsecond, unlike poll and epoll."""
        for client in select.select(clients, [], [], seconds)[0]:
            answer = client.receive()
            if answer is None:
                continue
            if answer[0] == self.status:
                self.durations.append((time.monotonic() - client.due_at) * 1000)
            elif answer[0] == HTTPStatus.ACCEPTED:
                self.put_off += 1
            else:
                raise AssertionError(answer)
            yield client


def closed_loop(port: int, request: bytes, *, clients: int, seconds: float, status: int) -> Load:
    """Each client sends its next request when it has its answer."""
    loop, load = [Client(port) for _ in range(clients)], Load(status)
    began = time.monotonic()
    for client in loop:
        client.send(request, due_at=time.monotonic())
    busy = len(loop)
    while busy:
        for client in load.answered(loop, PATIENCE_SECONDS):
            now = time.monotonic()
            if now < began + seconds:
                client.send(request, due_at=now)
            else:
                busy -= 1
    load.seconds = time.monotonic() - began
    for client in loop:
        client.close()
    return load


def open_loop(port: int, request: bytes, *, rate: float, seconds: float, status: int) -> Load:
    """Requests arrive by chance, `rate` a second on average, whether or not earlier ones were answered."""
    began, load = time.monotonic(), Load(status)
    arrivals = _arrivals(began, rate=rate, seconds=seconds)
    due_at = next(arrivals, None)
    free, busy = [Client(port) for _ in range(16)], list[Client]()
    while due_at is not None or busy:
        now = time.monotonic()
        while due_at is not None and due_at <= now and len(busy) < MOST_CONNECTIONS:
            client = free.pop() if free else Client(port)
            client.send(request, due_at=due_at)
            busy.append(client)
            due_at = next(arrivals, None)
        full = len(busy) == MOST_CONNECTIONS
        wait = PATIENCE_SECONDS if due_at is None or full else max(due_at - time.monotonic(), 0)
        for client in load.answered(busy, wait):
            busy.remove(client)
            free.append(client)
    load.seconds = time.monotonic() - began
    for client in free:
        client.close()
    return load


def _arrivals(began: float, *, rate: float, seconds: float) -> Iterator[float]:
    at = began
    while (at := at + random.expovariate(rate)) < began + seconds:
        yield at
