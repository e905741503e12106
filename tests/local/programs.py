"""Small programs for the launcher to run: `python programs.py NAME ...`. `launch` is the launcher itself over the
others.
"""

import http.server
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from app.addresses import flower_socket
from app.local.launcher import Launch, Launcher
from app.local.procfile import ProcessSpec


def web(port: str) -> None:
    """Ready at once; says in which order it was stopped."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:
            pass

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        http.server.ThreadingHTTPServer(("127.0.0.1", int(port)), Handler).serve_forever()
    finally:
        note("web stopped")


def worker(seconds: str = "0") -> None:
    """Drains for some seconds when it is stopped, and needs the database to the end."""

    def drain(*_: object) -> None:
        time.sleep(float(seconds))
        socket_directory = Path(os.environ["KILN_HOME"]) / "run"
        note(f"worker stopped, database {'there' if any(socket_directory.glob('.s.*')) else 'gone'}")
        sys.exit(0)

    signal.signal(signal.SIGTERM, drain)
    note("worker started")
    while True:
        signal.pause()


def flower(seconds: str) -> None:
    """Listens on its socket after some seconds."""
    time.sleep(float(seconds))
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(flower_socket(Path(os.environ["KILN_HOME"]))))
        listening.listen()
        note("flower listens")
        signal.pause()


def stubborn() -> None:
    """Ignores SIGTERM, and so does what it started, in a session of its own."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for new_session in (False, True):
        child = subprocess.Popen(["sleep", "600"], start_new_session=new_session)
        note(f"grandchild {child.pid}")
    note(f"stubborn {os.getpid()}")
    while True:
        signal.pause()


def broken() -> None:
    """Dies at once, and says why."""
    sys.exit("the web could not find its shoes")


def seed() -> None:
    """Prints what the examples' registration prints."""
    print("not a line for machines")
    print(json.dumps({"name": "greet", "id": "0199", "input": {"name": "Ada"}}))
    note("seeded")


def note(text: str) -> None:
    """Add a line to what the test reads."""
    with Path(os.environ["NOTES"]).open("a") as notes:
        notes.write(f"{text}\n")


def launch(given: str) -> None:
    """Run the launcher with these processes: `[[name, [argument, ...], stop_seconds, rank], ...]` and a port."""
    wanted = json.loads(given)
    home = Path(os.environ["KILN_HOME"])
    here = (sys.executable, __file__)
    processes = [ProcessSpec(name, (*here, *argv), seconds, rank) for name, argv, seconds, rank in wanted["processes"]]
    plan = Launch(
        home=home,
        bind="127.0.0.1",
        port=wanted["port"],
        database_url=wanted.get("database_url", "postgresql:///"),
        embedded="database_url" not in wanted,
        directory=Path.cwd(),
        environment=os.environ,
        processes=tuple(processes),
        release=tuple(wanted["release"]) if "release" in wanted else None,
        seed=(*here, "seed"),
    )
    sys.exit(Launcher(plan).run())


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
