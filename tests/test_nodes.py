"""Each worker of a host has a name of its own."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from app.nodes import take_name

#: Takes a name, leaves a child behind as a pool does, and waits.
WORKER = """
import os, sys, time
from pathlib import Path
from app.nodes import take_name
name = take_name(sys.argv[1], Path(sys.argv[2]))
child = os.fork()
if child:
    print(name, child, flush=True)
time.sleep(60)
"""


class Named:
    """A process with a name."""

    def __init__(self, wanted: str, directory: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", WORKER, wanted, directory], stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self.name, child = self._process.stdout.readline().split()
        self._child = int(child)

    def kill(self) -> None:
        """End it in the middle of its work; its child lives on."""
        self._process.kill()
        self._process.wait()

    def end(self) -> None:
        """End it and its child."""
        self.kill()
        os.kill(self._child, signal.SIGKILL)
        assert self._process.stdout is not None
        self._process.stdout.close()


def test_workers_of_one_command_have_a_name_each(tmp_path: Path) -> None:
    directory = tmp_path / "home" / "nodes"
    one, two = Named("execute@here", directory), Named("execute@here", directory)
    assert (one.name, two.name) == ("execute@here", "execute@here-2")
    assert take_name("compile@here", directory) == "compile@here"
    assert take_name("odd/name@here", directory) == "odd/name@here"
    # The name of one that was killed is free at once, whatever it left behind.
    one.kill()
    again = Named("execute@here", directory)
    assert again.name == "execute@here"
    for named in (one, two, again):
        named.end()
