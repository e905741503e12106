"""What functions in Rust are linked with: serde, `kiln.rs`, and the standard library where nobody has compiled it yet.

cargo builds them, from sources that are on this machine. That code is not an author's, so it may read more and run the
machine's own linker, for what serde's derive adds to the compiler.
"""

from pathlib import Path

from app.toolchains import zig
from app.toolchains.errors import ToolchainMissing
from app.toolchains.parts import Part, build
from app.toolchains.rust import installation
from app.toolchains.rust.installation import Rust

GLUE = Path(__file__).parent / "kiln.rs"
SHELL = Path("/bin/sh")
LINKER = "wasm-ld"

_PROFILE = '[profile.release]\npanic = "abort"\nopt-level = "s"\ndebug = false\n'
_OFFLINE = (
    "--offline",
    "--config",
    'source.crates-io.replace-with="here"',
    "--config",
    'source.here.directory="crates"',
)

_NOTHING = f"""
[package]
name = "nothing"
version = "0.0.0"
edition = "2021"
[lib]
path = "nothing.rs"
{_PROFILE}
"""
#: Floats are read exactly, as they are everywhere else.
_KILN = f"""
[package]
name = "kiln"
version = "0.0.0"
edition = "2021"
[lib]
path = "kiln.rs"
[dependencies]
serde = {{ version = "1", features = ["derive"] }}
serde_json = {{ version = "1", features = ["float_roundtrip"] }}
{_PROFILE}
"""

#: Makes of folders like `serde-1.0.152` what cargo takes for a copy of its registry; some are that already.
_GATHER = """
mkdir crates
for folder; do
    to="crates/${folder##*/}"
    if [ -f "$folder/.cargo-checksum.json" ]; then
        ln -s "$folder" "$to"
    elif [ -f "$folder/Cargo.toml" ]; then
        mkdir "$to"
        ln -s "$folder"/* "$to"
        echo '{"files":{}}' >"$to/.cargo-checksum.json"
    fi
done
"""
#: The compiler is told where it is: in the jail it cannot see that. No path of this machine is in what it makes.
_BUILD = """
printf '#!/bin/sh\\nexec "$@" "--sysroot=%s"\\n' "$SYSROOT" >rustc-here
chmod +x rustc-here
export RUSTC_WRAPPER="$PWD/rustc-here" RUSTFLAGS="$FLAGS --remap-path-prefix=$PWD=."
exec "$@"
"""
#: The compiler tells its linker how to behave in words that only another program understands.
_WASM_LD = '#!/bin/sh\n[ "$1" = -flavor ] && shift 2\nexec "{zig}" wasm-ld "$@"\n'

#: What links for this machine, and what it is made of.
_HOST = ("/usr/bin", "/usr/libexec", "/usr/include", "/etc/alternatives", "/bin/sh")


def _cargo(rust: Rust, *options: str) -> list[str]:
    build_all = [str(rust.cargo), "build", "--release", *_OFFLINE]
    return [str(SHELL), "-c", _BUILD, "sh", *build_all, "--target", rust.target, *options]


def _gather(registry: Path) -> list[str]:
    return [str(SHELL), "-c", _GATHER, "sh", *map(str, sorted(registry.iterdir()))]


def _readable(rust: Rust, *more: Path) -> list[Path]:
    return [path for path in (*map(Path, _HOST), rust.sysroot / "lib", rust.sysroot / "bin", *more) if path.exists()]


def _environment(rust: Rust, flags: str) -> dict[str, str]:
    path = f"{rust.sysroot / 'bin'}:/usr/bin:/bin"
    # gcc finds what belongs to it if it is called by its whole name.
    linker = f"CARGO_TARGET_{rust.host.upper().replace('-', '_')}_LINKER"
    return {
        "PATH": path,
        linker: str(installation.CC),
        "RUSTC": str(rust.rustc),
        "SYSROOT": str(rust.sysroot),
        "FLAGS": flags,
    }


def _compile_std(rust: Rust, source: Path, folder: Path) -> None:
    remap = " ".join(f"--remap-path-prefix={path.parent}=rust" for path in {source, source.resolve()})
    build(
        folder,
        _gather(source / "vendor"),
        _cargo(rust, "-Zbuild-std=std,panic_abort"),
        files={"Cargo.toml": _NOTHING.encode(), "nothing.rs": b""},
        # Only the standard library itself may use what is not stable.
        environment={**_environment(rust, remap), "RUSTC_BOOTSTRAP": "1"},
        readable=_readable(rust, source.resolve().parent),
        kept=[f"target/{rust.target}/release/deps/*.rlib"],
    )
    for of_nothing in folder.glob("libnothing-*"):
        of_nothing.unlink()


def std(rust: Rust) -> Part | None:
    """The standard library, where it is to be compiled."""
    source = rust.std
    if source is None:
        return None
    made_of = [rust.said, str(source), _NOTHING, *_OFFLINE, _GATHER, _BUILD]
    return Part("rust-std", made_of, lambda folder: _compile_std(rust, source, folder))


def std_flags(rust: Rust, shared: Path) -> list[str]:
    """Where the compiler finds the standard library, if that is not where it looks anyway."""
    part = std(rust)
    return [] if part is None else ["-L", str(part.folder(shared))]


def _compile_crates(rust: Rust, registry: Path, folder: Path) -> None:
    shared = folder.parent
    part = std(rust)
    build(
        folder,
        _gather(registry),
        _cargo(rust),
        files={"Cargo.toml": _KILN.encode(), "kiln.rs": GLUE.read_bytes()},
        environment=_environment(rust, " ".join(std_flags(rust, shared))),
        readable=_readable(rust, registry, *([] if part is None else [part.folder(shared)])),
        kept=[f"target/{rust.target}/release/deps/*.rlib", "target/release/deps/libserde_derive-*.so"],
    )
    linker = folder / LINKER
    linker.write_text(_WASM_LD.format(zig=zig.zig()))
    linker.chmod(0o755)


def crates(rust: Rust) -> Part:
    """serde, serde_json and `kiln`, and the linker as the compiler calls it."""
    registry = installation.crates()
    if registry is None:
        raise ToolchainMissing(installation.HOW_CRATES)
    part = std(rust)
    before = [] if part is None else part.made_of
    script = _WASM_LD.format(zig=zig.home() / "zig") if zig.version() else ""
    versions = [path.name for name in installation.WANTED_CRATES for path in sorted(registry.glob(f"{name}-1.*"))]
    made_of = [
        rust.said,
        *before,
        str(registry),
        *versions,
        _KILN,
        *_OFFLINE,
        _GATHER,
        _BUILD,
        script,
        GLUE.read_bytes(),
    ]
    return Part("rust-crates", made_of, lambda folder: _compile_crates(rust, registry, folder))


def parts(rust: Rust) -> list[Part]:
    """All of it, in the order in which it is made."""
    part = std(rust)
    return [zig.C_LIBRARY, *([] if part is None else [part]), crates(rust)]
