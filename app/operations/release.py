"""`python -m app.operations.release`: what a new release does once, before its processes start: the schema, and the
first administrator where nobody is there yet.
"""

import os
from pathlib import Path

from alembic import command
from alembic.config import Config

from app.accounts import first
from app.logs import configure_logs
from app.operations import service
from app.platform import Platform
from app.settings import Settings, load_settings

_CONFIGURATION = Path(__file__).resolve().parents[2] / "migrations" / "alembic.ini"


def bring_up(settings: Settings) -> None:
    """Bring the database up to date."""
    configuration = Config(_CONFIGURATION)
    configuration.set_main_option("sqlalchemy.url", settings.database_url.replace("%", "%%"))
    command.upgrade(configuration, "head")
    platform = Platform.of(settings, process="release")
    try:
        service.warn_of_superuser(platform)
        if made := first.ensure(platform):
            print(f"The first administrator is {made.email}; what lets them in is in {settings.home}.")
    finally:
        platform.close()


if __name__ == "__main__":
    loaded = load_settings(os.environ)
    configure_logs(loaded.log_level, process="release")
    bring_up(loaded)
