"""The engines of a process, and the name of the native code that they make and load.

One is for modules, and so for nearly all that runs. The other is for components, of which there are only our own: the
component model is much code, and no module that a user sends gets near it.
"""

import hashlib
import importlib.metadata
import os
import platform
from functools import lru_cache
from pathlib import Path

import wasmtime

from app.wasm.limits import COMPONENT_STACK_BYTES, STACK_BYTES

# Raised whenever `_config` changes, so that native code of the older configuration is made again.
CONFIG_VERSION = 1
# The same of `_component_config`.
COMPONENT_CONFIG_VERSION = 1

# Each of these is code of the engine that a guest could reach and that no toolchain here needs.
_OFF = (
    "gc_support",
    "shared_memory",
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
_component_engines: dict[int, wasmtime.Engine] = {}


def engine() -> wasmtime.Engine:
    """This process's engine, made at its first use and made again after a fork.

    A parent's engine stays referenced in its children: nothing of it is torn down in a process that did not make it.
    """
    pid = os.getpid()
    found = _engines.get(pid)
    # setdefault is atomic, so two threads that race end with the same engine.
    return found if found is not None else _engines.setdefault(pid, wasmtime.Engine(_config()))


def component_engine() -> wasmtime.Engine:
    """This process's engine for components, by the same rules."""
    pid = os.getpid()
    found = _component_engines.get(pid)
    return found if found is not None else _component_engines.setdefault(pid, wasmtime.Engine(_component_config()))


def _config() -> wasmtime.Config:
    config = _shared_config()
    config.max_wasm_stack = STACK_BYTES
    config.wasm_component_model = False
    return config


def _component_config() -> wasmtime.Config:
    config = _shared_config()
    config.max_wasm_stack = COMPONENT_STACK_BYTES
    return config


def _shared_config() -> wasmtime.Config:
    config = wasmtime.Config()
    config.epoch_interruption = True
    # The thread pool of the parallel compiler does not survive a fork.
    config.parallel_compilation = False
    for feature in _OFF:
        setattr(config, feature, False)
    return config


@lru_cache(maxsize=1)
def configuration_key() -> str:
    """Names the native code target: engine version, our configurations, processor. 16 hexadecimal digits."""
    ours = f"{CONFIG_VERSION}.{COMPONENT_CONFIG_VERSION}"
    parts = (importlib.metadata.version("wasmtime"), ours, platform.machine(), _processor_features())
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _processor_features() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines():
        name, _, value = line.partition(":")
        if name.strip() in {"flags", "Features"}:
            return " ".join(sorted(value.split()))
    return ""
