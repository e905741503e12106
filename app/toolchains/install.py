"""`python -m app.toolchains.install`: fetch the compilers that are not Python packages. A second run does nothing."""

import sys
import time

from app.toolchains.assemblyscript import packages
from app.toolchains.errors import ToolchainError


def main() -> int:
    """Install what is missing, with one line of progress; the exit code is 1 when something could not be installed."""
    name = f"assemblyscript {packages.pinned('assemblyscript')}"
    if packages.installed():
        sys.stdout.write(f"toolchains: {name} is installed\n")
        return 0
    started = time.monotonic()
    try:
        packages.install()
    except ToolchainError as error:
        sys.stderr.write(f"toolchains: {name} could not be installed: {error}\n")
        return 1
    sys.stdout.write(f"toolchains: {name} installed in {time.monotonic() - started:.1f} s\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
