"""The environment, read once into one frozen `Settings`.

`wsgi.py`, `worker.py`, the migrations and the command line call `load_settings(os.environ)`; nothing else reads the
environment.
Each field below is one setting: its variable, its default, its parser and its sentence. `docs/settings.md` is checked
against them.
"""

import base64
import os
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from app.addresses import embedded_url
from app.providers import LOOPBACK, Provider, is_protected, read_providers

PREFIX = "KILN_"

#: What an e-mail address looks like: who may have it is for those to say who deliver to it.
EMAIL = re.compile(r"[^@\s\x00-\x1f]{1,64}@[^@\s\x00-\x1f]{1,189}")

ANY_HOST = frozenset({"*"})


_MASTER_KEY_BYTES = 32


class InvalidSettings(Exception):
    """The environment holds a setting that Kiln cannot honour."""


def _text(value: str) -> str:
    return value


def _switch(value: str) -> bool:
    if value not in {"true", "false"}:
        raise ValueError("is either true or false")
    return value == "true"


def _whole(least: int, most: int) -> Callable[[str], int]:
    def parse(value: str) -> int:
        if not value.isdecimal() or not least <= int(value) <= most:
            raise ValueError(f"is a whole number from {least} to {most}")
        return int(value)

    return parse


def _one_of(*choices: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if value not in choices:
            raise ValueError(f"is one of {', '.join(choices)}")
        return value

    return parse


def _home(value: str) -> Path:
    return Path(value).expanduser().absolute()


def _database(value: str) -> str:
    if not value.startswith(("postgresql://", "postgres://")):
        raise ValueError("begins with postgresql://")
    return "postgresql://" + value.partition("://")[2]


def _public_url(value: str) -> str:
    if not re.fullmatch(r"https?://[^/\s?#@]+/?", value):
        raise ValueError("is a scheme, http or https, and a host, and no more")
    return value.rstrip("/")


def _address(value: str) -> str:
    try:
        return str(ip_address(value))
    except ValueError:
        raise ValueError("is an address of IPv4 or IPv6") from None


def _email(value: str) -> str:
    if not EMAIL.fullmatch(value):
        raise ValueError("is an e-mail address")
    return value.lower()


def _names(value: str) -> frozenset[str]:
    return frozenset(name.strip().lower() for name in value.split(",") if name.strip())


def _key(value: str) -> bytes:
    if len(value) < 32:
        raise ValueError("has at least 32 characters")
    return value.encode()


def _master_keys(value: str) -> tuple[bytes, ...]:
    try:
        keys = tuple(base64.b64decode(one.strip(), validate=True) for one in value.split(","))
    except ValueError:
        keys = ()
    if not keys or any(len(key) != _MASTER_KEY_BYTES for key in keys):
        raise ValueError(f"is {_MASTER_KEY_BYTES} bytes in base64, or several of those with commas between")
    return keys


def _setting(variable: str, default: str, parse: Callable[[str], Any], meaning: str, *, secret: bool = False) -> Any:
    """One row of the table: `default` is the text that would stand in the environment, empty where it is derived.

    A secret is left out where settings are printed.
    """
    return field(
        repr=not secret, metadata={"variable": variable, "default": default, "parse": parse, "meaning": meaning}
    )


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that can be set, with units in the names."""

    port: int = _setting("PORT", "8000", _whole(1, 65535), "Port of the API.")
    bind: str = _setting("KILN_BIND", "127.0.0.1", _text, "Address that the API listens on.")
    hosts: frozenset[str] = _setting(
        "KILN_HOSTS",
        "",
        _names,
        "Names that the API is called by, with commas between; `*` for any. Otherwise loopback's while it listens "
        "there, and any elsewhere.",
    )
    home: Path = _setting(
        "KILN_HOME", ".kiln", _home, "Data of the embedded server, caches and generated secrets (0700)."
    )
    database_url: str = _setting(
        "DATABASE_URL", "", _database, "An own PostgreSQL, 15 or newer; without it Kiln starts its own.", secret=True
    )
    secret_key: bytes = _setting(
        "KILN_SECRET_KEY",
        "",
        _key,
        "Signs native code. Machines that share a database share it; otherwise it is made in `KILN_HOME`.",
        secret=True,
    )
    master_keys: tuple[bytes, ...] = _setting(
        "KILN_MASTER_KEY",
        "",
        _master_keys,
        "Encrypts what encrypts secrets: 32 bytes in base64, or several of those with commas between, of which the "
        "first encrypts and all decrypt. Machines that share a database share it; otherwise it is made in `KILN_HOME`.",
        secret=True,
    )
    seed_examples: bool = _setting(
        "KILN_SEED_EXAMPLES", "", _switch, "Register `examples/` at the first start; `true` when embedded."
    )
    log_level: str = _setting(
        "KILN_LOG_LEVEL", "info", _one_of("debug", "info", "warning", "error"), "Least level that is logged."
    )
    sync_wait_seconds: int = _setting(
        "KILN_SYNC_WAIT_SECONDS", "30", _whole(0, 300), "How long an execute request waits for its end."
    )
    web_waiters: int = _setting(
        "KILN_WEB_WAITERS",
        "48",
        _whole(1, 1000),
        "Requests of one web process that may wait at a time; the next is answered 202 at once.",
    )
    max_source_bytes: int = _setting(
        "KILN_MAX_SOURCE_BYTES", "262144", _whole(1, 2 << 20), "Largest source of a function."
    )
    max_wasm_bytes: int = _setting("KILN_MAX_WASM_BYTES", "4194304", _whole(1, 16 << 20), "Largest prebuilt module.")
    max_input_bytes: int = _setting(
        "KILN_MAX_INPUT_BYTES", "1048576", _whole(1, 6 << 20), "Largest input of an execution."
    )
    max_output_bytes: int = _setting(
        "KILN_MAX_OUTPUT_BYTES", "1048576", _whole(1, 6 << 20), "Largest output of an execution."
    )
    max_log_bytes: int = _setting(
        "KILN_MAX_LOG_BYTES", "65536", _whole(0, 1 << 20), "Logs kept of an execution; the rest is cut."
    )
    user_executions_per_minute: int = _setting(
        "KILN_USER_EXECUTIONS_PER_MINUTE",
        "0",
        _whole(0, 1_000_000),
        "How often a user may have something executed, a sixth of it at once; 0 for as often as they like.",
    )
    key_executions_per_minute: int = _setting(
        "KILN_KEY_EXECUTIONS_PER_MINUTE",
        "0",
        _whole(0, 1_000_000),
        "The same for an API key that says nothing else.",
    )
    user_concurrency: int = _setting(
        "KILN_USER_CONCURRENCY",
        "0",
        _whole(0, 100_000),
        "Executions of a user that may be under way at a time, the others wait; 0 for any number.",
    )
    user_queue: int = _setting(
        "KILN_USER_QUEUE", "200000", _whole(1, 10_000_000), "Executions of a user that may wait; more are refused."
    )
    queue: int = _setting(
        "KILN_QUEUE", "1000000", _whole(1, 10_000_000), "Executions that may wait, whoever's they are."
    )
    native_cache_mb: int = _setting(
        "KILN_NATIVE_CACHE_MB", "2048", _whole(64, 1 << 20), "Native code that a machine keeps on disk in `KILN_HOME`."
    )
    event_days: int = _setting(
        "KILN_EVENT_DAYS", "7", _whole(1, 400), "Days for which workers' and tasks' events are kept."
    )
    dead_letter_days: int = _setting(
        "KILN_DEAD_LETTER_DAYS", "30", _whole(1, 400), "Days for which messages that were set aside are kept."
    )
    kept_versions: int = _setting(
        "KILN_KEPT_VERSIONS",
        "20",
        _whole(1, 10_000),
        "Versions of a function that are kept, beside those that are active, named, or waited for.",
    )
    lease_seconds: int = _setting(
        "KILN_LEASE_SECONDS", "15", _whole(2, 3600), "How long a silent worker keeps its messages."
    )
    child_max_tasks: int = _setting(
        "KILN_CHILD_MAX_TASKS",
        "10000",
        _whole(1, 1_000_000_000),
        "Tasks that a worker's child does before another one takes its place.",
    )
    child_max_memory_mb: int = _setting(
        "KILN_CHILD_MAX_MEMORY_MB",
        "1024",
        _whole(128, 1 << 20),
        "Memory that a worker's child may have had before another one takes its place.",
    )
    public_url: str | None = _setting(
        "KILN_PUBLIC_URL",
        "",
        _public_url,
        "Address that people reach Kiln by, such as `https://kiln.example.org`. With https, the cookie of a session is "
        "sent over https alone.",
    )
    trusted_proxy: str | None = _setting(
        "KILN_TRUSTED_PROXY",
        "",
        _address,
        "Address of the proxy before the API; what comes from it comes from whom its `X-Forwarded-For` names last.",
    )
    admin_email: str = _setting("KILN_ADMIN_EMAIL", "admin@localhost", _email, "The first administrator.")
    admin_password: str | None = _setting(
        "KILN_ADMIN_PASSWORD",
        "",
        _text,
        "The first administrator's password; otherwise it is made, printed once and kept in `KILN_HOME`.",
        secret=True,
    )
    devs_may_register: bool = _setting(
        "KILN_DEVS_MAY_REGISTER",
        "true",
        _switch,
        "Whether developers register functions, and change or delete their own.",
    )
    oidc_providers: tuple[Provider, ...] = _setting(
        "KILN_OIDC_PROVIDERS",
        "",
        read_providers,
        "A TOML file of the providers of OpenID Connect that people may sign in with, a table for each.",
    )
    embedded: bool = field(default=True)

    @property
    def is_https(self) -> bool:
        """Whether people reach Kiln over https."""
        return (self.public_url or "").startswith("https://")

    @property
    def base_url(self) -> str:
        """Where this installation is, as far as it knows: on loopback, where nothing else was said."""
        host = f"[{self.bind}]" if ":" in self.bind else self.bind
        return self.public_url or f"http://{host}:{self.port}"


def load_settings(environ: Mapping[str, str]) -> Settings:
    """Read and check every setting; makes `KILN_HOME` (0700), secret key and master key (0600) when they are missing.

    Raises `InvalidSettings` naming the first variable that is unknown or malformed.
    """
    rows = {row.metadata["variable"]: row for row in fields(Settings) if row.metadata}
    for name in sorted(environ):
        if name.startswith(PREFIX) and name not in rows:
            raise InvalidSettings(f"{name} is not a setting of Kiln; docs/settings.md lists them")
    values = {
        row.name: _parsed(variable, environ.get(variable) or row.metadata["default"], row.metadata["parse"])
        for variable, row in rows.items()
    }
    embedded = values["database_url"] is None
    values["embedded"] = embedded
    if embedded:
        values["database_url"] = embedded_url(values["home"])
    if values["hosts"] is None:
        values["hosts"] = LOOPBACK if values["bind"] in LOOPBACK else ANY_HOST
    if values["seed_examples"] is None:
        values["seed_examples"] = embedded
    if values["secret_key"] is None:
        values["secret_key"] = _kept(values["home"] / "secret.key", secrets.token_hex(32)).encode()
    if values["master_keys"] is None:
        path = values["home"] / "master.key"
        made = base64.b64encode(secrets.token_bytes(_MASTER_KEY_BYTES)).decode()
        values["master_keys"] = _parsed(str(path), _kept(path, made).strip() or "nothing", _master_keys)
    values["oidc_providers"] = values["oidc_providers"] or ()
    settings = Settings(**values)
    if settings.oidc_providers and not is_protected(settings.base_url):
        raise InvalidSettings(
            "KILN_OIDC_PROVIDERS needs KILN_PUBLIC_URL with https, which providers send people back to"
        )
    return settings


def _parsed(variable: str, value: str, parse: Callable[[str], Any]) -> Any:
    if not value:
        return None
    try:
        return parse(value)
    except ValueError as error:
        raise InvalidSettings(f"{variable} {error}") from None


def _kept(path: Path, made: str) -> str:
    """What a file of this home holds, which whichever process comes first makes: linking a complete file into place
    cannot be seen half done.
    """
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = path.parent / f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}"
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:  # noqa: PTH123 - a descriptor, not a path
            file.write(made)
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_text()
