"""bubblewrap around the jail, where it is installed and works: processes, network, messages and files of its own, in
which there is nothing else to be found.

What holds without it holds within it; this is a second wall. Ordinary users need user namespaces for it, which many
containers forbid; root does without them, so that a job becomes a user of its own here too.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

from app.toolchains.jail.inside.main import LIBRARIES

_PATIENCE_SECONDS = 10
#: What the jail needs of root's privileges before it gives them all up.
_PRIVILEGES = ("CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "KILL", "SETGID", "SETPCAP", "SETUID")


@cache
def works() -> bool:
    """Whether programs can be wrapped on this machine, tried once by each process."""
    command = wrapped(["/bin/true"], directory=Path("/tmp"), readable=[Path("/bin")])  # noqa: S108
    try:
        return subprocess.run(command, capture_output=True, timeout=_PATIENCE_SECONDS, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def wrapped(argv: Sequence[str], *, directory: Path, readable: Iterable[Path]) -> list[str]:
    """The command that runs `argv` in `directory` with these paths and the system's libraries, and nothing else."""
    command = [
        shutil.which("bwrap") or "bwrap",
        "--die-with-parent",
        # Whoever supervises is the first process in there: nothing in there can kill it, all ends with it, and
        # bubblewrap waits for it.
        "--as-pid-1",
        "--new-session",
        "--hostname",
        "jail",
        "--unsetenv",
        "PWD",
    ]
    command += ["--unshare-ipc", "--unshare-net", "--unshare-pid", "--unshare-uts", "--unshare-cgroup-try"]
    if os.geteuid() == 0:
        command += ["--cap-drop", "ALL"]
        for name in _PRIVILEGES:
            command += ["--cap-add", f"CAP_{name}"]
    else:
        command.append("--unshare-user")
    interpreter = (Path(sys.prefix), Path(sys.base_prefix), Path(__file__).parent / "inside")
    bound = {*map(Path, LIBRARIES), *interpreter, *readable}
    # Of the folders on the way there only root would be told that they can be searched, and gcc asks.
    for folder in sorted({above for path in (directory, *bound) for above in path.parents} - {Path("/")}):
        command += ["--perms", "0755", "--dir", str(folder)]
    for path in sorted(bound):
        if not bound.intersection(path.parents):
            command += ["--ro-bind-try", str(path), str(path)]
    command += ["--dev", "/dev", "--proc", "/proc"]
    return [*command, "--bind", str(directory), str(directory), "--chdir", str(directory), "--", *argv]
