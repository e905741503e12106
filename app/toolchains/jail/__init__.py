"""The jail: the only place where a program reads what a user wrote.

It owns one call, `run`, and the private directory that a run has. What holds:

- a private job directory (0700) that is the working directory, HOME and TMPDIR, and is removed afterwards without
  following a link, however deep, however unreadable; `sweep` removes those of workers that were killed;
- a clean environment: nothing of the worker's is inherited, neither variables nor descriptors; input comes from memory;
- no privileges: nothing that it starts gains any, and a worker that is root makes each job a user of its own;
- no file but its directory, the system's libraries and what `readable` names (Landlock): no /proc, no /tmp, no home;
- no network, no socket to anybody, no other process, no namespace, no door into the kernel that compilers do not need,
  and nothing left behind that is no file (seccomp);
- an own session, under a supervisor that adopts orphans: every descendant is killed at the wall clock, when the main
  process ends, and when the worker dies, also by SIGKILL;
- limits on data memory, processor time, file size, descriptors and processes, and on the memory and the files of all
  its processes together; no core dumps; it yields to whoever executes functions;
- output read while it is written and cut at its limit; result files taken through the directory's descriptor, only if
  they are plain files with one name and a bounded size.

Where bubblewrap is installed and works it stands around all this (`wrapping`), as a second wall; where the operator has
delegated control groups each job gets one (`groups`), and the kernel holds the bounds of all its processes together.

`inside` is what runs in the jail's processes before the program, `probe` tries all of this from within.
"""

from app.toolchains.jail.groups import sweep as sweep_groups
from app.toolchains.jail.job import sweep
from app.toolchains.jail.limits import Bound, JailError, JailLimits, JailResult
from app.toolchains.jail.probe import unsound, unusable
from app.toolchains.jail.run import run

__all__ = ["Bound", "JailError", "JailLimits", "JailResult", "run", "sweep", "sweep_groups", "unsound", "unusable"]
