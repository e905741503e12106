"""Layers by digest: what workers read of them, once for each function."""

from collections import OrderedDict
from typing import Final

from app.functions import queries
from app.platform import Platform
from app.wasm.layer import Layer, Script, read
from app.wasm.native import Program

#: What one child keeps in memory, counted as the bytes that are stored.
BYTES_IN_MEMORY: Final = 64 << 20


class LayerMissing(Exception):
    """The database has no such layer."""


class Layers:
    """The layers of one worker child: in memory, beneath it in the database."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._loaded: OrderedDict[str, tuple[Layer | Script, int]] = OrderedDict()
        self._bytes = 0

    def load(self, digest: str, program: Program) -> Layer | Script:
        """The layer of this digest, which belongs to a program; raises `LayerMissing`."""
        found = self._loaded.get(digest)
        if found is None:
            with self._platform.database.statement() as connection:
                content = queries.layer(connection, digest)
            if content is None:
                raise LayerMissing(digest)
            found = self._loaded[digest] = read(program, content), len(content)
            self._bytes += len(content)
            while self._bytes > BYTES_IN_MEMORY and len(self._loaded) > 1:
                _, (_, freed) = self._loaded.popitem(last=False)
                self._bytes -= freed
        self._loaded.move_to_end(digest)
        return found[0]
