"""The verbs of who somebody is elsewhere: sign in with a provider, link an identity, unlink it.

An identity is known by issuer and subject alone: an e-mail address is nobody's for ever, and each provider has its own
idea of whose it is.
"""

from collections.abc import Sequence, Set
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import structlog
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.accounts import attempts, credential_queries, credentials, people, queries, tokens
from app.accounts.credentials import SignedIn
from app.accounts.domain import (
    AccountError,
    BegunElsewhere,
    EmailOfAnother,
    EmailUnverified,
    GroupMissing,
    IdentityTaken,
    LastWayIn,
    NotFound,
    Principal,
    Unauthenticated,
    UnknownIdentity,
    UnknownReference,
    UserDisabled,
)
from app.accounts.models import BegunSignIn, Identity, User
from app.audit.domain import Act, Actor, Outcome, Via
from app.audit.service import record, record_alone
from app.oidc.client import Client
from app.oidc.domain import Answer, Claims, OidcError, Secrets
from app.platform import Platform
from app.providers import Provider
from app.rules import Role

log = structlog.get_logger()

#: How long a browser may be with a provider.
LASTING: Final = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Begun:
    """Where a browser is sent, and what it keeps until it comes back."""

    url: str
    browser: str


@dataclass(frozen=True, slots=True)
class Ended:
    """What came of it: a session, or none where a session has linked an identity."""

    signed_in: SignedIn | None
    next_address: str


def begin(platform: Platform, client: Client, actor: Actor, *, next_address: str, session_id: UUID | None) -> Begun:
    """Send a browser to a provider; a session that sends it gets the identity linked. Raises Unavailable, Untrusted,
    TooManyAttempts, and Unauthenticated where the session has ended meanwhile.
    """
    attempts.take_to_sign_in_elsewhere(platform, actor.address)
    browser = tokens.new_session()
    try:
        url = client.authorization_url(Secrets.of(browser))
    except OidcError as error:
        _write_refusal(platform, client.provider, actor, error, is_link=session_id is not None)
        raise
    with platform.database.transaction() as session:
        if session_id is not None and not credential_queries.hold_session(session, session_id):
            raise Unauthenticated
        credential_queries.add_begun_sign_in(
            session,
            browser,
            provider=client.provider.name,
            next_address=next_address,
            session_id=session_id,
            lasting=LASTING,
        )
    return Begun(url, browser)


def end(platform: Platform, client: Client, actor: Actor, *, browser: str, answer: Answer, user_agent: str) -> Ended:
    """Take in who comes back from a provider. Raises OidcError, IdentityRefused and IdentityTaken, and writes them."""
    with platform.database.transaction() as session:
        begun = credential_queries.take_begun_sign_in(session, browser)
    try:
        awaited = _awaited(begun, client, actor)
        claims = client.claims(answer, Secrets.of(browser))
        return _ended(platform, client.provider, actor, awaited, claims, user_agent)
    except (OidcError, AccountError) as error:
        _write_refusal(
            platform, client.provider, actor, error, is_link=begun is not None and begun.session_id is not None
        )
        raise


def identities(platform: Platform, user_id: UUID) -> Sequence[Identity]:
    """A user's identities, newest first."""
    with platform.database.reading() as session:
        return credential_queries.identities(session, user_id)


def add(platform: Platform, principal: Principal, user_id: UUID, *, issuer: str, subject: str) -> Identity:
    """Say who a user is elsewhere, on an administrator's word. Raises UnknownReference, IdentityTaken and ScopeMissing:
    it is a way to everything that the user may.
    """
    principal.check_is_whole()
    if all(provider.issuer != issuer for provider in platform.settings.oidc_providers):
        raise UnknownReference("provider with the issuer", issuer, "/issuer")
    try:
        with platform.database.transaction() as session:
            if queries.lock_user(session, user_id) is None:
                raise UnknownReference("user", user_id, "/userId")
            return _added(session, principal.actor, user_id, issuer, subject)
    except IntegrityError as error:
        raise IdentityTaken from error


def remove(platform: Platform, principal: Principal, identity_id: UUID) -> None:
    """Unlink an identity; others' are not there, but for administrators. What it gave goes with it: sessions that
    began with it, and groups that it brought. Raises NotFound, and LastWayIn where neither a password nor an identity
    of a provider that is in the settings is left.
    """
    with platform.database.transaction() as session:
        seen = session.get(Identity, identity_id)
        if seen is None or not credentials.is_theirs(principal, seen.user_id):
            raise NotFound
        user = queries.lock_user(session, seen.user_id)
        found = credential_queries.lock_identity(session, identity_id)
        if user is None or found is None:
            raise NotFound
        others = [one for one in credential_queries.identities(session, user.id) if one.id != identity_id]
        providers = {provider.issuer for provider in platform.settings.oidc_providers}
        ways_in = [one for one in others if one.issuer in providers]
        if user.id == principal.user_id and not ways_in and queries.password_of(session, user.id) is None:
            raise LastWayIn
        if all(one.issuer != found.issuer for one in others):
            _move(session, principal.actor, user, found.issuer, set())
        credential_queries.end_sessions_by(session, identity_id)
        session.delete(found)
        record(session, principal.actor, Act("identity.delete", identity_id, before=_state(found)))


def _awaited(begun: BegunSignIn | None, client: Client, actor: Actor) -> BegunSignIn:
    """What this browser has begun with this provider, for a link by the session that it still has; raises
    BegunElsewhere.
    """
    if begun is None or begun.provider != client.provider.name:
        raise BegunElsewhere
    if begun.session_id is not None and begun.session_id != actor.credential_id:
        raise BegunElsewhere
    return begun


def _ended(
    platform: Platform, provider: Provider, actor: Actor, begun: BegunSignIn, claims: Claims, user_agent: str
) -> Ended:
    try:
        if begun.session_id is None:
            return Ended(_signed_in(platform, provider, actor, claims, user_agent), begun.next_address)
        _link(platform, provider, actor, claims)
        return Ended(None, begun.next_address)
    except IntegrityError as error:
        # The same identity, or e-mail address, came twice at the same moment.
        raise BegunElsewhere from error


def _signed_in(platform: Platform, provider: Provider, actor: Actor, claims: Claims, user_agent: str) -> SignedIn:
    with platform.database.transaction() as session:
        user, identity = _known(session, provider, claims) or _joined(session, provider, actor, claims)
        _set_groups(session, provider, actor, user, claims)
        if _is_let_in(provider, claims):
            return credentials.begin_session(session, user, actor, user_agent=user_agent, identity=identity)
    # Not before the groups are committed: who is let in no more must not keep them.
    raise GroupMissing


def _known(session: Session, provider: Provider, claims: Claims) -> tuple[User, Identity] | None:
    """The user whose identity it is, locked."""
    seen = credential_queries.identity(session, provider.issuer, claims.subject)
    if seen is None:
        return None
    user = queries.lock_user(session, seen.user_id)
    found = credential_queries.lock_identity(session, seen.id)
    if user is None or found is None:
        raise UnknownIdentity
    if not user.enabled:
        raise UserDisabled
    found.last_used_at = queries.now(session)
    return user, found


def _joined(session: Session, provider: Provider, actor: Actor, claims: Claims) -> tuple[User, Identity]:
    """A new user, where the provider's settings have it."""
    if not provider.may_join:
        raise UnknownIdentity
    if not _is_let_in(provider, claims):
        raise GroupMissing
    if claims.email is None:
        raise EmailUnverified
    if queries.user_by_email(session, claims.email) is not None:
        raise EmailOfAnother
    name, by = claims.name or claims.email, _provider_as_actor(provider, actor)
    user = people.add_user(session, by, email=claims.email, name=name, role=Role.DEV, password=None)
    made = _added(session, by, user.id, provider.issuer, claims.subject)
    made.last_used_at = made.created_at
    return user, made


def _link(platform: Platform, provider: Provider, actor: Actor, claims: Claims) -> None:
    """Add an identity to the user whose session asks for it; once more changes nothing."""
    if not _is_let_in(provider, claims):
        raise GroupMissing
    with platform.database.transaction() as session:
        user = None if actor.user_id is None else queries.lock_user(session, actor.user_id)
        if user is None:
            raise BegunElsewhere
        found = credential_queries.identity(session, provider.issuer, claims.subject)
        if found is None:
            _added(session, actor, user.id, provider.issuer, claims.subject)
        elif found.user_id != user.id:
            raise IdentityTaken


def _set_groups(session: Session, provider: Provider, actor: Actor, user: User, claims: Claims) -> None:
    """Have the memberships that came from a provider be what it says now. A group that is not here is not made: what
    an administrator has deleted would come back with somebody's next sign-in.
    """
    names = {provider.groups[theirs] for theirs in claims.groups if theirs in provider.groups}
    for missing in sorted(_move(session, _provider_as_actor(provider, actor), user, provider.issuer, names)):
        log.warning("oidc.group_unknown", provider=provider.name, group=missing)


def _move(session: Session, actor: Actor, user: User, issuer: str, names: Set[str]) -> Set[str]:
    """Have a provider's memberships of a user be those in the groups of these names; answers which are not here."""
    found = queries.hold_groups_of_provider(session, user.id, issuer, names=names)
    group_ids = sorted(found.values())
    left = queries.leave_by(session, user.id, issuer, but=group_ids)
    joined = queries.join_by(session, user.id, group_ids, issuer)
    for group_id in left:
        record(session, actor, Act("group.remove_member", group_id, before={"userId": user.id, "issuer": issuer}))
    for group_id in joined:
        record(session, actor, Act("group.add_member", group_id, after={"userId": user.id, "issuer": issuer}))
    if left or joined:
        credential_queries.rotate_sessions(session, [user.id])
    return names - found.keys()


def _added(session: Session, actor: Actor, user_id: UUID, issuer: str, subject: str) -> Identity:
    made = credential_queries.add_identity(session, user_id, issuer, subject)
    record(session, actor, Act("identity.create", made.id, after=_state(made)))
    return made


def _is_let_in(provider: Provider, claims: Claims) -> bool:
    return not provider.required_groups or bool(provider.required_groups & claims.groups)


def _provider_as_actor(provider: Provider, actor: Actor) -> Actor:
    """On whose word something is done that nobody here has asked for."""
    return Actor(name=provider.name, via=Via.SYSTEM, address=actor.address, correlation_id=actor.correlation_id)


def _write_refusal(
    platform: Platform, provider: Provider, actor: Actor, error: OidcError | AccountError, *, is_link: bool
) -> None:
    why = error.why if isinstance(error, OidcError) else None
    log.warning("oidc.refused", provider=provider.name, reason=type(error).__name__, why=why)
    after = {"provider": provider.name, "reason": type(error).__name__, "why": why}
    act = Act("identity.create" if is_link else "session.create", after=after, outcome=Outcome.REFUSED)
    if attempts.may_be_written(platform, actor, act):
        record_alone(platform, actor, act)


def _state(identity: Identity) -> dict[str, Any]:
    """What the audit shows of an identity."""
    return {"userId": identity.user_id, "issuer": identity.issuer, "subject": identity.subject}
