"""A password is for the database alone."""

import pytest
from kombu import Connection

from app.broker import register_transport


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://ada:secret@here/kiln", "postgresql://ada:**@here/kiln"),
        ("postgresql://ada:se%40cret@one:1,two:2/kiln?a=b", "postgresql://ada:**@one:1,two:2/kiln?a=b"),
        ("postgresql://ada@/kiln?host=/run&password=secret", "postgresql://ada@/kiln?host=/run&password=**"),
        ("postgresql://here/kiln?sslpassword=secret&a=b", "postgresql://here/kiln?sslpassword=**&a=b"),
        ("postgresql://ada@/kiln?host=/a:b@c", "postgresql://ada@/kiln?host=/a:b@c"),
    ],
)
def test_a_password_is_not_shown(url: str, shown: str) -> None:
    register_transport()
    connection = Connection(url)
    assert connection.as_uri() == shown
    assert connection.as_uri(include_password=True) == url
