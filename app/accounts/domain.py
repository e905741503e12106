"""Who somebody is, and the one rule of access."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final, Protocol
from uuid import UUID

from app.audit.domain import Actor, Via
from app.rules import EVERY_SCOPE, Role, Scope

#: For how long a key is good where nothing else is said, and at most, and its old text after it got another.
KEY_DAYS: Final = 90
MOST_KEY_DAYS: Final = 366
MOST_OVERLAP_SECONDS: Final = 24 * 3600

#: The highest rate that can be asked for.
MOST_PER_MINUTE: Final = 1_000_000


class Shared(Protocol):
    """What is shared with users and groups: a function, an environment."""

    @property
    def allowed_users(self) -> Collection[UUID]:
        """Users that it is shared with."""

    @property
    def allowed_groups(self) -> Collection[UUID]:
        """Groups that it is shared with."""


@dataclass(frozen=True, slots=True)
class Principal:
    """A user of whom we know that it is them, at this moment: their role and groups are read anew for each request."""

    user_id: UUID
    email: str
    name: str
    role: Role
    groups: frozenset[UUID]
    actor: Actor
    """How it is known, as the audit has it."""
    scopes: frozenset[Scope] = EVERY_SCOPE
    is_replaced: bool = False
    """Whether the text of the key was replaced by another, and is good for the rest of the overlap alone."""
    executions_per_minute: int | None = None
    """How often the key may have something executed, where it says so."""

    @property
    def is_key(self) -> bool:
        """Whether it is known by an API key."""
        return self.actor.via is Via.API_KEY

    def key_rate(self, default: int) -> int | None:
        """How often the key may have something executed; None for as often as anybody likes, and for a session."""
        return key_rate(self.executions_per_minute, default) if self.is_key else None

    @property
    def is_admin(self) -> bool:
        """Whether it is an administrator."""
        return self.role is Role.ADMIN

    def check_scope(self, scope: Scope) -> None:
        """Raises ScopeMissing for a key that may not be used for this."""
        if scope not in self.scopes:
            raise ScopeMissing(scope)

    def check_is_current(self) -> None:
        """Raises KeyReplaced for the old text of a key: nothing that lasts longer than it comes of it."""
        if self.is_replaced:
            raise KeyReplaced

    def check_is_whole(self) -> None:
        """Raises ScopeMissing for a key that may not be used for everything, and KeyReplaced."""
        self.check_is_current()
        for scope in sorted(EVERY_SCOPE - self.scopes):
            raise ScopeMissing(scope)


def key_rate(own: int | None, default: int) -> int | None:
    """How often a key may have something executed that says `own`; what is set for all is `default`, 0 for as often as
    anybody likes.
    """
    return own or default or None


def can_access(user: Principal, resource: Shared) -> bool:
    """Whether a user may see and use a resource. Nothing is stronger than this: who owns a resource and does not fit
    is refused like any other, and what follows a resource (its versions and executions) is refused with it.
    """
    if user.role is Role.ADMIN:
        return True
    if not resource.allowed_users and not resource.allowed_groups:
        return True
    return user.user_id in resource.allowed_users or any(group in resource.allowed_groups for group in user.groups)


class AccountError(Exception):
    """Something about an account is not as the caller needs it."""


class Unauthenticated(AccountError):
    """Send an API key as Authorization: Bearer, or sign in."""


class SignInFailed(AccountError):
    """There is no enabled account with this e-mail address and password."""


class Forbidden(AccountError):
    """Your role does not allow this."""


class KeyReplaced(Forbidden):
    """This text of the API key was replaced by another. Until it ends it lets nobody else in; use the new one."""


class KeyFaster(Forbidden):
    """An API key gives no other text to one that may have more executed in a minute than it may itself."""


class ScopeMissing(AccountError):
    """The API key may not be used for this."""

    def __init__(self, scope: Scope) -> None:
        super().__init__(f"the API key may not be used for {scope}")
        self.scope = scope


class NotFound(AccountError):
    """There is no such user, group, session or key."""


class UnknownReference(AccountError):
    """The request names a user or a group that does not exist."""

    def __init__(self, kind: str, missing: UUID | str, pointer: str) -> None:
        super().__init__(f"there is no {kind} {missing}")
        self.pointer = pointer


class EmailTaken(AccountError):
    """Another user has this e-mail address."""

    def __init__(self, email: str) -> None:
        super().__init__(f"there is already a user with the e-mail address {email}")


class GroupNameTaken(AccountError):
    """Another group has this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is already a group named {name}")


class LastAdministrator(AccountError):
    """An installation keeps at least one enabled administrator, and this is the last."""


class PasswordRefused(AccountError):
    """The password is not one that protects an account."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.pointer = "/password"


class WrongPassword(AccountError):
    """The current password is another one."""

    def __init__(self) -> None:
        super().__init__(self.__doc__)
        self.pointer = "/currentPassword"


class ExpiryRefused(AccountError):
    """The key would end in the past, or too late."""

    def __init__(self, most_days: int) -> None:
        super().__init__(f"a key ends in the future, within {most_days} days, and no later than a key that makes it")
        self.pointer = "/expiresAt"


class TooManyAttempts(AccountError):
    """There were too many attempts to sign in, or to set another password."""

    def __init__(self, retry_after_seconds: int) -> None:
        super().__init__("too many attempts; nobody is locked out, so wait and try again")
        self.retry_after_seconds = retry_after_seconds


class IdentityTaken(AccountError):
    """This identity is another user's."""


class LastWayIn(AccountError):
    """Without a password this identity is the last way into your account, so it stays."""


class IdentityRefused(AccountError):
    """Somebody has proved who they are elsewhere, and is not let in here."""


class BegunElsewhere(IdentityRefused):
    """This sign-in has ended, or was begun in another browser or session. Begin it again."""


class UnknownIdentity(IdentityRefused):
    """Nobody is known here by this identity. Sign in and link it to your account, or ask an administrator for one."""


class EmailUnverified(IdentityRefused):
    """The provider does not say that your e-mail address is yours, which a new account needs."""


class EmailOfAnother(IdentityRefused):
    """There is an account with your e-mail address. Sign in to it as before, and link this identity on its page."""


class UserDisabled(IdentityRefused):
    """Your account is disabled. Ask an administrator."""


class GroupMissing(IdentityRefused):
    """You are in none of the provider's groups that are let in here."""


def changed(before: dict[str, Any], after: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What of two states differs."""
    names = [name for name in after if before.get(name) != after[name]]
    return {name: before.get(name) for name in names}, {name: after[name] for name in names}
