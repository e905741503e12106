"""Publishing with many connections at a time: our statement beside a plain INSERT of the same row, by pgbench."""

import json
import os
import re
import subprocess
import tempfile
from pathlib import Path

import psycopg

from app.broker.publishing_statements import PUBLISH
from app.local.binaries import binaries_directory

SECONDS = 5

PLAIN = "INSERT INTO broker.messages (queue, priority, payload) VALUES ('bench', 0, '{payload}');"

#: What every publisher would do without asking who sleeps.
ALWAYS = f'{PLAIN}\nNOTIFY "broker.bench";'

PAYLOAD = json.dumps({"body": "x" * 600, "headers": {}, "properties": {}})


def rates(url: str, *, clients: int) -> dict[str, float]:
    """Transactions a second of each way, by its name. A busy worker is announced, as under load there is."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("TRUNCATE broker.messages")
        connection.execute(
            "INSERT INTO broker.consumers (name, queues, idle) VALUES ('busy', '{bench}', false) "
            "ON CONFLICT (name) DO UPDATE SET idle = false"
        )
        found = {
            "plain INSERT": _run(url, clients, PLAIN.format(payload=PAYLOAD)),
            "publish": _run(url, clients, _as_script(PUBLISH)),
            "INSERT and NOTIFY always": _run(url, clients, f"BEGIN;\n{ALWAYS.format(payload=PAYLOAD)}\nCOMMIT;"),
        }
        connection.execute("TRUNCATE broker.messages")
        connection.execute("DELETE FROM broker.consumers WHERE name = 'busy'")
    return found


def _as_script(statement: str) -> str:
    values = {
        "queue": "'bench'",
        "channel": "'broker.bench'",
        "priority": "0",
        "lane": "NULL",
        "head": "0",
        "delay": "interval '0'",
        "ttl": "NULL::interval",
        "undeclared_ttl": "NULL::interval",
        "function_id": "NULL",
        "execution_id": "NULL",
        "payload": f"'{PAYLOAD}'",
    }
    text = re.sub(r"%\((\w+)\)s", lambda match: values[match[1]], statement)
    return " ".join(text.split()) + ";"


def _run(url: str, clients: int, script: str) -> float:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "script.sql"
        path.write_text(script)
        command = [str(binaries_directory() / "pgbench"), "--no-vacuum", "--protocol", "prepared", "--file", str(path)]
        command += ["--client", str(clients), "--jobs", "2", "--time", str(SECONDS), url]
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ | {"PGTZ": "UTC"})
    match = re.search(r"^tps = ([\d.]+)", done.stdout, re.MULTILINE)
    if match is None:
        raise RuntimeError(done.stdout + done.stderr)
    return float(match[1])
