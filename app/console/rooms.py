"""The rooms of the console: whoever imports this has all of them on the blueprint."""

from app.console import account, audit, entrance, environments, groups, people
from app.console.pages import blueprint

__all__ = ["account", "audit", "blueprint", "entrance", "environments", "groups", "people"]
