"""Progress is read from what a function prints, however it comes."""

import pytest

from app.wasm.progress import MESSAGE_CHARACTERS, Reported


def after(*pieces: bytes) -> tuple[float, str | None] | None:
    """What is known of the progress after these were printed."""
    reported = Reported()
    for piece in pieces:
        reported.read(piece)
    return None if reported.latest is None else (reported.latest.percent, reported.latest.message)


@pytest.mark.parametrize(
    ("printed", "known"),
    [
        (b"::progress 40 halfway\n", (40, "halfway")),
        (b"::progress 0\n", (0, None)),
        (b"::progress 99.5   nearly there \n", (99.5, "nearly there")),
        (b"hello\n::progress 7 seven\nbye\n", (7, "seven")),
        (b"::progress 1 a\n::progress 2 b\n", (2, "b")),
        (b"::progress 100 gr\xc3\xbcn\r\n", (100, "grün")),
        (b"::progress 3 \xff\0\n", (3, "\ufffd\ufffd")),
        (b"::progress 101 too far\n", None),
        (b"::progress -1\n", None),
        (b"::progress many\n", None),
        (b"::progress\n", None),
        (b"not ::progress 4 at the beginning\n", None),
        (b"::progress 5 no end of the line", None),
        (b"::progress 1e2\n", None),
        (b"::progress \xd9\xa4\n", None),
    ],
)
def test_a_line_is_read(printed: bytes, known: tuple[float, str | None] | None) -> None:
    assert after(printed) == known


def test_a_line_may_come_byte_by_byte_beside_others() -> None:
    text = b"::prog\n:::progress 9\nno ::progress 1\n::progress 8 eight\nmore ::progress 2\n"
    assert after(*(bytes([byte]) for byte in text)) == (8, "eight")
    for cut in range(len(text)):
        assert after(text[:cut], text[cut:]) == (8, "eight")


def test_what_is_said_last_counts_and_nonsense_changes_nothing() -> None:
    assert after(b"::progress 10 ten\n", b"::progress eleven\n", b"noise " * 10_000) == (10, "ten")


def test_a_message_is_cut() -> None:
    assert after(b"::progress 1 " + b"x" * 100_000 + b"\n") == (1, "x" * MESSAGE_CHARACTERS)
    # Also where it comes in pieces, and nothing is kept of the rest.
    reported = Reported()
    for _ in range(1000):
        reported.read(b"::progress 1 " + b"x" * 10_000)
    assert len(reported._line) < 10_000


def test_a_line_without_end_is_let_go() -> None:
    reported = Reported()
    for _ in range(1000):
        reported.read(b"x" * 10_000)
    reported.read(b"::progress 1\n::progress 2\n")
    assert reported.latest is not None
    assert reported.latest.percent == 2
