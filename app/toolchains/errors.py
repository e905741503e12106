"""What goes wrong between source and wasm, told apart by whose fault it is."""


class ToolchainError(Exception):
    """The toolchain did not produce a module."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.__doc__)


class UnknownLanguage(ToolchainError):
    """There is no toolchain for this language."""

    def __init__(self, language: str, known: tuple[str, ...]) -> None:
        super().__init__(f"there is no language {language!r}; there are {', '.join(known)}")
        self.language = language


class ToolchainMissing(ToolchainError):
    """The compiler is not installed on this machine; the source is not at fault."""


class InstallFailed(ToolchainError):
    """The compilers could not be installed."""


class PartFailed(ToolchainError):
    """What all compilations of a language share could not be built."""


class CompileFailed(ToolchainError):
    """The source is not a program of its language.

    `diagnostics` is what its author reads: lines of `source.ext:line:column: message`, the first error first, without
    paths of this machine, at most 64 KiB. `log` is what else the compiler said.
    """

    def __init__(self, diagnostics: str, log: str = "") -> None:
        super().__init__(diagnostics)
        self.diagnostics = diagnostics
        self.log = log


class CompilerTimedOut(CompileFailed):
    """The compilation took longer than it may."""


class CompilerOutOfMemory(CompileFailed):
    """The compilation needed more memory than it may."""


class CompilerExceededOutput(CompileFailed):
    """The compiler wrote more than it may."""
