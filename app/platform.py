"""What one process works with. Made by `wsgi.py`, `worker.py` and the command line; handed to every service."""

from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from app.broker import Bounds
from app.counting import Counts
from app.database import SESSION_OPTIONS, Database
from app.settings import Settings


@dataclass(frozen=True)
class Platform:
    """Settings, the database, and what a process has learned of it."""

    settings: Settings
    database: Database
    heads: Bounds = field(default_factory=Bounds)
    """Where the queues begin."""
    urgent: Bounds = field(default_factory=Bounds)
    """Where what is more urgent than a priority may begin."""
    counts: Counts = field(default_factory=Counts)
    """How much waits."""
    limited: set[UUID] = field(default_factory=set)
    """Functions that are known to have had limits: the statement that looks for those is asked first."""

    @classmethod
    def of(cls, settings: Settings, *, process: str, options: str = SESSION_OPTIONS) -> "Platform":
        """A platform that connects when it is first used, so it may be made before a fork. `options` are those of its
        sessions, as libpq has them.
        """
        return cls(settings, Database(settings.database_url, application_name=f"kiln {process}", options=options))

    @property
    def toolchains(self) -> Path:
        """Where this machine keeps what all compilations share."""
        return self.settings.home / "toolchains"

    def close(self) -> None:
        """Close what this process has opened."""
        self.database.dispose()
