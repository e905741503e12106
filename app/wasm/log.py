"""What is kept of what a guest printed."""

from app.wasm.progress import Reported

TAIL_BYTES = 16_384
_PREFIX = {0: "debug: ", 1: "", 2: "warning: ", 3: "error: "}


class Log:
    """The first `limit_bytes` that a guest printed, and the end of its standard error to tell why it failed."""

    __slots__ = ("_cut", "_kept", "_limit_bytes", "_reported", "_tail")

    def __init__(self, limit_bytes: int, reported: Reported) -> None:
        self._reported = reported
        self._kept = bytearray()
        self._tail = bytearray()
        self._limit_bytes = limit_bytes
        self._cut = False

    @property
    def room_bytes(self) -> int:
        """How much of the next piece is worth copying out of the guest."""
        return max(self._limit_bytes - len(self._kept), TAIL_BYTES)

    def write(self, piece: bytes, *, length: int | None = None, is_error: bool = False) -> None:
        """Keeps what fits of `piece`, which stands for `length` bytes that the guest wrote."""
        self._reported.read(piece)
        room = self._limit_bytes - len(self._kept)
        self._kept += piece[:room]
        if (len(piece) if length is None else length) > room:
            self._cut = True
        if is_error:
            self._tail += piece[-TAIL_BYTES:]
            del self._tail[:-TAIL_BYTES]

    def line(self, text: str, level: int = 1) -> None:
        """Keeps `text` as a line of its own; `level` is 0 debug, 1 info, 2 warning, 3 error."""
        line = f"{_PREFIX.get(level, '')}{text}\n"
        self.write(line.encode(errors="replace"))

    def tail(self) -> str:
        """The last bytes of standard error."""
        return self._tail.decode(errors="replace")

    def text(self) -> str:
        """All that is kept, with a marker where it was cut, and without NUL, which PostgreSQL text cannot hold."""
        text = self._kept.decode(errors="replace").replace("\0", "\N{REPLACEMENT CHARACTER}")
        return f"{text}\n[log cut at {self._limit_bytes} bytes]\n" if self._cut else text
