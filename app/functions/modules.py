"""What one worker child keeps in memory of the functions that it executes."""

from collections import OrderedDict
from typing import Final

from app.functions.layers import Layers
from app.functions.native_cache import NativeCache
from app.platform import Platform
from app.wasm.layer import Layer, Script
from app.wasm.native import Program

#: Modules that one child keeps. Their code is mapped from the cache's files, so children share its pages.
MODULES_IN_MEMORY: Final = 128


class Modules:
    """The modules and layers of one child: in memory, beneath it on disk, beneath that in the database."""

    def __init__(self, platform: Platform) -> None:
        self._loaded: OrderedDict[str, Program] = OrderedDict()
        self._cache = NativeCache(platform)
        self._layers = Layers(platform)

    def holds(self, digest: str) -> bool:
        """Whether the module is in memory, so that loading it takes no time."""
        return digest in self._loaded

    def load(self, digest: str) -> Program:
        """The module of an artifact; raises `ArtifactMissing`."""
        module = self._loaded.get(digest)
        if module is None:
            module = self._loaded[digest] = self._cache.load(digest)
            if len(self._loaded) > MODULES_IN_MEMORY:
                self._loaded.popitem(last=False)
        self._loaded.move_to_end(digest)
        return module

    def layer(self, digest: str | None, program: Program) -> Layer | Script | None:
        """The layer of this digest, if there is one to be; raises `LayerMissing`."""
        return None if digest is None else self._layers.load(digest, program)
