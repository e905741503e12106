"""Runs the migrations: one at a time however many start together, each in a transaction, none waiting long for a lock.

The advisory lock serialises starters. `lock_timeout` keeps a migration from queueing behind a long reader with every
later query behind itself.
"""

import os

from alembic import context
from sqlalchemy import create_engine, text

from app.settings import load_settings
from app.tables import metadata

#: Any number will do, as long as nothing else takes it: the bytes of "kiln".
MIGRATION_LOCK = 0x6B696C6E


def run() -> None:
    """Bring the database to the asked revision."""
    url = context.config.get_main_option("sqlalchemy.url") or load_settings(os.environ).database_url
    engine = create_engine("postgresql+psycopg" + url.removeprefix("postgresql"))
    with engine.connect() as connection:
        connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": MIGRATION_LOCK})
        connection.execute(text("SET lock_timeout = '4s'"))
        connection.execute(text("SET statement_timeout = '60s'"))
        connection.commit()
        context.configure(connection=connection, target_metadata=metadata, transaction_per_migration=True)
        with context.begin_transaction():
            context.run_migrations()
        connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": MIGRATION_LOCK})
        connection.commit()
    engine.dispose()


def print_sql() -> None:
    """`--sql`: print the statements without connecting."""
    context.configure(dialect_name="postgresql", target_metadata=metadata, literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()


if context.is_offline_mode():
    print_sql()
else:
    run()
