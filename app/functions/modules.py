"""What one worker child keeps in memory of the functions that it executes."""

import threading
from collections import OrderedDict
from collections.abc import Iterator
from typing import Final

from app.functions.layers import Layers
from app.functions.native_cache import NativeCache
from app.platform import Platform
from app.wasm.layer import Layer, Script
from app.wasm.native import Program
from app.wasm.run import prepare

#: Modules that one child keeps. Their code is mapped from the cache's files, so children share its pages.
MODULES_IN_MEMORY: Final = 128


class Modules:
    """The modules and layers of one child: in memory, beneath it on disk, beneath that in the database.

    One thread executes; another may preload. Both may load the same module at a time, which harms nothing.
    """

    def __init__(self, platform: Platform) -> None:
        self._loaded: OrderedDict[str, Program] = OrderedDict()
        self._unasked: set[str] = set()
        """Those that were preloaded, and that nobody has asked for since."""
        self._lock = threading.Lock()
        self._cache = NativeCache(platform)
        self._layers = Layers(platform)

    def holds(self, digest: str) -> bool:
        """Whether the module is in memory, so that loading it takes no time."""
        return digest in self._loaded

    def load(self, digest: str) -> Program:
        """The module of an artifact; raises `ArtifactMissing`."""
        with self._lock:
            module = self._found(digest)
            was_unasked = digest in self._unasked
            self._unasked.discard(digest)
        if module is None:
            return self._keep(digest, self._cache.load(digest))
        if was_unasked:
            self._cache.touch(digest)
        return module

    def preload(self, digest: str) -> bool:
        """Have a module in memory before anybody asks for it, if its native code is on disk; answers whether it came
        by this. Linking it is done, too.
        """
        if self.holds(digest):
            return False
        module = self._cache.load_held(digest)
        if module is None:
            return False
        prepare(module)
        with self._lock:
            self._unasked.add(digest)
        self._keep(digest, module)
        return True

    def arrivals(self) -> Iterator[str]:
        """The artifacts whose native code comes to disk from now on; see `NativeCache.arrivals`."""
        return self._cache.arrivals()

    def layer(self, digest: str | None, program: Program) -> Layer | Script | None:
        """The layer of this digest, if there is one to be; raises `LayerMissing`."""
        return None if digest is None else self._layers.load(digest, program)

    def _found(self, digest: str) -> Program | None:
        if digest in self._loaded:
            self._loaded.move_to_end(digest)
        return self._loaded.get(digest)

    def _keep(self, digest: str, module: Program) -> Program:
        """Keep a module unless another thread was quicker; what nobody has asked for the longest goes."""
        with self._lock:
            kept = self._loaded.setdefault(digest, module)
            if len(self._loaded) > MODULES_IN_MEMORY:
                gone, _ = self._loaded.popitem(last=False)
                self._unasked.discard(gone)
        return kept
