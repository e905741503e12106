"""The program that the jail starts, `python -I -S start.py …`.

All of it is in `main`: Python keeps the bytecode of what it imports, and compiles anew what it is told to run.
"""

import os
import sys

# The packages above are given by their bare names: importing them would take many times as long as all this.
_above = os.path.abspath(__file__).rsplit("/", 5)[0]  # noqa: PTH100 - pathlib takes 10 ms to import
for _name in ("app", "app.toolchains", "app.toolchains.jail"):
    sys.modules[_name] = type(sys)(_name)
    sys.modules[_name].__path__ = [f"{_above}/{_name.replace('.', '/')}"]

if __name__ == "__main__":
    from app.toolchains.jail.inside.main import main

    # Nothing is left to be cleaned up or flushed, and an interpreter takes milliseconds to take itself apart.
    os._exit(main(sys.argv[1:]))
