"""The rooms of the console: whoever imports this has all of them on the blueprint."""

from app.console import account, entrance, people
from app.console.pages import blueprint

__all__ = ["account", "blueprint", "entrance", "people"]
