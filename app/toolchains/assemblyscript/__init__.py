"""AssemblyScript: TypeScript's syntax on WebAssembly's types, compiled by `asc` on node.

The folder holds all that the language needs: the toolchain, the glue that puts the memory ABI around the author's
`handle`, the program that drives the compiler, and the pinned packages (`json-as` may be imported by authors).
"""

from app.toolchains.assemblyscript.toolchain import AssemblyScript

__all__ = ["AssemblyScript"]
