"""HTTP to Flower over its socket."""

import socket
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPResponse
from pathlib import Path
from typing import Final

from app.addresses import private_directory

#: Flower asks its workers and waits for their answers; what says nothing for so long is given up.
SILENCE_SECONDS: Final = 30.0


class FlowerError(Exception):
    """Flower did not answer."""


class FlowerAway(FlowerError):
    """Flower does not run beside this process."""


class FlowerSilent(FlowerError):
    """Flower runs beside this process, but does not answer."""


class FlowerConnection(HTTPConnection):
    """A connection for one request."""

    def __init__(self, path: Path) -> None:
        super().__init__("flower", timeout=SILENCE_SECONDS)
        self._path = path

    def connect(self) -> None:
        """Connect; raises `FlowerAway`. What listens in somebody else's directory is not Flower."""
        try:
            private_directory(self._path.parent)
            self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.sock.settimeout(SILENCE_SECONDS)
            self.sock.connect(str(self._path))
        except OSError as error:
            raise FlowerAway from error

    def ask(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> HTTPResponse:
        """Send a request and read the head of its answer; raises `FlowerAway` or `FlowerSilent`."""
        try:
            self.request(method, target, body, headers)
            return self.getresponse()
        except FlowerAway:
            self.close()
            raise
        except (OSError, HTTPException) as error:
            self.close()
            raise FlowerSilent from error
