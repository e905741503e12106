"""Where a connection leads: libpq's parameters out of what kombu was told."""

from typing import Any

from psycopg.conninfo import conninfo_to_dict, make_conninfo

#: As kombu calls them, and as libpq does.
_PARTS = {"hostname": "host", "port": "port", "userid": "user", "password": "password", "virtual_host": "dbname"}


def address_of(client: Any) -> str:
    """The connection string for a `kombu.Connection`: of its URL, or of its parts where it was given those, as it also
    does itself with each URL of a list but the first. `ssl` is true or libpq's own parameters, such as ``sslmode``.
    """
    url = client.hostname or ""
    told = conninfo_to_dict(url) if "://" in url else _told_in_parts(client)
    told.setdefault("connect_timeout", max(2, round(client.connect_timeout or 5)))
    if client.ssl:
        told |= client.ssl if isinstance(client.ssl, dict) else {"sslmode": "require"}
    return make_conninfo(**told)


def _told_in_parts(client: Any) -> dict[str, Any]:
    told = {ours: getattr(client, theirs) for theirs, ours in _PARTS.items()}
    told["dbname"] = (told["dbname"] or "").strip("/")
    return {name: value for name, value in told.items() if value}
