"""Where Rust is on this machine: rustup's toolchains and a distribution's packages, whichever can make WebAssembly.

Nothing of it is among Kiln's requirements, so it is looked for, and not being there is an answer, not an error.
"""

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from app.toolchains.errors import ToolchainMissing

#: What WASI's first preview is called, and what it was called before.
_TARGET, _TARGET_BEFORE = "wasm32-wasip1", "wasm32-wasi"
_RENAMED_IN = (1, 78)
#: The first to keep nothing but the tables of lines.
_OLDEST = (1, 71)

_PATIENCE_SECONDS = 30
_HOST = re.compile(r"^host: (\S+)", re.MULTILINE)
_RELEASE = re.compile(r"^release: (\d+)\.(\d+)\.\S+", re.MULTILINE)
WANTED_CRATES = ("serde", "serde_derive", "serde_json")

HOW = (
    "There is no Rust with a target for WASI: run make rust on Debian or Ubuntu, or rustup target add wasm32-wasip1 "
    f"for Rust {_OLDEST[0]}.{_OLDEST[1]} or newer."
)
HOW_CRATES = (
    "The sources of Rust's crates serde, serde_derive and serde_json are not on this machine: run make rust on Debian "
    "or Ubuntu, or cargo fetch in a package that depends on them."
)
HOW_LINKER = "There is no cc, which links what serde adds to Rust's compiler: install gcc or clang."
#: Links what the compiler itself loads.
CC = Path("/usr/bin/cc")


@dataclass(frozen=True)
class Rust:
    """A compiler that can make WebAssembly. `said` is all that it says of itself; `std` is the source of its standard
    library where that is still to be compiled for the target.
    """

    sysroot: Path
    release: tuple[int, int]
    said: str
    std: Path | None

    @property
    def rustc(self) -> Path:
        """The compiler."""
        return self.sysroot / "bin/rustc"

    @property
    def cargo(self) -> Path:
        """What builds libraries of many crates."""
        return self.sysroot / "bin/cargo"

    @property
    def target(self) -> str:
        """The triple of WASI's first preview, as this compiler has it."""
        return _target(self.release)

    @property
    def host(self) -> str:
        """The triple of this machine."""
        found = _HOST.search(self.said)
        return found[1] if found else ""

    @property
    def version(self) -> str:
        """Its version, without when and where it was made."""
        found = _RELEASE.search(self.said)
        return found.group().removeprefix("release: ") if found else ""


def rust() -> Rust:
    """The newest that can make WebAssembly; raises ToolchainMissing."""
    if found := _found():
        return found
    raise ToolchainMissing(HOW)


def crates() -> Path | None:
    """The first folder of sources of crates that has all that is wanted, in folders like `serde-1.0.152`."""
    return next((folder for folder in _registries() if _has_all(folder)), None)


def _has_all(registry: Path) -> bool:
    return all(any(registry.glob(f"{name}-1.*")) for name in WANTED_CRATES)


def missing() -> str | None:
    """What of it is not here and how to get it, as a sentence."""
    if _found() is None:
        return HOW
    if crates() is None:
        return HOW_CRATES
    return None if CC.exists() else HOW_LINKER


def _found() -> Rust | None:
    usable = [found for sysroot in _sysroots() if (found := _usable(sysroot))]
    return max(usable, key=lambda found: (found.release, found.std is None), default=None)


def _sysroots() -> Iterator[Path]:
    yield from (Path("/usr"), Path("/usr/local"))
    for home in (Path.home() / ".rustup", Path("/usr/local/rustup")):
        yield from sorted(home.glob("toolchains/*"))


def _registries() -> Iterator[Path]:
    # Packages bring all that they depend on; in a home is what was once wanted.
    yield Path("/usr/share/cargo/registry")
    for home in (Path.home() / ".cargo", Path("/usr/local/cargo")):
        yield from sorted(home.glob("registry/src/*"))


def _usable(sysroot: Path) -> Rust | None:
    """What is at a place, if it can be used; programs that cannot be are not even run."""
    library = sysroot / "lib/rustlib"
    source = library / "src/rust/library"
    is_source = (source / "vendor").is_dir()
    rustc = sysroot / "bin/rustc"
    if not (is_source or _has_std(library, "wasm32-wasi*")) or not (sysroot / "bin/cargo").exists():
        return None
    said = _said(rustc, rustc.stat().st_mtime_ns) if rustc.exists() else ""
    numbers = _RELEASE.search(said)
    release = (int(numbers[1]), int(numbers[2])) if numbers else (0, 0)
    if release < _OLDEST:
        return None
    if _has_std(library, _target(release)):
        return Rust(sysroot, release, said, None)
    return Rust(sysroot, release, said, source) if is_source and release >= _RENAMED_IN else None


def _target(release: tuple[int, int]) -> str:
    return _TARGET if release >= _RENAMED_IN else _TARGET_BEFORE


def _has_std(library: Path, target: str) -> bool:
    return any(library.glob(f"{target}/lib/libstd-*.rlib"))


@cache
def _said(rustc: Path, _modified_at_ns: int) -> str:
    """What a compiler says of itself, asked again when it is another."""
    try:
        ended = subprocess.run(
            [rustc, "-vV"], cwd="/", env={}, capture_output=True, text=True, timeout=_PATIENCE_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return ended.stdout if ended.returncode == 0 else ""
