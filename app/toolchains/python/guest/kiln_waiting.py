"""An event loop that waits for time only: there are no files and no sockets to wait for."""

import asyncio
import time


class _Selector:
    def select(self, timeout: float | None) -> list[object]:
        """Let the time pass until the next task is due."""
        if timeout is None:
            raise RuntimeError("the function awaits what never happens")
        if timeout > 0:
            time.sleep(timeout)
        return []

    def close(self) -> None:
        """There is nothing to close."""


class Loop(asyncio.BaseEventLoop):
    """The loop of `async def handle` and of `asyncio.run`."""

    def __init__(self) -> None:
        super().__init__()
        self._selector = _Selector()

    def _process_events(self, event_list: list[object]) -> None:
        """Nothing happens but time."""

    def _write_to_self(self) -> None:
        """There is no other thread that this could wake."""


def install() -> None:
    """Make it the loop that asyncio makes."""
    asyncio.new_event_loop = asyncio.events.new_event_loop = Loop
