"""Native code on disk is loaded if it is ours, for this machine, and of the function that asks. Whatever else lies
there is refused before the engine sees a byte of it.
"""

import random
from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient
from structlog.testing import capture_logs

from app.functions import artifacts
from app.functions.native_cache import NativeCache
from app.platform import Platform
from app.wasm import native as native_code
from tests.executions.test_warming import echoes, file_of
from tests.workbench import Workbench

Rows = Callable[..., list[Any]]

ROUNDS = 10_000


class Vandal:
    """Damages or exchanges what is on disk of one function, with what is of another at hand."""

    def __init__(self, platform: Platform, ours: str, others: str) -> None:
        self.ways = (self.flip, self.flip, self.flip_the_seal, self.resize, self.exchange, self.link, self.seal)
        self.chance = random.Random(13)
        self.path, self._other = file_of(platform, ours), file_of(platform, others)
        self._mac = self.path.with_suffix(".mac")
        self._whole, self._proof = self.path.read_bytes(), self._mac.read_bytes()
        self._digests, self._key = (ours, others), platform.settings.secret_key
        self._target = artifacts.target(platform)

    def mend(self) -> None:
        """Put back what was there."""
        self._write(self._whole, self._proof)

    def flip(self) -> None:
        """Change some bytes."""
        changed = bytearray(self._whole)
        for at in self.chance.sample(range(len(changed)), self.chance.choice((1, 1, 2, 50))):
            changed[at] ^= self.chance.randrange(1, 256)
        self._write(bytes(changed), self._proof)

    def flip_the_seal(self) -> None:
        """Change a byte of the seal."""
        changed = bytearray(self._proof)
        changed[self.chance.randrange(len(changed))] ^= self.chance.randrange(1, 256)
        self._write(self._whole, bytes(changed))

    def resize(self) -> None:
        """Cut it, or add to it."""
        end = self.chance.randrange(1, len(self._whole))
        cut = self._whole[:end], self._whole[end:], b"", self._whole + self.chance.randbytes(end)
        self._write(self.chance.choice(cut), self._proof)

    def exchange(self) -> None:
        """Put the other's code there, with its seal or with this one's."""
        proofs = self._proof, self._other.with_suffix(".mac").read_bytes()
        self._write(self._other.read_bytes(), self.chance.choice(proofs))

    def link(self) -> None:
        """Point to the other's code."""
        self._mac.write_bytes(self._proof)
        self.path.symlink_to(self._other)

    def seal(self) -> None:
        """Seal it as another installation would, or this one for another engine, processor or function."""
        engine, key_name = self._target.split(".")
        key, function, target = self.chance.choice(
            (
                (self.chance.randbytes(32), self._digests[0], self._target),
                (self._key, self._digests[1], self._target),
                (self._key, self._digests[0], f"{self.chance.getrandbits(64):016x}.{key_name}"),
                (self._key, self._digests[0], f"{engine}.{self.chance.getrandbits(32):08x}"),
            )
        )
        self._write(self._whole, native_code.seal(self._whole, key, artifacts.identity(function, target)))

    def _write(self, code: bytes, proof: bytes) -> None:
        self.path.write_bytes(code)
        self._mac.write_bytes(proof)


def test_what_is_not_ours_is_never_loaded(
    client: FlaskClient, workbench: Workbench, platform: Platform, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given two functions' native code on disk, and an engine that must not see anything else
    ours, others = echoes(client, workbench, rows, 2)
    cache = NativeCache(platform)
    for digest in (ours, others):
        cache.hold(digest)
    vandal = Vandal(platform, ours, others)
    with monkeypatch.context() as engine, capture_logs() as lines:
        engine.setattr(native_code, "load", lambda path: pytest.fail(f"{path} reached the engine"))
        # When it is damaged or exchanged in every way, ten thousand times
        for number in range(ROUNDS):
            way = vandal.chance.choice(vandal.ways)
            way()
            assert cache.load_held(ours) is None, (number, way)
            vandal.path.unlink()
    # Then each of them was refused, and what is whole is loaded still
    assert [line["event"] for line in lines] == ["native_code.refused"] * ROUNDS
    vandal.mend()
    assert cache.load_held(ours) is not None
