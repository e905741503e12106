"""Runs one WebAssembly function: module and JSON text in, `Outcome` out.

This package owns the engine and its configuration, the shapes of module that are accepted, the host functions that a
guest may call, the limits that hold it, and the native code made from a module. It knows nothing of functions,
versions, queues or databases. A guest that misbehaves is data (`Outcome.failure`); only the platform's own faults
raise, and then a `WasmError`.
"""
