"""What a function may ask of Kiln: to fail with a message, to log, to know its execution.

Imports of the module `kiln`, for every shape:

| import | meaning |
|---|---|
| `fail(ptr: i32, len: i32)` | ends the execution as FUNCTION_ERROR with this UTF-8 message; does not return |
| `log(level: i32, ptr: i32, len: i32)` | one line for the log; 0 debug, 1 info, 2 warning, 3 error |
| `context(ptr: i32, capacity: i32) -> i32` | writes the context as JSON if it fits, returns its whole length in bytes |

A last line of `fail`'s message that is only a place, like `source.js:3:9`, is told as the error's location instead.
"""

from app.wasm.guest import Ended, Guest
from app.wasm.limits import MESSAGE_CHARACTERS
from app.wasm.linking import HostFunction
from app.wasm.outcome import Failure, Verdict, with_place


def fail(guest: Guest, pointer: int, length: int) -> None:
    """Ends the guest with its own message."""
    text = guest.text(pointer, length, MESSAGE_CHARACTERS * 4)
    message, location = with_place(text)
    raise Ended(Verdict(Failure.FUNCTION_ERROR, message or "The function failed.", location))


def log(guest: Guest, level: int, pointer: int, length: int) -> None:
    """Keeps one line."""
    guest.log.line(guest.text(pointer, length, guest.log.room_bytes), level)


def context(guest: Guest, pointer: int, capacity: int) -> int:
    """Tells the guest of its execution."""
    text = guest.context_json
    if len(text) <= capacity:
        guest.write(pointer, text)
    return len(text)


_FUNCTIONS = (
    ("fail", "i32 i32 ->", fail),
    ("log", "i32 i32 i32 ->", log),
    ("context", "i32 i32 -> i32", context),
)

KILN = tuple(HostFunction.of("kiln", name, signature, call) for name, signature, call in _FUNCTIONS)
