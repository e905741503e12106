"""`Prefer` as RFC 7240 reads."""

import pytest

from app.http.preferences import Preference, preference


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        (None, Preference(30)),
        ("wait=5", Preference(5, "wait=5")),
        ('wait="5"', Preference(5, "wait=5")),
        ("Wait = 5 ; foo=bar", Preference(5, "wait=5")),
        ("wait=500", Preference(30, "wait=30")),
        ("wait=0", Preference(0, "wait=0")),
        ("respond-async", Preference(0, "respond-async")),
        ("respond-async, wait=7", Preference(7, "wait=7")),
        ("wait=1, wait=9", Preference(1, "wait=1")),
        ("wait=-1", Preference(30)),
        ("wait=" + "9" * 5000, Preference(30)),
        ("handling=lenient", Preference(30)),
    ],
)
def test_a_preference_is_read(header: str | None, wanted: Preference) -> None:
    assert preference(header, longest_seconds=30) == wanted
