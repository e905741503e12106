"""The page of the guarantees says what the tests show, and nothing else."""

from tests.chaos.promises import collected
from tests.chaos.report import PAGE, page


def test_the_page_is_what_the_tests_make_of_it() -> None:
    assert PAGE.read_text() == page(collected(), [], PAGE.read_text())
