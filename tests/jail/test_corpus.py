"""Every hostile source comes to its end, in its time, and takes nothing with it.

A canary lies wherever a host keeps what is nobody's business, with permissions that would let anybody read it and with
room beside it to write. It must be in nothing that comes out, and nothing may be changed or left behind.
"""

import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from app.functions import artifacts
from app.toolchains import LANGUAGES, CompileFailed, CompilerExceededOutput, CompilerOutOfMemory, CompilerTimedOut
from app.toolchains.jail import JailLimits, supervise, wrapping
from tests.jail.corpus import Hostile, corpus
from tests.jail.test_probe import OFF
from tests.toolchains.running import SHARED, need

ROOT = Path(__file__).parents[2]

#: A bomb reaches these soon, and an honest compilation on a slow machine does not.
PATIENT = JailLimits(cpu_seconds=12)
BRIEF = JailLimits(cpu_seconds=1)
BOUNDS = {CompilerTimedOut: "time", CompilerOutOfMemory: "memory", CompilerExceededOutput: "output"}
UNREADABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True)
class Ended:
    """How a compilation ended, everything that came of it, and what of that its author reads."""

    end: str
    told: str
    everything: Mapping[str, bytes]


@dataclass(frozen=True)
class Host:
    """What lies around the job: by the names that sources have for them, files with the canary; and the jobs' place."""

    canary: str
    places: Mapping[str, Path]
    scratch: Path

    def aim(self, source: bytes) -> bytes:
        """The source with the canaries' real paths."""
        paths = {name: str(path) for name, path in self.places.items()} | {"BESIDE_NAME": self.places["BESIDE"].name}
        for name, path in paths.items():
            source = source.replace(f"@{name}@".encode(), path.encode())
        return source

    def around(self) -> dict[Path, tuple[int, float]]:
        """All that could be changed, and how it is now."""
        seen = [child for place in self.places.values() for child in (place.parent, *place.parent.iterdir())]
        return {path: (path.stat().st_size, path.stat().st_mtime) for path in seen if path != self.scratch}


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """Canaries in a home, in every place that everybody can write to, beside the jobs, and in another user's job."""
    base = tmp_path_factory.mktemp("host")
    base.chmod(0o755)
    folders = {
        "TMP": Path(tempfile.mkdtemp(dir="/tmp")),
        "VAR_TMP": Path(tempfile.mkdtemp(dir="/var/tmp")),
        "SHM": Path(tempfile.mkdtemp(dir="/dev/shm")),
        "HOME": base / "home",
        "BESIDE": base / "scratch",
        "JOB": base / "scratch" / "job-of-another",
    }
    canary = secrets.token_hex(16)
    places = {}
    for name, folder in folders.items():
        folder.mkdir(exist_ok=True)
        folder.chmod(0o777)
        places[name] = folder / "canary"
        places[name].write_text(canary)
        places[name].chmod(0o666)
    yield Host(canary, places, folders["BESIDE"])
    for name in ("TMP", "VAR_TMP", "SHM"):
        shutil.rmtree(folders[name])


@pytest.fixture(autouse=True)
def wrapped(monkeypatch: pytest.MonkeyPatch) -> None:
    """The jail stands alone: what it refuses is refused within bubblewrap too."""
    monkeypatch.setattr(wrapping, "works", lambda: False)


@pytest.fixture(autouse=True)
def worker(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """This process is the worker: it has the secret in its environment, and its jobs where the test looks."""
    monkeypatch.setenv("KILN_CANARY", host.canary)
    monkeypatch.setenv("DATABASE_URL", f"postgresql://kiln:{host.canary}@127.0.0.1/kiln")
    monkeypatch.setenv("HOME", str(host.places["HOME"].parent))
    monkeypatch.setattr(tempfile, "tempdir", str(host.scratch))


def attempt(language: str, source: bytes, limits: JailLimits) -> Ended:
    """What a compile worker does with a source, up to what it would keep."""
    toolchain = type(LANGUAGES[language])(limits)
    try:
        made = toolchain.compile(source, shared=SHARED)
        everything = {"log": made.log.encode(), "layer": made.layer or b"", "flags": " ".join(made.flags).encode()}
        # What functions share is none of theirs. Go's modules take ten seconds, and native code holds no other text.
        if made.layer is None and language == "go":
            everything |= {"wasm": made.wasm}
        elif made.layer is None:
            artifact = artifacts.of(made, toolchain.source_name, limits)
            everything |= {"wasm": artifact.wasm, "native": artifact.native, "lines": artifact.lines}
    except CompileFailed as failure:
        everything = {"diagnostics": failure.diagnostics.encode(), "log": failure.log.encode()}
        return Ended(BOUNDS.get(type(failure), "refused"), failure.diagnostics, everything)
    return Ended("compiles", "", everything)


def leaks(ended: Ended, host: Host) -> list[str]:
    """Which secrets are in what came out, and where."""
    directory = host.scratch / "kiln-job-"
    secret = [host.canary, "root:x:0", str(ROOT), str(directory), str(SHARED)]
    encodings = ("utf-8", "utf-16-le")
    return [
        f"{text} in {name}"
        for name, content in ended.everything.items()
        for text in secret
        if any(text.encode(encoding) in content for encoding in encodings)
    ]


def running(host: Host) -> list[str]:
    """The processes that a job has left, wherever they have gone."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and str(host.scratch) in (process.environ().get("HOME") or process.cwd()):
                found.append(str(process))
        except (psutil.Error, OSError):
            continue
    return found


@pytest.mark.parametrize("hostile", corpus(), ids=str)
def test_a_hostile_source_ends_and_takes_nothing_with_it(
    hostile: Hostile, host: Host, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    need(hostile.language)
    before = host.around()
    limits = BRIEF if "time" in hostile.ends else PATIENT
    ended = attempt(hostile.language, host.aim(hostile.source), limits)
    assert ended.end in hostile.ends, ended
    assert hostile.told in ended.told or ended.end in BOUNDS.values()
    assert ended.told.startswith(f"source.{LANGUAGES[hostile.language].extension}:") or ended.end == "compiles"
    assert not UNREADABLE.search(ended.told + ended.everything["log"].decode())
    assert leaks(ended, host) == []
    assert running(host) == []
    assert [path.name for path in host.scratch.glob("kiln-job-*")] == []
    assert host.around() == before
    said = caplog.text + "".join(capfd.readouterr())
    assert host.canary not in said
    assert "jail.leftover" not in [record.__dict__.get("event") for record in caplog.records]


def test_the_corpus_is_large_and_every_language_has_its_part() -> None:
    everything = list(corpus())
    assert len({str(hostile) for hostile in everything}) == len(everything) >= 150
    assert {hostile.language for hostile in everything} == LANGUAGES.keys()


@pytest.mark.parametrize("source", ["include", "embed", "incbin", "assembler-include"])
def test_without_its_walls_the_corpus_sees_the_leak(
    source: str, host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Must fail: with Landlock off, what is looked for is found."""
    inside = Path(supervise.INSIDE)
    copy = tmp_path / "app" / "toolchains" / "jail" / "inside"
    shutil.copytree(inside.parent, copy)
    (copy / "landlock.py").write_text(OFF["landlock"])
    monkeypatch.setattr(supervise, "INSIDE", str(copy / inside.name))
    hostile = next(one for one in corpus() if str(one) == f"c-{source}")
    assert leaks(attempt("c", host.aim(hostile.source), PATIENT), host) != []
