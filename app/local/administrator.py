"""What lets the first administrator in, as the release has kept it for people and programs of this machine."""

import json
from dataclasses import dataclass
from pathlib import Path

from app.addresses import fingerprint


@dataclass(frozen=True)
class Administrator:
    """`password` is there only where nobody else has chosen it."""

    email: str
    password: str | None
    key: str


def administrator_of(home: Path, database_url: str) -> Administrator | None:
    """The first administrator of a database, if it was made from this home."""
    try:
        kept = json.loads((home / "administrator.json").read_text())
        if kept.pop("database") == fingerprint(database_url):
            return Administrator(**kept)
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    return None
