"""How secrets are kept: each environment has a random data key, which a master key wraps, and each secret is sealed by
the data key of its environment. Both are AES-256-GCM with a fresh random nonce of 96 bits, which stands before what it
made; the additional data say what it was made for, so that nothing opens in another place.

A data key seals at most as many values as an environment is given in its life, and a master key wraps at most as many
data keys as there are environments: both stay far below the 2^32 messages that random nonces are good for
(NIST SP 800-38D, 8.3).
"""

import hashlib
import os
from collections.abc import Sequence
from typing import Final
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from app.environments.domain import MasterKeyMissing, SealBroken, Secret, Wrapped

_NONCE_BYTES: Final = 12
_KEY_BITS: Final = 256

#: By how much what is sealed is longer than what it holds.
SEAL_BYTES: Final = _NONCE_BYTES + 16


class DataKey:
    """What seals the secrets of one environment."""

    __slots__ = ("_cipher", "_environment_id")

    def __init__(self, environment_id: UUID, key: bytes) -> None:
        self._environment_id, self._cipher = environment_id, AESGCM(key)

    def seal(self, key: str, version: int, secret: Secret) -> bytes:
        """What is stored of a secret that an entry has from a version on."""
        return _sealed(self._cipher, secret.reveal().encode(), self._place(key, version))

    def open(self, key: str, version: int, sealed: bytes) -> Secret:
        """The secret of an entry; raises SealBroken for what was sealed for another one."""
        try:
            return Secret(_opened(self._cipher, sealed, self._place(key, version)).decode())
        except InvalidTag as error:
            raise SealBroken(self._environment_id, f"the secret {key}") from error

    def _place(self, key: str, version: int) -> bytes:
        return b"kiln secret\0" + self._environment_id.bytes + version.to_bytes(8, "big") + key.encode()


class MasterKeys:
    """The master keys of this installation: the first wraps, all of them unwrap."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._ciphers = {name_of(key): AESGCM(key) for key in keys}

    @property
    def first(self) -> str:
        """The name of the one that wraps."""
        return next(iter(self._ciphers))

    @property
    def others(self) -> list[str]:
        """The names of those that only unwrap."""
        return [name for name in self._ciphers if name != self.first]

    def new_data_key(self, environment_id: UUID) -> Wrapped:
        """A random data key for an environment."""
        return self._wrap(environment_id, AESGCM.generate_key(_KEY_BITS))

    def data_key(self, environment_id: UUID, wrapped: Wrapped) -> DataKey:
        """The data key of an environment; raises MasterKeyMissing or SealBroken."""
        return DataKey(environment_id, self._unwrap(environment_id, wrapped))

    def wrap_again(self, environment_id: UUID, wrapped: Wrapped) -> Wrapped:
        """The same data key, wrapped by the first master key."""
        return self._wrap(environment_id, self._unwrap(environment_id, wrapped))

    def _wrap(self, environment_id: UUID, key: bytes) -> Wrapped:
        return Wrapped(self.first, _sealed(self._ciphers[self.first], key, _place_of_data_key(environment_id)))

    def _unwrap(self, environment_id: UUID, wrapped: Wrapped) -> bytes:
        cipher = self._ciphers.get(wrapped.master_key)
        if cipher is None:
            raise MasterKeyMissing(environment_id, wrapped.master_key)
        try:
            return _opened(cipher, wrapped.content, _place_of_data_key(environment_id))
        except InvalidTag as error:
            raise SealBroken(environment_id, "the data key") from error


def name_of(master_key: bytes) -> str:
    """What a master key is called: the first eight digits of its sha256."""
    return hashlib.sha256(master_key).hexdigest()[:8]


def _place_of_data_key(environment_id: UUID) -> bytes:
    return b"kiln data key\0" + environment_id.bytes


def _sealed(cipher: AESGCM, content: bytes, place: bytes) -> bytes:
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + cipher.encrypt(nonce, content, place)


def _opened(cipher: AESGCM, sealed: bytes, place: bytes) -> bytes:
    if len(sealed) < SEAL_BYTES:
        raise InvalidTag
    return cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], place)
