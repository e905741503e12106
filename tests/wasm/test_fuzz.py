"""Random modules come to documented ends, and nothing crashes."""

from collections import Counter

from app.wasm.outcome import Failure
from tests.wasm.fuzz import ends


def test_random_modules_come_to_documented_ends() -> None:
    found = Counter(ends(seed=20, rounds=300))

    assert set(found) <= {"refused", "completed", *map(str, Failure)}
    # Both halves do what they are for: most accidents are noticed, and invented code runs to ends of every kind.
    assert found["refused"] > 250
    assert min(found["TRAP"], found["TIMEOUT"], found["INVALID_OUTPUT"]) > 10
