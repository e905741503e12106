"""Plans of statements as the code sends them: recorded on their way, then prepared as psycopg does, and explained."""

import re
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import psycopg
from psycopg import pq, sql
from psycopg._queries import PostgresQuery
from psycopg.adapt import Transformer

#: PostgreSQL plans a prepared statement for its parameters at first, and later perhaps once for all.
Mode = Literal["custom", "generic"]


@dataclass(frozen=True)
class Statement:
    """What was sent."""

    text: str
    parameters: Mapping[str, Any]
    connection: "psycopg.Connection[Any]"
    """Which sent it: its settings are a part of the plan."""


class Recorder(psycopg.Cursor[Any]):
    """A cursor that remembers what is executed."""

    sent: ClassVar[list[Statement]] = []

    def execute(self, query: Any, params: Any = None, **kwargs: Any) -> "Recorder":
        """Remember, then execute. What threads send beside us is not meant."""
        if isinstance(query, str) and threading.current_thread() is threading.main_thread():
            self.sent.append(Statement(query, dict(params or {}), self.connection))
        super().execute(query, params, **kwargs)
        return self


class Plan:
    """A plan in PostgreSQL's own words."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self._plan = plan

    def __str__(self) -> str:
        words = ("Node Type", "Relation Name", "Index Name")
        return "\n".join(" ".join(node[word] for word in words if word in node) for node in self._nodes())

    @property
    def indexes(self) -> set[str]:
        """The indexes that it uses."""
        return {node["Index Name"] for node in self._nodes() if "Index Name" in node}

    @property
    def read_whole(self) -> set[str]:
        """The tables that it reads from one end to the other."""
        return {node["Relation Name"] for node in self._nodes() if node["Node Type"] == "Seq Scan"}

    def sorts(self, relation: str) -> bool:
        """Whether it sorts what it reads of a table, instead of reading it in order."""
        return any(
            below.get("Relation Name") == relation
            for node in self._nodes()
            if node["Node Type"] in {"Sort", "Incremental Sort"}
            for below in _inside(node)
        )

    def rows_read(self, relation: str) -> int:
        """How many rows of a table were looked at, passed over or not."""
        return sum(
            int(node["Actual Loops"] * (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)))
            for node in self._nodes()
            if node.get("Relation Name") == relation and "Scan" in node["Node Type"]
        )

    @property
    def blocks_read(self) -> int:
        """How many pages were looked at, in memory or not."""
        return int(self._plan["Shared Hit Blocks"] + self._plan["Shared Read Blocks"])

    def _nodes(self) -> Iterator[dict[str, Any]]:
        return _all(self._plan)


def _all(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", ()):
        yield from _all(child)


def _inside(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """What feeds a node; a CTE or a subquery that hangs on it is a plan of its own."""
    for child in node.get("Plans", ()):
        if child.get("Parent Relationship") not in {"InitPlan", "SubPlan"}:
            yield child
            yield from _inside(child)


def explain(
    statement: Statement, mode: Mode, *, on: "psycopg.Connection[Any] | None" = None, execute: bool = False
) -> Plan:
    """The plan of a statement, where it was sent or `on` another connection; `execute` runs it and takes it back."""
    connection = on or statement.connection
    query = PostgresQuery(Transformer(connection))
    query.convert(statement.text, statement.parameters)
    names = dict.fromkeys(re.findall(r"%\((\w+)\)s", statement.text))
    literals = sql.SQL(", ").join(sql.Literal(statement.parameters[name]) for name in names)
    options = "FORMAT JSON, ANALYZE, BUFFERS" if execute else "FORMAT JSON"
    with connection.transaction(force_rollback=True):
        connection.execute(f"SET LOCAL plan_cache_mode = force_{mode}_plan")
        with connection.lock:  # A thread renews leases through it.
            prepared = connection.pgconn.prepare(b"explained", query.query, query.types)
        assert prepared.status == pq.ExecStatus.COMMAND_OK, prepared.error_message
        arguments = sql.SQL("({})").format(literals) if names else sql.SQL("")
        explained = sql.SQL("EXPLAIN ({}) EXECUTE explained {}").format(sql.SQL(options), arguments)
        ((plan,),) = connection.execute(explained).fetchall()
        connection.execute("DEALLOCATE explained")
    return Plan(plan[0]["Plan"])
