"""The one engine of a process, and the name of the native code that it makes and loads."""

import hashlib
import importlib.metadata
import os
import platform
from functools import lru_cache
from pathlib import Path

import wasmtime

from app.wasm.limits import STACK_BYTES

# Raised whenever `_config` changes, so that native code of the older configuration is made again.
CONFIG_VERSION = 1

# Each of these is code of the engine that a guest could reach and that no toolchain here needs.
_OFF = (
    "gc_support",
    "shared_memory",
    "wasm_component_model",
    "wasm_component_model_implements",
    "wasm_component_model_map",
    "wasm_custom_page_sizes",
    "wasm_exceptions",
    "wasm_function_references",
    "wasm_gc",
    "wasm_memory64",
    "wasm_multi_memory",
    "wasm_relaxed_simd",
    "wasm_stack_switching",
    "wasm_threads",
    "wasm_wide_arithmetic",
)

_engines: dict[int, wasmtime.Engine] = {}


def engine() -> wasmtime.Engine:
    """This process's engine, made at its first use and made again after a fork.

    A parent's engine stays referenced in its children: nothing of it is torn down in a process that did not make it.
    """
    pid = os.getpid()
    found = _engines.get(pid)
    # setdefault is atomic, so two threads that race end with the same engine.
    return found if found is not None else _engines.setdefault(pid, wasmtime.Engine(_config()))


def _config() -> wasmtime.Config:
    config = wasmtime.Config()
    config.epoch_interruption = True
    # The thread pool of the parallel compiler does not survive a fork.
    config.parallel_compilation = False
    config.max_wasm_stack = STACK_BYTES
    for feature in _OFF:
        setattr(config, feature, False)
    return config


@lru_cache(maxsize=1)
def configuration_key() -> str:
    """Names the native code target: engine version, our configuration, processor. 16 hexadecimal digits."""
    parts = (importlib.metadata.version("wasmtime"), str(CONFIG_VERSION), platform.machine(), _processor_features())
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _processor_features() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines():
        name, _, value = line.partition(":")
        if name.strip() in {"flags", "Features"}:
            return " ".join(sorted(value.split()))
    return ""
