"""What is sealed opens in its own place and nowhere else."""

import pickle
import traceback
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.environments.domain import MasterKeyMissing, SealBroken, Secret, Variables, Wrapped
from app.environments.sealing import SEAL_BYTES, MasterKeys, name_of

ONE, OTHER = UUID(int=1), UUID(int=2)
FIRST, SECOND = b"1" * 32, b"2" * 32


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), st.integers(1, 2**31 - 1))
def test_a_secret_comes_back_as_it_was(text: str, version: int) -> None:
    keys = MasterKeys([FIRST])
    data_key = keys.data_key(ONE, keys.new_data_key(ONE))
    sealed = data_key.seal("KEY", version, Secret(text))
    assert data_key.open("KEY", version, sealed).reveal() == text
    assert len(sealed) == len(text.encode()) + SEAL_BYTES
    assert data_key.seal("KEY", version, Secret(text)) != sealed


@pytest.mark.parametrize(("key", "version"), [("OTHER", 1), ("KEY", 2), ("key", 1)])
def test_a_secret_opens_for_its_own_key_and_version_alone(key: str, version: int) -> None:
    keys = MasterKeys([FIRST])
    data_key = keys.data_key(ONE, keys.new_data_key(ONE))
    with pytest.raises(SealBroken):
        data_key.open(key, version, data_key.seal("KEY", 1, Secret("value")))


def test_a_data_key_opens_for_its_own_environment_alone() -> None:
    keys = MasterKeys([FIRST])
    wrapped = keys.new_data_key(ONE)
    with pytest.raises(SealBroken):
        keys.data_key(OTHER, wrapped)


def test_whatever_bit_is_flipped_nothing_opens() -> None:
    keys = MasterKeys([FIRST])
    data_key = keys.data_key(ONE, keys.new_data_key(ONE))
    sealed = data_key.seal("KEY", 1, Secret("value"))
    for bit in range(len(sealed) * 8):
        changed = bytearray(sealed)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(SealBroken):
            data_key.open("KEY", 1, bytes(changed))
    for length in range(len(sealed)):
        with pytest.raises(SealBroken):
            data_key.open("KEY", 1, sealed[:length])


def test_the_first_master_key_wraps_and_all_of_them_unwrap() -> None:
    before, both, after = MasterKeys([FIRST]), MasterKeys([SECOND, FIRST]), MasterKeys([SECOND])
    wrapped = before.new_data_key(ONE)
    sealed = before.data_key(ONE, wrapped).seal("KEY", 1, Secret("value"))
    again = both.wrap_again(ONE, wrapped)
    assert (wrapped.master_key, again.master_key) == (name_of(FIRST), name_of(SECOND))
    for keys, content in ((both, wrapped), (both, again), (after, again)):
        assert keys.data_key(ONE, content).open("KEY", 1, sealed).reveal() == "value"
    with pytest.raises(MasterKeyMissing, match=name_of(FIRST)):
        after.data_key(ONE, wrapped)
    with pytest.raises(SealBroken):
        both.data_key(ONE, Wrapped(name_of(FIRST), again.content))


def test_secrets_show_themselves_to_nobody() -> None:
    secret, variables = Secret("hush"), Variables({"TOKEN": "hush"})
    assert "hush" not in f"{secret} {secret!r} {variables} {variables!r} {[secret]} {(variables,)}"
    assert "TOKEN" in repr(variables)
    for hidden in (secret, variables):
        with pytest.raises(TypeError):
            pickle.dumps(hidden)
    error = traceback.TracebackException.from_exception(ValueError(secret, variables))
    assert "hush" not in "".join(error.format())
