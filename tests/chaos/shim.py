"""A TCP port of the loopback interface in front of the server's Unix socket: the network, with everything that may
happen to it.
"""

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from app.addresses import PORT, ROLE

#: close() sends RST instead of FIN (socket(7)).
_RESET = struct.pack("ii", 1, 0)


class Relayed:
    """One connection through the shim. `hello` is its first packet, in which PostgreSQL's clients say their names."""

    def __init__(self, client: socket.socket, server: socket.socket, flowing: threading.Event) -> None:
        self.hello = b""
        self.lost = False
        """Whether nothing comes through any more, and nobody is told."""
        self._reset = False
        self._client, self._server, self._flowing = client, server, flowing
        for source, sink in ((client, server), (server, client)):
            threading.Thread(target=self._relay, args=(source, sink), daemon=True).start()

    def _relay(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                if source is self._client and not self.hello:
                    self.hello = data
                self._flowing.wait()
                if not self.lost:
                    sink.sendall(data)
        if not self.lost and not self._reset:
            self.end()

    def end(self, *, reset: bool = False) -> None:
        """End both halves, the client's with FIN or RST."""
        self._reset = reset
        for one in (self._client, self._server):
            with contextlib.suppress(OSError):
                # Reading ends in any case: a socket on which a thread waits is not closed yet.
                one.shutdown(socket.SHUT_RD if reset else socket.SHUT_RDWR)
        if reset:
            with contextlib.suppress(OSError):
                self._client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self.close()

    def close(self) -> None:
        """Let go of both sockets."""
        self._client.close()
        self._server.close()


class Shim:
    """A relay. It begins when it is entered and ends with the block."""

    def __init__(self, url: str) -> None:
        directory = urlsplit(url).query.partition("host=")[2].partition("&")[0]
        self._target = str(Path(directory.replace("%2F", "/")) / f".s.PGSQL.{PORT}")
        self._database = urlsplit(url).path
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._flowing = threading.Event()
        self._flowing.set()
        self._refusing = False
        self._relayed: list[Relayed] = []
        self._closed = False

    @property
    def url(self) -> str:
        """The same database, by way of the shim."""
        port = self._listening.getsockname()[1]
        return f"postgresql://{ROLE}@127.0.0.1:{port}{self._database}?sslmode=disable&gssencmode=disable"

    def __enter__(self) -> "Shim":
        threading.Thread(target=self._accept, name="shim", daemon=True).start()
        return self

    def __exit__(self, *_raised: object) -> None:
        self._closed = True
        self._flowing.set()
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for one in self._relayed:
            one.end()
            one.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while not self._closed:
                client, _ = self._listening.accept()
                server = socket.socket(socket.AF_UNIX)
                try:
                    if self._refusing:
                        raise ConnectionRefusedError
                    server.connect(self._target)
                except OSError:
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                    client.close()
                    server.close()
                    continue
                self._relayed.append(Relayed(client, server, self._flowing))

    def end(self, *, reset: bool = False) -> None:
        """End every connection, in order (FIN) or at once (RST)."""
        for one in self._relayed:
            if not one.lost:
                one.end(reset=reset)

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """Nobody gets a new connection."""
        self._refusing = True
        try:
            yield
        finally:
            self._refusing = False

    @contextmanager
    def black_hole(self) -> Iterator[None]:
        """Nothing comes through, old connections and new; what was sent meanwhile arrives when it ends."""
        self._flowing.clear()
        try:
            yield
        finally:
            self._flowing.set()

    def forget(self, name: bytes) -> int:
        """Lose the connections of clients with such a name: they stay open and nothing will ever come through. Answers
        how many.
        """
        found = [one for one in self._relayed if name in one.hello and not one.lost]
        for one in found:
            one.lost = True
        return len(found)
