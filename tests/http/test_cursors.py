"""Cursors are opaque, and only ours are taken."""

import re
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.http.cursors import PATTERN, decode, encode
from app.http.problems import Problem


@given(st.uuids())
def test_a_cursor_leads_back_to_its_id(last: UUID) -> None:
    assert decode(encode(last)) == last


@given(st.from_regex(PATTERN, fullmatch=True))
def test_what_looks_like_a_cursor_is_one(cursor: str) -> None:
    assert encode(decode(cursor.rstrip("\n"))) == cursor.rstrip("\n")


@given(st.text().filter(lambda text: not re.fullmatch(PATTERN, text)))
def test_anything_else_is_refused(cursor: str) -> None:
    with pytest.raises(Problem):
        decode(cursor)
