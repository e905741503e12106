"""Exchanges that are a log: what is published to them is appended once and kept, and every reader reads on from its own
place. Celery's events go this way (exchange ``celeryev``), so that history outlives whoever watches it.

They are written in batches, each with a number that is told to the readers, so that a reader reads each batch once.
"""

import json
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Iterable
from typing import Any, Final

import psycopg

from app.broker.link import SESSION_OPTIONS, Link, channel_of

log = logging.getLogger(__name__)

#: Events of one process are written at most so often, many at a time.
FLUSH_SECONDS: Final = 0.05

#: What waits while the database is away; beyond it the oldest are dropped, for events are no work.
MOST_WAITING: Final = 20_000

#: One writing takes at most so many messages, each of one event or of some; it makes batches of at most so many events.
MESSAGES: Final = 1_000
BATCH: Final = 1_000

#: What is an event's own fault, however often it is tried: it is no JSON, it has no type, or its parts are too large.
REFUSALS: Final = (
    psycopg.DataError,
    psycopg.IntegrityError,
    psycopg.errors.ProgramLimitExceeded,
    psycopg.errors.StatementTooComplex,
)

#: How long after a batch with a higher number one with a lower may still appear: numbers are given before the commit.
LATENESS_SECONDS: Final = 1.0

#: How often a reader looks for batches that no notification told it of.
LOOK_SECONDS: Final = 5.0

#: Batches of one reading.
PAGE: Final = 8

#: Its type and its JSON text.
Event = tuple[str, str]

#: Append events in batches, and tell their numbers to whoever reads.
APPEND = """
WITH happened AS (
    SELECT event, (number - 1) / %(batch)s AS turn, (number - 1) %% %(batch)s AS place
    FROM json_array_elements(broker.readable(%(events)s::json)) WITH ORDINALITY AS listed (event, number)
), batch AS (
    SELECT turn, nextval('broker.event_batches') AS number
    FROM (SELECT DISTINCT turn FROM happened ORDER BY turn) AS turns
), kept AS (
    INSERT INTO broker.events (id, type, worker, task_id, event)
    SELECT number << 16 | place, event ->> 'type', event ->> 'hostname', event ->> 'uuid', event
    FROM happened JOIN batch USING (turn)
)
SELECT pg_notify(%(channel)s, number::text) FROM batch
WHERE EXISTS (SELECT FROM broker.bindings WHERE exchange = %(exchange)s)
"""

#: The batches beyond a place. Readers are live: what is older than a minute is history, and for others to read.
BATCHES = """
SELECT DISTINCT id >> 16 FROM broker.events
WHERE id >= (%(after)s::bigint + 1) << 16 AND kept_at > now() - interval '1 minute'
ORDER BY 1
"""

#: What fits a pattern in some batches.
READ = """
SELECT type, event::text
FROM unnest(%(batches)s::bigint[]) WITH ORDINALITY AS batch (number, turn)
CROSS JOIN LATERAL (
    SELECT id, type, event FROM broker.events
    WHERE id >= number << 16 AND id < (number + 1) << 16 AND kept_at > now() - interval '1 minute'
      AND replace(type, '-', '.') ~ %(pattern)s
) AS found
ORDER BY turn, id
"""

END = "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM broker.event_batches"


class EventWriter:
    """A thread with a connection that appends what a process publishes to one exchange. Events that were not written
    when the process is killed are lost.
    """

    def __init__(self, url: str, exchange: str) -> None:
        self._url, self._exchange = url, exchange
        self._waiting: deque[str] = deque(maxlen=MOST_WAITING)
        self._asked = threading.Event()
        self._pid = 0
        self._thread: threading.Thread | None = None
        self._closed = False

    def append(self, body: str) -> None:
        """Keep an event, or a list of events, given as JSON text; returns at once."""
        events = body[1:-1] if body.startswith("[") else body
        if not events:
            return
        self._waiting.append(events)
        if self._pid != os.getpid():
            self._pid, self._asked = os.getpid(), threading.Event()
            self._thread = threading.Thread(target=self._run, name="event-writer", daemon=True)
            self._thread.start()
        self._asked.set()

    def close(self) -> None:
        """Write what waits, for at most two seconds, and end the thread."""
        self._closed = True
        self._asked.set()
        if self._thread is not None and self._pid == os.getpid():
            self._thread.join(timeout=2)

    def _run(self) -> None:
        connection: psycopg.Connection[Any] | None = None
        while not self._closed or self._waiting:
            self._asked.wait()
            self._asked.clear()
            messages = [self._waiting.popleft() for _ in range(min(len(self._waiting), MESSAGES))]
            try:
                connection = connection or self._connect()
                if messages:
                    self._write(connection, messages)
            except psycopg.Error:
                log.warning("events not written yet", exc_info=True)
                self._waiting.extendleft(reversed(messages))
                connection = None
                if self._closed:
                    return
                time.sleep(1)
            if self._waiting:
                self._asked.set()
            if not self._closed:
                time.sleep(FLUSH_SECONDS)
        if connection is not None:
            connection.close()

    def _write(self, connection: "psycopg.Connection[Any]", messages: list[str]) -> None:
        """Append what messages tell of; where something is refused, in smaller parts, until it is dropped alone."""
        text = f"[{','.join(messages)}]".encode(errors="backslashreplace").decode()
        address = {"exchange": self._exchange, "channel": channel_of(self._exchange)}
        try:
            connection.execute(APPEND, address | {"events": text, "batch": BATCH})
        except REFUSALS:
            parts = messages if len(messages) > 1 else _events_of(messages[0])
            if len(parts) == 1:
                log.exception("event.dropped")
                return
            for half in (parts[: len(parts) // 2], parts[len(parts) // 2 :]):
                self._write(connection, half)

    def _connect(self) -> "psycopg.Connection[Any]":
        # An event that a crash of the server takes along is no loss worth a flush to disk.
        return psycopg.connect(
            self._url,
            autocommit=True,
            application_name="kiln event writer",
            options=f"{SESSION_OPTIONS} -c synchronous_commit=off",
            connect_timeout=5,
        )


def _events_of(message: str) -> list[str]:
    """Each event of a message by itself, or the message where it is no JSON."""
    try:
        return [json.dumps(event) for event in json.loads(f"[{message}]")]
    except (ValueError, RecursionError):
        return [message]


class EventReader:
    """A place in the log, from which one queue reads on what fits its binding's pattern."""

    def __init__(self, link: Link, pattern: str) -> None:
        self._pattern = pattern
        row = link.execute(END).fetchone()
        self._after = int(row[0]) if row else 0
        self._seen: dict[int, float] = {}
        self._unread: deque[int] = deque()
        self._look_at = 0.0

    def told(self, batches: Iterable[str]) -> None:
        """These were appended, as their notifications say."""
        self._note(int(number) for number in batches if number.isdecimal())

    def read(self, link: Link) -> tuple[list[Event], bool]:
        """The next events, and whether there may be more."""
        if time.monotonic() >= self._look_at:
            self._look(link)
        batches = [self._unread.popleft() for _ in range(min(len(self._unread), PAGE))]
        if not batches:
            return [], False
        events = link.execute(READ, {"batches": batches, "pattern": self._pattern}).fetchall()
        return events, bool(self._unread)

    def _look(self, link: Link) -> None:
        now = time.monotonic()
        self._look_at = now + LOOK_SECONDS
        self._note(number for (number,) in link.execute(BATCHES, {"after": self._after}))
        settled = [number for number, seen_at in self._seen.items() if seen_at < now - LATENESS_SECONDS]
        if settled:
            self._after = max(self._after, *settled)
            self._seen = {number: at for number, at in self._seen.items() if number > self._after}

    def _note(self, batches: Iterable[int]) -> None:
        now = time.monotonic()
        for number in batches:
            if number > self._after and number not in self._seen:
                self._seen[number] = now
                self._unread.append(number)
