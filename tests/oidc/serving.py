"""A server of the tests on loopback, in a thread."""

import threading
from socketserver import BaseServer
from typing import Self


class Served:
    """Answers from `with` until its end."""

    def __init__(self, server: BaseServer) -> None:
        self._server = server
        self._thread = threading.Thread(target=server.serve_forever, args=(0.01,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
