"""The web process: waitress, which has read a request to its end before a thread takes it, so that a client that sends
half of one and waits holds a socket and nothing else.
"""

import logging
import signal
import socket
import time
from collections.abc import Callable
from typing import Any, Final

from flask import Flask
from waitress import wasyncore
from waitress.adjustments import Adjustments

from app.http.connections import Channel, Server

#: Sockets that may be open at a time; the next one takes the place of one without a request, or waits to be let in.
MOST_CONNECTIONS: Final = 1000

#: A client that says nothing for so long is let go; one that has not asked for anything yet, sooner.
SILENCE_SECONDS: Final = 30

#: The request line and all headers together.
LARGEST_HEAD_BYTES: Final = 24_576

#: Threads beside those that may wait for executions.
THREADS_TO_SPARE: Final = 16

#: Requests that run when the process is told to stop have this long to end by themselves; who waits for an execution
#: is then told that it goes on, and the rest has the remainder.
WAITING_ENDS_SECONDS: Final = 5.0
DRAIN_SECONDS: Final = 8.0


def _believing(proxy: str | None) -> dict[str, Any]:
    believed = {"trusted_proxy": proxy, "trusted_proxy_count": 1, "trusted_proxy_headers": {"x-forwarded-for"}}
    return {"clear_untrusted_proxy_headers": True, **(believed if proxy else {})}


def serve(
    app: Flask, *, host: str, port: int, waiters: int, end_waiting: Callable[[], None], proxy: str | None = None
) -> None:
    """Serve until SIGTERM or SIGINT, then finish what was begun. Raises OSError where the address cannot be had.

    `waiters` requests may wait at a time; `end_waiting` lets them go. What comes from the address `proxy` comes from
    whom its X-Forwarded-For names last; nobody else is believed that.
    """
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.create_server((host, port), family=family, backlog=1024)
    connections: dict[int, Any] = {}
    adjustments = Adjustments(
        sockets=[listening],
        threads=waiters + THREADS_TO_SPARE,
        connection_limit=MOST_CONNECTIONS,
        channel_timeout=SILENCE_SECONDS,
        cleanup_interval=1,
        max_request_body_size=app.config["MAX_CONTENT_LENGTH"],
        max_request_header_size=LARGEST_HEAD_BYTES,
        # Read to its end, so that closing the connection after a refusal does not take the refusal along.
        recv_bytes=65_536,
        asyncore_use_poll=True,
        ident="kiln",
        **_believing(proxy),
    )
    server = Server.on(listening, app, adjustments, connections)
    stopping = False

    def stop(_number: int, _frame: object) -> None:
        nonlocal stopping
        stopping = True
        server.pull_trigger()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)

    def turn(seconds: float) -> None:
        wasyncore.loop(timeout=seconds, use_poll=True, map=connections, count=1)

    while not stopping:
        turn(1)
    server.accepting = False
    server.del_channel(connections)
    server.socket.close()
    began, waiting = time.monotonic(), True
    while _unanswered(connections) and time.monotonic() < began + DRAIN_SECONDS:
        if waiting and time.monotonic() >= began + WAITING_ENDS_SECONDS:
            end_waiting()
            waiting = False
        turn(0.05)


def _unanswered(connections: dict[int, Any]) -> bool:
    channels = [one for one in connections.values() if isinstance(one, Channel)]
    return any(channel.is_answered for channel in channels)
