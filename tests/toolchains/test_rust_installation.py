"""Where Rust is looked for, and what is said where it is not: on every machine, with or without Rust."""

from pathlib import Path

import pytest

from app.toolchains import State
from app.toolchains.rust import installation
from app.toolchains.rust.toolchain import Rust


def _sysroot(folder: Path, *files: str, said: str = "release: 1.90.0\nhost: x86_64-unknown-linux-gnu") -> Path:
    for file in (*files, "bin/cargo", "bin/rustc"):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).touch()
    (folder / "bin/rustc").write_text(f"#!/bin/sh\necho '{said}'\n")
    (folder / "bin/rustc").chmod(0o755)
    return folder


STD = "lib/rustlib/wasm32-wasip1/lib/libstd-1.rlib"


def test_a_compiler_without_a_target_is_of_no_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    useless = [
        _sysroot(tmp_path / "native", "lib/rustlib/x86_64-unknown-linux-gnu/lib/libstd-1.rlib"),
        _sysroot(tmp_path / "browsers", "lib/rustlib/wasm32-unknown-unknown/lib/libstd-1.rlib"),
        _sysroot(tmp_path / "old", "lib/rustlib/wasm32-wasi/lib/libstd-1.rlib", said="release: 1.63.0"),
        _sysroot(tmp_path / "other", "lib/rustlib/wasm32-wasi/lib/libstd-1.rlib"),
        _sysroot(tmp_path / "broken", STD, said="error: no toolchain"),
    ]
    monkeypatch.setattr(installation, "_sysroots", lambda: iter(useless))
    assert installation.missing() == installation.HOW
    assert Rust().readiness(tmp_path).state is State.MISSING
    assert Rust().parts == ()
    assert Rust().version() == "not installed"


def test_the_newest_compiler_that_is_of_use_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usable = [
        _sysroot(tmp_path / "older", STD, said="release: 1.89.0"),
        _sysroot(tmp_path / "newer", STD, said="release: 1.100.0-beta.1"),
        _sysroot(tmp_path / "source", "lib/rustlib/src/rust/library/vendor/x/y", said="release: 1.100.0"),
    ]
    monkeypatch.setattr(installation, "_sysroots", lambda: iter(usable))
    found = installation.rust()
    assert (found.sysroot, found.version, found.std) == (usable[1], "1.100.0-beta.1", None)


def test_crates_that_are_not_there_are_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "serde-1.0.200").mkdir()
    monkeypatch.setattr(installation, "_sysroots", lambda: iter([_sysroot(tmp_path / "usable", STD)]))
    monkeypatch.setattr(installation, "_registries", lambda: iter([tmp_path]))
    assert installation.missing() == installation.HOW_CRATES
