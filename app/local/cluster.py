"""The data directory: made whole or not at all, checked and configured before each start."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

from app.addresses import ROLE, SUPERUSER
from app.local.binaries import MAJOR
from app.local.children import spawn
from app.local.errors import NotServerData, OldServerData, explain
from app.local.identity import Identity, server_environment

DATABASE = ROLE

# For a small machine with many sleeping connections and small transactions. `ALTER SYSTEM` overrides any of it.
_SETTINGS = {
    "max_connections": "200",
    "shared_buffers": "64MB",
    "effective_cache_size": "512MB",
    "maintenance_work_mem": "32MB",
    "huge_pages": "off",
    # No parallel workers and no I/O workers: they cost memory while idle, and /dev/shm is 64 MB in containers.
    "max_parallel_workers_per_gather": "0",
    "max_parallel_maintenance_workers": "0",
    "io_method": "sync",
    "max_logical_replication_workers": "0",
    "jit": "off",
    "random_page_cost": "1.1",
    "wal_compression": "pglz",
    "wal_buffers": "4MB",
    "min_wal_size": "64MB",
    "max_wal_size": "512MB",
    "checkpoint_timeout": "15min",
    # A queue's table is rewritten all the time: look often, work without long pauses.
    "autovacuum_naptime": "15s",
    "autovacuum_max_workers": "2",
    "autovacuum_vacuum_cost_delay": "1ms",
    # Partitioned tables take a lock for each partition.
    "max_locks_per_transaction": "128",
    # A client that was killed does not keep a statement running.
    "client_connection_check_interval": "10s",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %d ",
    "log_checkpoints": "off",
    "log_autovacuum_min_duration": "-1",
    "cluster_name": "kiln",
}
# For test suites: a crash of the machine may lose the cluster, and that does not matter.
_NOT_DURABLE = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
}


def prepare(data: Path, binaries: Path, identity: Identity, *, durable: bool, inherited: int) -> None:
    """Make the cluster unless it is there, and bring its owner, mode and configuration up to date.

    Raises `OldServerData`, `NotServerData`, `DiskFull`, `AccessDenied` and the like. `inherited` is a lock's descriptor
    that initdb keeps open, so that nobody touches the directory while a forgotten initdb still writes there.
    """
    if not _holds_cluster(data):
        _initialise(data, binaries, identity, durable=durable, inherited=inherited)
    _claim(data, identity)
    settings = _SETTINGS if durable else _SETTINGS | _NOT_DURABLE
    lines = [f"{name} = '{value}'" for name, value in settings.items()]
    _write(
        data / "postgresql.conf",
        ["# Kiln writes this file at every start. Use ALTER SYSTEM for changes of your own.", *lines],
        identity,
    )


def admit(data: Path, identity: Identity, *, superuser: bool, everywhere: bool = False) -> None:
    """Write who is let in: Kiln's role to its database, or `everywhere`; and the superuser or not.

    Only our user reaches the socket, so nobody is asked for anything. The server reads it at its start or when told to.
    """
    lines = [f"local {'all' if everywhere else DATABASE} {ROLE} trust"]
    if superuser:
        lines.append(f"local all {SUPERUSER} trust")
    _write(data / "pg_hba.conf", ["# Kiln writes this file at every start.", *lines], identity)


def _holds_cluster(data: Path) -> bool:
    version = data / "PG_VERSION"
    if version.exists():
        found = version.read_text().strip()
        if found != MAJOR:
            raise OldServerData(f"{data} was made by PostgreSQL {found}; this is PostgreSQL {MAJOR}.")
        return True
    if data.exists() and any(data.iterdir()):
        raise NotServerData(str(data))
    return False


def _initialise(data: Path, binaries: Path, identity: Identity, *, durable: bool, inherited: int) -> None:
    """Run initdb beside the final place, then rename: one that is killed leaves nothing that looks like a cluster."""
    draft = data.with_name(f"{data.name}.initdb")
    shutil.rmtree(draft, ignore_errors=True)
    options = [
        "--no-locale",
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
        "-E",
        "UTF8",
        "--auth=trust",
        "-U",
        "postgres",
    ]
    initdb = spawn(
        [binaries / "initdb", "-D", draft, *options, *([] if durable else ["-N"])],
        death_signal=signal.SIGINT,
        output=subprocess.PIPE,
        environment=server_environment(),
        identity=str(identity),
        inherited=[inherited],
    )
    said = initdb.communicate()[0].decode(errors="replace")
    if initdb.returncode != 0:
        shutil.rmtree(draft, ignore_errors=True)
        raise explain(said)
    draft.rename(data)
    _synchronise(data.parent)


def _synchronise(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _claim(data: Path, identity: Identity) -> None:
    """Hand the files to whom they must belong, which may change from start to start, and close their directory."""
    if os.geteuid() == 0 and data.stat().st_uid != identity.owner_uid:
        for directory, _, files in os.walk(data):
            for name in [directory, *(os.path.join(directory, file) for file in files)]:  # noqa: PTH118 - tens of thousands
                os.chown(name, identity.owner_uid, identity.owner_gid, follow_symlinks=False)
    if data.stat().st_mode & 0o077:
        data.chmod(0o700)


def _write(path: Path, lines: list[str], identity: Identity) -> None:
    draft = path.with_name(f"{path.name}.draft")
    draft.write_text("\n".join(lines) + "\n")
    draft.chmod(0o600)
    if os.geteuid() == 0:
        os.chown(draft, identity.owner_uid, identity.owner_gid)
    draft.rename(path)
