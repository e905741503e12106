"""A way to the database that can fall silent without ending."""

import select
import socket
import threading
from pathlib import Path
from types import TracebackType
from typing import Self


class Proxy:
    """Stands in `directory` for the server whose socket is in `server`, both as libpq names them. Once it holds its
    breath nothing passes, while the kernel on both sides goes on to say that all is well.
    """

    def __init__(self, directory: Path, server: str) -> None:
        self.directory, self._server = directory, server
        self._silent = threading.Event()
        self._stopping, self._stopper = socket.socketpair()
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(directory / ".s.PGSQL.5432"))
        self._listening.listen()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def hold_breath(self) -> None:
        """Let nothing pass from now on."""
        self._silent.set()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopper.close()
        self._thread.join()
        self._stopping.close()
        self._listening.close()

    def _run(self) -> None:
        other: dict[socket.socket, socket.socket] = {}
        while True:
            passing: list[socket.socket] = [] if self._silent.is_set() else [*other]
            readable, _, _ = select.select([self._stopping, self._listening, *passing], [], [])
            if self._stopping in readable:
                break
            for one in readable:
                if one is self._listening:
                    client, server = self._listening.accept()[0], socket.socket(socket.AF_UNIX)
                    server.connect(f"{self._server}/.s.PGSQL.5432")
                    other |= {client: server, server: client}
                elif self._silent.is_set() or one not in other:
                    continue
                elif data := one.recv(65536):
                    other[one].sendall(data)
                else:
                    for end in (one, other[one]):
                        del other[end]
                        end.close()
        for one in other:
            one.close()
