"""How long it takes until a newcomer has a first result, how long a second start takes, and what an idle Kiln weighs.

    python -m bench.start

Copies the tracked files to a fresh directory and runs `make up` there twice. Downloads come from the package manager's
cache where it has one. Memory is the proportional set size of all processes: shared pages are counted once.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

import psutil

from bench.latency import Api, await_languages

ROOT = Path(__file__).resolve().parents[1]
PORT = "8917"


def fresh_clone(directory: Path) -> None:
    """The tracked files, as a clone has them."""
    names = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.splitlines()
    for name in names:
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, directory / name)


def start(directory: Path) -> tuple[subprocess.Popen[str], float, str]:
    """`make up`; answers the process, the seconds until it was ready, and what it printed."""
    began = time.monotonic()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("KILN_")} | {"PORT": PORT}
    process = subprocess.Popen(["make", "up"], cwd=directory, env=environment, stdout=subprocess.PIPE, text=True)
    printed = ""
    while process.stdout is not None and (line := process.stdout.readline()):
        printed += line
        if "curl" in line or (line.startswith("Kiln is ready") and "examples" not in printed):
            break
    return process, time.monotonic() - began, printed


def first_result(printed: str) -> str:
    """Run the printed curl line by hand."""
    match = re.search(r"(http://\S+/execute) -H '(\S+): (.*?)' .*-d '(.*)'", printed)
    if match is None:
        raise AssertionError(printed)
    headers = {"Content-Type": "application/json", match[2]: match[3]}
    request = urllib.request.Request(match[1], match[4].encode(), headers)  # noqa: S310
    with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310 - the address is loopback
        return str(json.loads(response.read())["output"])


def languages_ready(directory: Path) -> None:
    """Wait until every language can be compiled."""
    await_languages(Api(int(PORT), directory / ".kiln"))


def memory(process: subprocess.Popen[str]) -> list[tuple[int, str]]:
    """Bytes of every process of this Kiln, largest first."""
    family = psutil.Process(process.pid).children(recursive=True)
    return sorted(((one.memory_full_info().pss, " ".join(one.cmdline())[:60]) for one in family), reverse=True)


def stop(process: subprocess.Popen[str]) -> float:
    """Seconds that an ordered stop takes."""
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=60)
    return time.monotonic() - began


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory(prefix="kiln-start-") as name:
        directory = Path(name)
        fresh_clone(directory)
        process, seconds, printed = start(directory)
        began = time.monotonic()
        result = first_result(printed)
        print(f"clean clone to first result    {seconds + time.monotonic() - began:6.1f} s   {result}")
        languages_ready(directory)
        print(f"until every language is ready  {seconds + time.monotonic() - began:6.1f} s")
        time.sleep(5)
        sizes = memory(process)
        print(f"idle, all processes            {sum(size for size, _ in sizes) / 1e6:6.0f} MB")
        for size, command in sizes[:9]:
            print(f"    {size / 1e6:6.1f} MB  {command}")
        print(f"ordered stop                   {stop(process):6.1f} s")
        process, seconds, _ = start(directory)
        print(f"second start                   {seconds:6.1f} s")
        stop(process)


if __name__ == "__main__":
    main()
