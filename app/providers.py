"""Providers of identities, which people may sign in with: the TOML file that `KILN_OIDC_PROVIDERS` names, read once and
checked to the last key. `docs/oidc.md` has its table.
"""

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

#: What a server that listens on loopback is called.
LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "[::1]", "::1"})

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_LONGEST: Final = 2000


@dataclass(frozen=True, kw_only=True)
class Provider:
    """One of them. `groups` says which of their groups is which of ours."""

    name: str
    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    label: str
    scopes: tuple[str, ...] = ("openid", "email", "profile")
    groups_claim: str | None = None
    groups: Mapping[str, str] = field(default_factory=dict)
    required_groups: frozenset[str] = frozenset()
    may_join: bool = False
    """Whether somebody whom nobody knows here gets an account."""


def is_protected(url: str) -> bool:
    """Whether what is sent to an address can be read by nobody on the way: https, or this machine's own loopback.
    Raises ValueError for what is no address.
    """
    parts = urlsplit(url)
    is_whole = bool(parts.hostname) and parts.port != 0 and "@" not in parts.netloc and not parts.fragment
    return is_whole and (parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK))


def read_providers(value: str) -> tuple[Provider, ...]:
    """The providers of a file. Raises ValueError with a sentence that begins after the setting's name, and never with a
    secret in it.
    """
    path = Path(value).expanduser().absolute()
    try:
        tables = tomllib.loads(path.read_text())
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not TOML"
        raise ValueError(f"names {path}, which cannot be read: {reason}") from None
    try:
        providers = tuple(_provider(name, table, path.parent) for name, table in tables.items())
        _distinct(providers)
    except ValueError as error:
        raise ValueError(f"names {path}, where {error}") from None
    return providers


def _provider(name: str, table: object, beside: Path) -> Provider:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name: up to 32 of a-z, 0-9 and -, and no - at the beginning")
    known = _known(name, table)
    if "client_secret_file" in known:
        if "client_secret" in known:
            raise ValueError(f"{name} has both client_secret and client_secret_file")
        known["client_secret"] = _secret(name, known.pop("client_secret_file"), beside)
    for key in ("issuer", "client_id", "client_secret"):
        if key not in known:
            raise ValueError(f"{name}.{key} is missing")
    if "groups_claim" not in known and not known.keys().isdisjoint({"groups", "required_groups"}):
        raise ValueError(f"{name}.groups_claim is missing: nothing else says what groups somebody is in")
    return Provider(name=name, **({"label": name} | known))


def _known(name: str, table: object) -> dict[str, Any]:
    """The keys of a table, each read by its own rule."""
    known: dict[str, Any] = {}
    entries = table.items() if isinstance(table, dict) else [("", table)]
    for key, value in entries:
        if key not in _KEYS:
            raise ValueError(f"{name}.{key} is not a key of a provider; docs/oidc.md lists them")
        try:
            known[key] = _KEYS[key](value)
        except ValueError as error:
            raise ValueError(f"{name}.{key} {error}") from None
    return known


def _distinct(providers: tuple[Provider, ...]) -> None:
    issuers = [one.issuer for one in providers]
    for issuer in issuers:
        if issuers.count(issuer) > 1:
            raise ValueError(f"more than one provider has the issuer {issuer}")


def _secret(name: str, file: str, beside: Path) -> str:
    path = beside / Path(file).expanduser()
    try:
        return _text(path.read_text().strip())
    except (OSError, ValueError):
        raise ValueError(f"{name}.client_secret_file names a file that has no secret to be read") from None


def _text(value: object) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST or not value.isprintable():
        raise ValueError("is text of one line, and not empty")
    return value


def _issuer(value: object) -> str:
    issuer = _text(value)
    if not is_protected(issuer) or urlsplit(issuer).query:
        raise ValueError("is an address with https (on loopback, http will do), without a query or anything after it")
    return issuer


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not value:
        raise ValueError("is a list of text, and not empty")
    return tuple(_text(one) for one in value)


def _scopes(value: object) -> tuple[str, ...]:
    scopes = _texts(value)
    if "openid" not in scopes or any(" " in one for one in scopes):
        raise ValueError("has openid among its words")
    return scopes


def _mapping(value: object) -> dict[str, str]:
    if isinstance(value, dict):
        return {_text(theirs): _text(ours) for theirs, ours in value.items()}
    raise ValueError("is a table: their group = our group")


def _switch(value: object) -> bool:
    if isinstance(value, bool):
        return value
    raise ValueError("is either true or false")


_KEYS: Final[dict[str, Callable[[object], Any]]] = {
    "issuer": _issuer,
    "client_id": _text,
    "client_secret": _text,
    "client_secret_file": _text,
    "label": _text,
    "scopes": _scopes,
    "groups_claim": _text,
    "groups": _mapping,
    "required_groups": lambda value: frozenset(_texts(value)),
    "may_join": _switch,
}
