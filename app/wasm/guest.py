"""One execution seen from the host: its memory, its streams, its deadline."""

import ctypes
import json
import time
from collections.abc import Mapping
from functools import cached_property

import wasmtime

from app.wasm import exports
from app.wasm.limits import Limits
from app.wasm.log import Log
from app.wasm.outcome import Failure, Verdict
from app.wasm.progress import Reported

_U32 = 0xFFFF_FFFF


class Ended(Exception):
    """The guest ended and has no output; thrown through its frames by host functions."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(verdict.message)
        self.verdict = verdict


class Exited(Exception):
    """The guest called exit; `code` is signed."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Guest:
    """What one execution may see and has said. Made for one run and dropped with it, never shared.

    Every pointer of the guest is hostile: it is taken as unsigned, checked against the present size of memory in
    integers that cannot wrap, and what it names is copied once.
    """

    def __init__(
        self,
        store: wasmtime.Store,
        limits: Limits,
        context: Mapping[str, object],
        environment: Mapping[str, str],
        reported: Reported,
    ) -> None:
        self.store = store
        self.limits = limits
        self.environment = environment
        self.memory: wasmtime.Memory | None = None
        self.instance: wasmtime.Instance | None = None
        self.log = Log(limits.log_bytes, reported)
        self.source = ""
        self.stdin = b""
        self.stdin_read = 0
        self.stdout: bytearray | None = None
        self.timers: dict[str, float] = {}
        self.aborted: Verdict | None = None
        """What the guest's runtime said just before it trapped."""
        self.started = time.monotonic()
        self._limit = self.started + limits.timeout_ms / 1000
        self.deadline = self._limit
        if limits.patience_ms is not None:
            self.deadline = min(self._limit, self.started + limits.patience_ms / 1000)
        self._context = context
        self._within: wasmtime.Store | wasmtime.Caller = store

    @cached_property
    def context_json(self) -> bytes:
        """What the function may know of its execution; `deadlineMs` is Unix time in milliseconds."""
        left = self._limit - time.monotonic()
        known = {"deadlineMs": int((time.time() + left) * 1000), **self._context}
        return json.dumps(known, separators=(",", ":"), default=str).encode()

    @property
    def environment_json(self) -> str:
        """Its variables, as an object of strings."""
        return json.dumps(dict(self.environment), ensure_ascii=False, separators=(",", ":"))

    def enter(self, caller: wasmtime.Caller) -> None:
        """A host function was called: until it returns, memory is reached through `caller`."""
        self._within = caller
        if self.memory is None:
            memory = caller.get("memory")
            self.memory = memory if isinstance(memory, wasmtime.Memory) else None

    def call(self, instance: wasmtime.Instance, name: str, *parameters: int) -> int:
        """Calls an exported function of the guest."""
        try:
            return exports.call(self.store, instance, name, *parameters)
        finally:
            self.leave()

    def start(self, instance: wasmtime.Instance, name: str) -> None:
        """Calls one that takes and returns nothing."""
        try:
            exports.start(self.store, instance, name)
        finally:
            self.leave()

    def leave(self) -> None:
        """No host function is running any more."""
        self._within = self.store

    @property
    def memory_bytes(self) -> int:
        """The present size of linear memory, which is also its peak: it cannot shrink."""
        return 0 if self.memory is None else self.memory.data_len(self._within)

    def read(self, pointer: int, length: int) -> bytes:
        """A copy of `length` bytes at `pointer`; raises `Ended` where they are not in memory."""
        address = self._address(pointer, length)
        return ctypes.string_at(address, length & _U32) if length else b""

    def write(self, pointer: int, data: bytes) -> None:
        """Writes `data` at `pointer`; raises `Ended` where it does not fit in memory."""
        address = self._address(pointer, len(data))
        if data:
            ctypes.memmove(address, data, len(data))

    def check(self, pointer: int, length: int) -> None:
        """Raises `Ended` unless `length` bytes at `pointer` are in memory."""
        self._address(pointer, length)

    def read_u32(self, pointer: int) -> int:
        """The little-endian number at `pointer`."""
        return int.from_bytes(self.read(pointer, 4), "little")

    def write_u32(self, pointer: int, value: int) -> None:
        """Writes a little-endian number at `pointer`."""
        self.write(pointer, (value & _U32).to_bytes(4, "little"))

    def write_u64(self, pointer: int, value: int) -> None:
        """Writes a little-endian number at `pointer`."""
        self.write(pointer, value.to_bytes(8, "little"))

    def text(self, pointer: int, length: int, most: int) -> str:
        """At most `most` bytes of UTF-8 at `pointer`, with what is not UTF-8 replaced."""
        self.check(pointer, length)
        return self.read(pointer, min(length & _U32, most)).decode(errors="replace")

    def utf16(self, pointer: int, most: int) -> str:
        """At most `most` bytes of the AssemblyScript string at `pointer`, whose length stands before it."""
        if not pointer & _U32:
            return ""
        length = self.read_u32((pointer & _U32) - 4)
        self.check(pointer, length)
        return self.read(pointer, min(length, most) & ~1).decode("utf-16-le", errors="replace")

    def sleep(self, seconds: float) -> None:
        """Sleeps, but never past the deadline: epochs do not interrupt a host call."""
        left = self.deadline - time.monotonic()
        time.sleep(max(0.0, min(seconds, left)))
        if seconds >= left:
            raise timed_out(self.limits)

    def _address(self, pointer: int, length: int) -> int:
        pointer, length = pointer & _U32, length & _U32
        if self.memory is None or pointer + length > self.memory.data_len(self._within):
            raise bad_pointer(pointer, length)
        return ctypes.addressof(self.memory.data_ptr(self._within).contents) + pointer


def bad_pointer(pointer: int, length: int) -> Ended:
    """TRAP for bytes that are not in the guest's memory."""
    return Ended(Verdict(Failure.TRAP, f"bad pointer: {length} bytes at {pointer} are outside of the memory"))


def timed_out(limits: Limits) -> Ended:
    """TIMEOUT at the limit."""
    return Ended(Verdict(Failure.TIMEOUT, f"The function was stopped at its limit of {limits.timeout_ms} ms."))
