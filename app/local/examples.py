"""The example functions, registered once for each database, and the `curl` line that calls one of them."""

import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.addresses import fingerprint


@dataclass(frozen=True)
class Example:
    """A registered example and an input that it understands."""

    name: str
    id: str
    input: Any


class ExampleRecord:
    """`home/examples.json`: which examples were registered in which database, so that it happens only once."""

    def __init__(self, home: Path, database_url: str) -> None:
        self._path = home / "examples.json"
        self._database = fingerprint(database_url)

    def read(self) -> list[Example] | None:
        """What was registered in this database; None before that."""
        try:
            record = json.loads(self._path.read_text())
            if record["database"] == self._database:
                return [Example(**row) for row in record["examples"]]
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None
        return None

    def write(self, printed: str) -> list[Example]:
        """Keep what the registering command printed: a JSON object a line with `name`, `id` and `input`; other lines
        are passed over."""
        rows = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
        examples = [Example(row["name"], row["id"], row.get("input", {})) for row in rows]
        kept = {"database": self._database, "examples": [vars(example) for example in examples]}
        self._path.write_text(json.dumps(kept, indent=1))
        return examples


def curl_line(base_url: str, examples: list[Example], key: str | None) -> str:
    """A command that calls the friendliest example with an API key; empty when there is none."""
    chosen = next((example for example in examples if "greet" in example.name), examples[0] if examples else None)
    if chosen is None:
        return ""
    url = f"{base_url}/functions/{chosen.id}/execute"
    body = shlex.quote(json.dumps({"input": chosen.input}, separators=(",", ":")))
    authorization = shlex.quote(f"Authorization: Bearer {key}") if key else '"Authorization: Bearer $KILN_KEY"'
    return f"curl -s -X POST {url} -H {authorization} -H 'Content-Type: application/json' -d {body}"
