"""`psql` of the wheel at Kiln's database, wherever that is."""

import os
from collections.abc import Mapping, Sequence
from typing import NoReturn

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from app.addresses import socket_path
from app.local.binaries import binaries_directory
from app.local.errors import DatabaseUnreachable, StepFailed
from app.settings import Settings


def run_psql(settings: Settings, arguments: Sequence[str], environ: Mapping[str, str]) -> NoReturn:
    """Become psql. The password goes through the environment, since other users can read a command line."""
    if settings.embedded and not socket_path(settings.home).exists():
        raise StepFailed(f"No embedded server runs on {settings.home}. Start it with `make up`.")
    try:
        known = conninfo_to_dict(settings.database_url)
    except psycopg.Error as error:
        raise DatabaseUnreachable(str(error)) from error
    environment = dict(environ)
    if password := known.pop("password", None):
        environment["PGPASSWORD"] = str(password)
    program = str(binaries_directory() / "psql")
    command = [program, "-d", make_conninfo("", **{name: str(value) for name, value in known.items()}), *arguments]
    os.execve(program, command, environment)  # noqa: S606 - no shell is wanted
