"""What lets somebody in, as text: made here, shown once, kept as a digest.

A key is `kiln_`, 30 characters of chance in base 62 (178 bits), and 6 more that are their CRC-32 in the same digits: so
scanners tell one from other text, and what is no key is refused without asking the database. That is how GitHub's
tokens are made.
"""

import hashlib
import hmac
import re
import secrets
import string
import zlib
from typing import Final
from uuid import UUID

_DIGITS: Final = string.digits + string.ascii_uppercase + string.ascii_lowercase
_PREFIX: Final = "kiln_"
_CHANCE: Final = 30
_CHECK: Final = 6

#: What a key looks like; for scanners it stands in SECURITY.md.
PATTERN: Final = re.compile(f"{_PREFIX}[0-9A-Za-z]{{{_CHANCE + _CHECK}}}")

_SESSION_BYTES: Final = 32


def new_key() -> str:
    """A key that nobody has."""
    chance = "".join(secrets.choice(_DIGITS) for _ in range(_CHANCE))
    return f"{_PREFIX}{chance}{_checksum(chance)}"


def is_key(text: str) -> bool:
    """Whether a text is a key, by its form and its checksum."""
    if not PATTERN.fullmatch(text):
        return False
    chance = text[len(_PREFIX) : -_CHECK]
    return hmac.compare_digest(_checksum(chance), text[-_CHECK:])


def hint_of(key: str) -> str:
    """What of a key may be shown, so that its owner knows it again."""
    return f"{key[: len(_PREFIX) + 4]}…{key[-4:]}"


def new_session() -> str:
    """A session's name that nobody has: 256 bits."""
    return secrets.token_urlsafe(_SESSION_BYTES)


def digest_of(token: str) -> bytes:
    """What is kept of a token. It is as random as its digest, so no salt and no slow function is needed."""
    return hashlib.sha256(token.encode()).digest()


def csrf_token(key: bytes, session_id: UUID) -> str:
    """What a page of ours sends along with each change: nobody else can know it, and nobody has to keep it."""
    return hmac.new(key, b"csrf" + session_id.bytes, hashlib.sha256).hexdigest()


def _checksum(text: str) -> str:
    number, digits = zlib.crc32(text.encode()), ""
    for _ in range(_CHECK):
        number, digit = divmod(number, len(_DIGITS))
        digits = _DIGITS[digit] + digits
    return digits
