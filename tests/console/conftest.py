"""The world of users, for pages as well."""

from tests.accounts.conftest import world

__all__ = ["world"]
