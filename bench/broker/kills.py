"""What becomes of twenty tasks of a second each, acknowledged late, when their worker is killed with all its children
after six.
"""

import tempfile
import time
from pathlib import Path

from bench.broker.processes import Worker
from bench.broker.producers import CeleryProducer

TASKS, DONE_FIRST, WAIT_SECONDS = 20, 6, 40


def killed(url: str) -> tuple[int, float]:
    """How many of the tasks were done in the end, by the second worker where the first did not do them, and the seconds
    from its start until the last of them was.
    """
    sending = CeleryProducer(url)
    for number in range(TASKS):
        sending.send(number, 1, task="bench.work")
    sending.close()
    with tempfile.TemporaryDirectory(prefix="kiln-bench-") as name:
        home = Path(name)
        first = Worker(url, home)
        first.await_starts(DONE_FIRST)
        first.kill()
        done = {number for number, _ in first.starts()}
        (home / "starts").unlink()
        began = time.monotonic()
        second = Worker(url, home)
        last = began
        while len(done) < TASKS and time.monotonic() < began + WAIT_SECONDS:
            before = len(done)
            done |= {number for number, _ in second.starts()}
            last = time.monotonic() if len(done) > before else last
            time.sleep(0.1)
        second.stop()
    return len(done), last - began
