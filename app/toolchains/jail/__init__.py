"""The jail: the only place where a program reads what a user wrote.

It owns one call, `run`, and the private directory that a run has. What holds today:

- a private job directory (0700) that is the working directory, HOME and TMPDIR, and is removed afterwards without
  following a link, however deep, however unreadable; `sweep` removes those of workers that were killed;
- a clean environment: nothing of the worker's is inherited, neither variables nor descriptors; input comes from memory;
- an own session, under a supervisor that adopts orphans: every descendant is killed at the wall clock, when the main
  process ends, and when the worker dies, also by SIGKILL;
- limits on data memory, processor time, file size, descriptors, and, for a worker that is not root, processes; no core
  dumps, no new privileges (set-uid programs gain nothing);
- output read while it is written and cut at its limit; result files taken through the directory's descriptor, only if
  they are plain files with one name and a bounded size.

What does not hold yet: the process runs as the worker's user and sees that user's files, processes and network, and the
sum of its files is not bounded. Landlock and seccomp belong into `launch.py`, beside the limits; bubblewrap wraps the
command line in `supervise.py`. `readable` names what they will let through, so that callers declare it from the start.
"""

from app.toolchains.jail.job import sweep
from app.toolchains.jail.limits import JailError, JailLimits, JailResult
from app.toolchains.jail.run import run

__all__ = ["JailError", "JailLimits", "JailResult", "run", "sweep"]
