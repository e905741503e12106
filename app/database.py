"""The way to PostgreSQL: one engine per process, transactions, and single statements that are their own transaction."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, MetaData, create_engine
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import DeclarativeBase, Session

from app.broker.link import PLANNING

#: Constraint names are derived, so that a migration can name what it changes.
NAMING_CONVENTION = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}

#: No transaction of ours is ever idle for long: one that is would keep every queue's dead rows alive. Nothing is read
#: from end to end: a queue that is empty while a plan is made may hold a million messages when it is used.
SESSION_OPTIONS = " ".join(
    (
        "-c idle_in_transaction_session_timeout=10s",
        "-c statement_timeout=60s",
        "-c timezone=UTC",
        "-c enable_seqscan=off",
        "-c jit=off",
    )
)

#: A worker's statements look up what they have the keys of, as the broker's do.
WORKER_OPTIONS = SESSION_OPTIONS + PLANNING


class Base(DeclarativeBase):
    """The base of every table."""

    metadata = MetaData(naming_convention=NAMING_CONVENTION)


class Database:
    """Connections to one PostgreSQL, at most `pool_size`, so nobody takes a second one while holding one.

    Safe to create before a fork: the engine is made by the process that first uses it.
    """

    def __init__(
        self, url: str, *, application_name: str = "kiln", pool_size: int = 10, options: str = SESSION_OPTIONS
    ) -> None:
        self.url = url
        self._options = options
        self._application_name = application_name
        self._pool_size = pool_size
        self._engines: dict[int, Engine] = {}

    @property
    def engine(self) -> Engine:
        """This process's engine; one inherited through a fork is dropped without touching its sockets."""
        pid = os.getpid()
        engine = self._engines.get(pid)
        if engine is None:
            self._drop_inherited()
            # Of threads that come at the same moment one's is kept. The others' have no connections yet.
            engine = self._engines.setdefault(pid, self._create_engine())
        return engine

    def _drop_inherited(self) -> None:
        for pid in [other for other in list(self._engines) if other != os.getpid()]:
            inherited = self._engines.pop(pid, None)
            if inherited is not None:
                inherited.dispose(close=False)

    def _create_engine(self) -> Engine:
        connect_args: dict[str, Any] = {
            "application_name": self._application_name,
            "options": self._options,
            "connect_timeout": 5,
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            # A peer that vanished without a word is an error after this, and not after a quarter of an hour.
            "tcp_user_timeout": 15_000,
        }
        return create_engine(
            "postgresql+psycopg" + self.url.removeprefix("postgresql"),
            # The hot path is made of single statements; switching is left to those who want a transaction.
            isolation_level="AUTOCOMMIT",
            # A connection beyond the pool would be made for one statement, which costs PostgreSQL more than thirty of
            # them and comes when it has most to do; so whoever finds none free waits, for a statement or two.
            pool_size=self._pool_size,
            max_overflow=0,
            pool_use_lifo=True,
            pool_timeout=10,
            connect_args=connect_args,
            # What authors and callers send does not belong into logs.
            hide_parameters=True,
        )

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """A session whose work is committed at the end of the block, or rolled back by an exception."""
        engine = self.engine.execution_options(isolation_level="READ COMMITTED")
        with Session(engine, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session that only reads: every statement is a transaction of its own, as with `statement`."""
        with Session(self.engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def statement(self) -> Iterator[Connection]:
        """A connection on which every statement is a transaction of its own: one round trip instead of three."""
        with self.engine.connect() as connection:
            yield connection

    def dispose(self) -> None:
        """Close the idle connections of this process."""
        engine = self._engines.pop(os.getpid(), None)
        if engine is not None:
            engine.dispose()


__all__ = ["Base", "Database", "OperationalError"]
