"""The compilers, installed once."""

import pytest

from app.toolchains.assemblyscript import AssemblyScript, packages


@pytest.fixture(scope="session")
def assemblyscript() -> AssemblyScript:
    """The AssemblyScript toolchain, installed."""
    packages.install()
    return AssemblyScript()
