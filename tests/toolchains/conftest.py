"""The compilers, installed once."""

import pytest

from app.toolchains.assemblyscript import AssemblyScript
from app.toolchains.assemblyscript.toolchain import PACKAGES


@pytest.fixture(scope="session")
def assemblyscript() -> AssemblyScript:
    """The AssemblyScript toolchain, installed."""
    PACKAGES.install()
    return AssemblyScript()
