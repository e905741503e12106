"""How often something may be tried: so many turns at once, of which one comes back every so often."""

from datetime import timedelta
from ipaddress import IPv6Address, IPv6Network, ip_address
from math import ceil
from typing import Final
from uuid import UUID

from sqlalchemy import Connection

from app.accounts import credential_queries
from app.accounts.domain import TooManyAttempts
from app.accounts.passwords import Waiter
from app.audit.domain import Act, Actor
from app.platform import Platform

#: One turn comes back every so often, and so many may be taken at once. Those at one account from one address; all from
#: one address; all at one account from addresses that it has never signed in from. Those of a user at setting another
#: password are as many as those at one account from one address.
_PAIR: Final = timedelta(seconds=12), 5
_ADDRESS: Final = timedelta(seconds=3), 20
_ACCOUNT: Final = timedelta(seconds=6), 30

#: For how long it is remembered where somebody has signed in from.
KNOWN: Final = timedelta(days=30)

#: Whoever has one address of IPv6 has all of its network.
_ONES_OWN_BITS: Final = 64


def bucket(address: str | None) -> str:
    """What counts as one address: one of IPv4, also where it is written as IPv6, or a /64 of IPv6. What is no address
    counts as it is.
    """
    try:
        read = ip_address(address or "")
    except ValueError:
        return address or ""
    if not isinstance(read, IPv6Address):
        return str(read)
    return str(read.ipv4_mapped or IPv6Network((int(read), _ONES_OWN_BITS), strict=False))


def take_to_sign_in(platform: Platform, email: str, address: str | None) -> Waiter:
    """Who may have their password looked at; raises TooManyAttempts. An account is never closed to an address that it
    has signed in from.
    """
    place = bucket(address)
    # Each turn is a transaction of its own: nobody holds one while waiting for another.
    with platform.database.statement() as connection:
        limits = [(f"sign-in from {place}", *_ADDRESS), (f"sign-in of {email} from {place}", *_PAIR)]
        is_known = credential_queries.has_signed_in_from(connection, email, place)
        if not is_known:
            limits.append((f"sign-in of {email}", *_ACCOUNT))
        for limit in limits:
            _take(connection, *limit)
    # Whoever is known shares no place with the strangers of their network.
    return Waiter(f"{email} from {place}" if is_known else place, is_known)


def take_to_set_password(platform: Platform, user_id: UUID) -> None:
    """The same for who says their current password, wherever they are: whoever has their session or key may guess."""
    with platform.database.statement() as connection:
        _take(connection, f"password of {user_id}", *_PAIR)


def take_to_sign_in_elsewhere(platform: Platform, address: str | None) -> None:
    """The same for who is sent to a provider, each of whom is remembered until they come back."""
    with platform.database.statement() as connection:
        _take(connection, f"sign-in elsewhere from {bucket(address)}", *_ADDRESS)


def may_be_written(platform: Platform, actor: Actor, refused: Act) -> bool:
    """Whether one more refusal may be written: nobody is to fill the database with them. Of strangers those from one
    address are counted together; of a user those of each action, so that none hides another.
    """
    whose = bucket(actor.address) if actor.user_id is None else f"{refused.action} to {actor.user_id}"
    every, burst = _ADDRESS
    with platform.database.statement() as connection:
        return credential_queries.take_turn(connection, f"refusal of {whose}", every=every, burst=burst) == 0


def _take(connection: Connection, name: str, every: timedelta, burst: int) -> None:
    wait = credential_queries.take_turn(connection, name, every=every, burst=burst)
    if wait > 0:
        raise TooManyAttempts(ceil(wait))
