"""What a route asks of whoever calls it. Each route says it with `rule`, and none is answered without.

Only the words are here: who callers are is in `app.accounts`, which also holds every request to its rule.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any, Final, TypeVar

_View = TypeVar("_View", bound=Callable[..., Any])
_ATTRIBUTE: Final = "kiln_rule"


class Role(StrEnum):
    """What a user is here."""

    ADMIN = "ADMIN"
    DEV = "DEV"


class Scope(StrEnum):
    """What an API key may be used for. Whoever is signed in with a password may use all that their role allows."""

    FUNCTIONS_READ = "functions:read"
    FUNCTIONS_WRITE = "functions:write"
    FUNCTIONS_EXECUTE = "functions:execute"
    EXECUTIONS_READ = "executions:read"
    EXECUTIONS_WRITE = "executions:write"
    ENVIRONMENTS_READ = "environments:read"
    ENVIRONMENTS_WRITE = "environments:write"
    PEOPLE_READ = "people:read"
    PEOPLE_WRITE = "people:write"
    ACCOUNT_READ = "account:read"
    ACCOUNT_WRITE = "account:write"
    OPERATIONS_READ = "operations:read"
    OPERATIONS_WRITE = "operations:write"
    AUDIT_READ = "audit:read"


EVERY_SCOPE: Final = frozenset(Scope)


@dataclass(frozen=True, slots=True)
class Rule:
    """`scope` is what a key needs for it; without one any key will do. `role` is what its user must be. `action` is
    what the audit calls it. `is_open` is for what is there for strangers. `has_token` is off where a page cannot send
    our token, and its origin must be named instead. `is_page` is for what people look at: who is not signed in is led
    to the sign-in.
    """

    scope: Scope | None = None
    role: Role | None = None
    action: str | None = None
    is_open: bool = False
    has_token: bool = True
    is_page: bool = False


def rule(
    scope: Scope | None = None,
    *,
    role: Role | None = None,
    action: str | None = None,
    is_open: bool = False,
    has_token: bool = True,
    is_page: bool = False,
) -> Callable[[_View], _View]:
    """The rule of a view: above all other decorators of a function, or of a method of a `MethodView`."""

    def attach(view: _View) -> _View:
        setattr(view, _ATTRIBUTE, Rule(scope, role, action, is_open, has_token, is_page))
        return view

    return attach


def with_rule(view: Callable[..., Any], **asked: Any) -> Callable[..., Any]:
    """A view of somebody else's, with a rule."""
    return rule(**asked)(partial(view))


def rule_of(view: object, method: str) -> Rule | None:
    """The rule of a Flask view for a method of HTTP; none where nobody has said it."""
    wanted = "get" if method == "HEAD" else method.lower()
    inner = getattr(getattr(view, "view_class", None), wanted, view)
    found: Rule | None = getattr(inner, _ATTRIBUTE, None)
    return found
