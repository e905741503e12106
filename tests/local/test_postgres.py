import os
import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from app.addresses import socket_directory
from app.local import cluster, postgres
from app.local.errors import (
    AccessDenied,
    DiskFull,
    HomeInUse,
    NotServerData,
    OldServerData,
    ServerFailed,
    SharedMemoryShortage,
    explain,
)
from app.local.identity import Identity
from app.local.postgres import EmbeddedPostgres
from tests.local.conftest import alive, eventually, is_root

REPOSITORY = Path(__file__).parents[2]
HOLD = """
import sys, time
from pathlib import Path
from app.local.postgres import EmbeddedPostgres
server = EmbeddedPostgres(Path(sys.argv[1]), durable=False)
server.start()
print(server.pid, flush=True)
time.sleep(600)
"""


def hold(home: Path) -> tuple[subprocess.Popen[str], int]:
    """Another process that runs a server on `home`, and the server's process id."""
    holder = subprocess.Popen([sys.executable, "-c", HOLD, home], stdout=subprocess.PIPE, text=True, cwd=REPOSITORY)
    assert holder.stdout is not None
    with holder.stdout:
        return holder, int(holder.stdout.readline())


def scalar(url: str, query: str) -> object:
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(query).fetchone()
        return row[0] if row else None


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_it_starts_stops_and_keeps_its_data(home: Path) -> None:
    with EmbeddedPostgres(home, durable=False) as server:
        with psycopg.connect(server.url(), autocommit=True) as connection:
            connection.execute("CREATE TABLE kept (word text)")
            connection.execute("INSERT INTO kept VALUES ('ÄÖ')")
        pid = server.pid
        assert server.version.startswith("18.")
    assert pid is not None
    assert not alive(pid)
    with EmbeddedPostgres(home, durable=False) as server:
        assert scalar(server.url(), "SELECT lower(word) FROM kept") == "äö"


def test_only_its_user_can_reach_it_and_no_directory_is_opened_for_it(home: Path) -> None:
    home.parent.chmod(0o700)
    with EmbeddedPostgres(home, durable=False) as server:
        assert [mode(path) for path in (home, server.data, home / "run", home / "run/.s.PGSQL.5432")] == [0o700] * 4
        assert scalar(server.url(), "SHOW listen_addresses") == ""
    assert mode(home.parent) == 0o700


def test_durability_is_given_up_only_on_request(home: Path) -> None:
    with EmbeddedPostgres(home) as server:
        assert scalar(server.url(), "SELECT string_agg(setting, ' ') FROM pg_settings WHERE name = 'fsync'") == "on"
    with EmbeddedPostgres(home, durable=False) as server:
        assert scalar(server.url(), "SHOW fsync") == "off"


def test_it_starts_again_after_everything_was_killed(home: Path) -> None:
    holder, pid = hold(home)
    with psycopg.connect(EmbeddedPostgres(home).url(), autocommit=True) as connection:
        connection.execute("SET synchronous_commit = on")
        connection.execute("CREATE TABLE kept (id int)")
        os.kill(holder.pid, signal.SIGKILL)
        os.kill(pid, signal.SIGKILL)
        holder.wait()
        assert (home / "postgres/postmaster.pid").exists()
    with EmbeddedPostgres(home, durable=False) as server:
        assert scalar(server.url(), "SELECT count(*) FROM kept") == 0


def test_a_server_that_was_killed_is_started_again_by_its_holder(server: EmbeddedPostgres) -> None:
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    assert eventually(lambda: server.poll() == "signal 9 (SIGKILL)")
    server.start()
    assert scalar(server.url(), "SELECT 1") == 1


def test_the_server_stops_when_its_holder_is_killed(home: Path) -> None:
    holder, pid = hold(home)
    holder.kill()
    holder.wait()
    assert eventually(lambda: not alive(pid))
    assert not (home / "postgres/postmaster.pid").exists()


def test_a_server_that_outlived_its_holder_is_stopped_first(home: Path) -> None:
    holder, pid = hold(home)
    os.kill(pid, signal.SIGSTOP)  # So that it cannot obey when its holder dies.
    holder.kill()
    holder.wait()
    resume = subprocess.Popen(["sh", "-c", f"sleep 0.3; kill -CONT {pid}"])
    with EmbeddedPostgres(home, durable=False) as server:
        assert not alive(pid)
        assert scalar(server.url(), "SELECT 1") == 1
    resume.wait()


def test_a_pid_file_that_names_an_unrelated_process_is_no_obstacle(home: Path) -> None:
    with EmbeddedPostgres(home, durable=False) as server:
        written = (server.data / "postmaster.pid").read_text()
        lock = (home / "run/.s.PGSQL.5432.lock").read_text()
    stale = written.replace(written.split()[0], str(os.getppid()), 1)
    (server.data / "postmaster.pid").write_text(stale)
    (home / "run/.s.PGSQL.5432.lock").write_text(lock.replace(lock.split()[0], str(os.getppid()), 1))
    with EmbeddedPostgres(home, durable=False) as server:
        assert scalar(server.url(), "SELECT 1") == 1


def test_a_second_holder_is_refused_and_disturbs_nothing(server: EmbeddedPostgres) -> None:
    second = EmbeddedPostgres(server.home, durable=False)
    with pytest.raises(HomeInUse, match=f"process {os.getpid()}"):
        second.start()
    assert scalar(server.url(), "SELECT 1") == 1


def test_an_initdb_that_was_killed_leaves_nothing_in_the_way(home: Path) -> None:
    draft = home / "postgres.initdb"
    (draft / "base").mkdir(parents=True)
    (draft / "PG_VERSION").write_text("18\n")
    with EmbeddedPostgres(home, durable=False) as server:
        assert scalar(server.url(), "SELECT 1") == 1
    assert not draft.exists()


def test_a_home_with_a_long_path_works(home: Path) -> None:
    far = home / ("deep/" * 25)
    with EmbeddedPostgres(far, durable=False) as server:
        assert scalar(server.url(), "SELECT 1") == 1
        directory = socket_directory(far)
        assert mode(directory) == 0o700
    shutil.rmtree(directory)


def test_a_socket_directory_that_somebody_else_put_there_is_refused(home: Path) -> None:
    far = home / ("deep/" * 25)
    socket_directory(far).symlink_to(home.parent)
    try:
        with pytest.raises(AccessDenied, match="not a directory of ours"):
            EmbeddedPostgres(far, durable=False).start()
    finally:
        socket_directory(far).unlink()


def test_data_of_another_major_version_is_named(home: Path) -> None:
    (home / "postgres").mkdir(parents=True)
    (home / "postgres/PG_VERSION").write_text("16\n")
    with pytest.raises(OldServerData, match="made by PostgreSQL 16; this is PostgreSQL 18"):
        EmbeddedPostgres(home, durable=False).start()


def test_a_directory_that_holds_something_else_is_left_alone(home: Path) -> None:
    (home / "postgres").mkdir(parents=True)
    (home / "postgres/thesis.txt").write_text("precious")
    with pytest.raises(NotServerData):
        EmbeddedPostgres(home, durable=False).start()
    assert (home / "postgres/thesis.txt").read_text() == "precious"


def test_a_server_that_cannot_start_says_why_and_leaves_no_lock(home: Path) -> None:
    server = EmbeddedPostgres(home, durable=False)
    with server:
        pass
    (server.data / "global/pg_control").rename(home / "aside")
    with pytest.raises(Exception, match="pg_control"):
        server.start()
    (home / "aside").rename(server.data / "global/pg_control")
    with server:
        assert scalar(server.url(), "SELECT 1") == 1


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ('FATAL:  could not write to file "pg_wal/xlogtemp.29": No space left on device', DiskFull),
        (
            'FATAL:  could not resize shared memory segment "/PostgreSQL.1" to 1 bytes: No space left on device',
            SharedMemoryShortage,
        ),
        ("FATAL:  could not map anonymous shared memory: Cannot allocate memory", SharedMemoryShortage),
        ('FATAL:  could not open file "global/pg_control": Permission denied', AccessDenied),
        ("FATAL:  database files are incompatible with server", OldServerData),
    ],
)
def test_the_end_of_a_log_is_understood(line: str, error: type[Exception]) -> None:
    assert isinstance(explain(f"LOG:  starting\n2026-11-24 {line}\nLOG:  shutting down"), error)


@pytest.mark.skipif(not is_root(), reason="only root can become another user")
def test_root_becomes_another_user_where_namespaces_are_refused(home: Path) -> None:
    home.parent.chmod(0o700)
    nobody = Identity("user", 65534, 65534)
    with EmbeddedPostgres(home, durable=False, identity=nobody) as server:
        assert Path(f"/proc/{server.pid}").stat().st_uid == 65534
        assert server.data.stat().st_uid == 65534
        assert scalar(server.url(), "SELECT 1") == 1
    with EmbeddedPostgres(home, durable=False) as server:
        assert server.data.stat().st_uid == 0
    assert mode(home.parent) == 0o700


@pytest.mark.skipif(not is_root(), reason="only root can become another user")
def test_a_server_that_goes_on_letting_its_superuser_in_is_not_started(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    admit = cluster.admit

    def stubborn(data: Path, identity: Identity, *, superuser: bool, everywhere: bool = False) -> None:
        admit(data, identity, superuser=True, everywhere=everywhere)

    monkeypatch.setattr(cluster, "admit", stubborn)
    monkeypatch.setattr(postgres, "_RELOAD_SECONDS", 0.2)
    server = EmbeddedPostgres(home, durable=False)
    with pytest.raises(ServerFailed, match="superuser"):
        server.start()
    assert server.pid is None


def test_an_ordinary_user_needs_nothing_special(home: Path) -> None:
    python = reachable_python()
    home.parent.chmod(0o755)
    home.mkdir()
    os.chown(home, 65534, 65534)
    program = (
        "import sys\nfrom pathlib import Path\nfrom app.local.postgres import EmbeddedPostgres\n"
        "with EmbeddedPostgres(Path(sys.argv[1]), durable=False) as server: print(server.version)"
    )
    said = subprocess.run(
        [python, "-c", program, home],
        user=65534,
        group=65534,
        extra_groups=[],
        cwd=REPOSITORY,
        env={"PYTHONPATH": os.pathsep.join([str(REPOSITORY), *sys.path[1:]]), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.stderr == ""
    assert said.stdout.startswith("18.")
    assert (home / "postgres").stat().st_uid == 65534


def reachable_python() -> str:
    """A Python of our version that the user `nobody` may execute, with our packages within its reach."""
    own = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for python in (sys.executable, f"/usr/bin/{own}", f"/usr/local/bin/{own}"):
        try:
            probe = subprocess.run([python, "-c", f"open({psycopg.__file__!r})"], user=65534, group=65534, check=False)
        except OSError:
            continue
        if probe.returncode == 0:
            return python
    pytest.skip("no Python of this version is within reach of the user nobody")
