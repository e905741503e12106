"""The program in the jail that has Go's standard library compiled, by `go list`, and keeps it as a folder of archives.

standard.py GOROOT      # writes library/, where each package lies by its path, as fmt.a
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

#: What serves no function here: it needs sockets, other processes, or is for those who write compilers and tests.
WITHOUT = (
    *("cmd", "database", "debug", "expvar", "go", "internal", "log/syslog", "net/http", "net/rpc", "net/smtp"),
    *("crypto/tls", "os/exec", "os/user", "plugin", "runtime/cgo", "runtime/coverage", "runtime/pprof", "runtime/race"),
    *("runtime/trace", "testing", "vendor", "net/textproto", "embed"),
)
_ENVIRONMENT = {
    "CGO_ENABLED": "0",
    "GO111MODULE": "off",
    "GOENV": "off",
    "GOFLAGS": "-buildvcs=false",
    "GOPROXY": "off",
    "GOTELEMETRY": "off",
    "GOTOOLCHAIN": "local",
}
_EXPORTS = ("-export", "-deps", "-trimpath", "-buildmode=c-shared", "-f", "{{.ImportPath}}\t{{.Export}}")


def main(root: str) -> None:
    """Compile all packages that functions may import, and what these import."""
    listed = _go(root, "list", "std").splitlines()
    wanted = [name for name in listed if not any(f"{name}/".startswith(f"{one}/") for one in WITHOUT)]
    for line in _go(root, "list", *_EXPORTS, *wanted).splitlines():
        name, archive = line.split("\t")
        if archive:
            to = Path("library", f"{name}.a")
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(archive, to)


def _go(root: str, *arguments: str) -> str:
    cache = str(Path("cache").absolute())
    environment = {**os.environ, **_ENVIRONMENT, "GOROOT": root, "GOCACHE": cache}
    command = [str(Path(root) / "bin" / "go"), *arguments]
    ended = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    if ended.returncode != 0:
        sys.exit(ended.returncode)
    return ended.stdout


if __name__ == "__main__":
    main(sys.argv[1])
