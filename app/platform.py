"""What one process works with. Made by `wsgi.py`, `worker.py` and the command line; handed to every service."""

from dataclasses import dataclass
from pathlib import Path

from app.database import Database
from app.settings import Settings


@dataclass(frozen=True)
class Platform:
    """Settings and the database."""

    settings: Settings
    database: Database

    @classmethod
    def of(cls, settings: Settings, *, process: str) -> "Platform":
        """A platform that connects when it is first used, so it may be made before a fork."""
        return cls(settings, Database(settings.database_url, application_name=f"kiln {process}"))

    @property
    def toolchains(self) -> Path:
        """Where this machine keeps what all compilations share."""
        return self.settings.home / "toolchains"

    def close(self) -> None:
        """Close what this process has opened."""
        self.database.dispose()
