"""`python -m app.toolchains.install`: fetch what compilers need and no Python package brings. A second run does
nothing.
"""

import sys
import time
from collections.abc import Callable

from app.toolchains.assemblyscript.toolchain import PACKAGES as ASSEMBLYSCRIPT
from app.toolchains.errors import ToolchainError
from app.toolchains.javascript import quickjs
from app.toolchains.typescript.toolchain import PACKAGES as TYPESCRIPT


def main() -> int:
    """Install what is missing, with a line of progress each; answers 1 when something could not be installed."""
    wanted: list[tuple[str, Callable[[], bool], Callable[[], None]]] = [
        (f"assemblyscript {ASSEMBLYSCRIPT.pinned('assemblyscript')}", ASSEMBLYSCRIPT.installed, ASSEMBLYSCRIPT.install),
        (f"typescript {TYPESCRIPT.pinned('typescript')}", TYPESCRIPT.installed, TYPESCRIPT.install),
        (f"quickjs-ng {quickjs.VERSION}", quickjs.installed, quickjs.install),
    ]
    return max(_install(name, is_installed, install) for name, is_installed, install in wanted)


def _install(name: str, is_installed: Callable[[], bool], install: Callable[[], None]) -> int:
    if is_installed():
        sys.stdout.write(f"toolchains: {name} is installed\n")
        return 0
    started = time.monotonic()
    try:
        install()
    except ToolchainError as error:
        sys.stderr.write(f"toolchains: {name} could not be installed: {error}\n")
        return 1
    sys.stdout.write(f"toolchains: {name} installed in {time.monotonic() - started:.1f} s\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
