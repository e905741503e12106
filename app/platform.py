"""What one process works with. Made by `wsgi.py`, `worker.py` and the command line; handed to every service."""

from dataclasses import dataclass

from app.broker import Waker
from app.database import Database
from app.settings import Settings


@dataclass(frozen=True)
class Platform:
    """Settings, the database, and the voice that wakes workers."""

    settings: Settings
    database: Database
    waker: Waker

    @classmethod
    def of(cls, settings: Settings, *, process: str) -> "Platform":
        """A platform that connects when it is first used, so it may be made before a fork."""
        database = Database(settings.database_url, application_name=f"kiln {process}")
        return cls(settings, database, Waker(settings.database_url))

    def close(self) -> None:
        """Close what this process has opened."""
        self.waker.close()
        self.database.dispose()
