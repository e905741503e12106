"""`python -m app.local up | postgres [--superuser] | psql [arguments]`: the whole platform, its database alone, a shell
in that database."""

import os
import signal
import sys

# Who presses Ctrl-C while all this is imported sees no trace of it; whoever runs something sets handlers of their own.
signal.signal(signal.SIGINT, signal.SIG_DFL)

from collections.abc import Callable, Sequence

from app.local.cluster import DATABASE
from app.local.errors import LocalError, from_os_error
from app.local.launcher import Launcher, launch_of
from app.local.postgres import EmbeddedPostgres
from app.local.progress import Progress
from app.local.psql import run_psql
from app.local.stopping import StopSignals
from app.settings import InvalidSettings, Settings, load_settings


def up(settings: Settings, _arguments: Sequence[str]) -> int:
    """Run everything until Ctrl-C or SIGTERM."""
    return Launcher(launch_of(settings, os.environ)).run()


def postgres(settings: Settings, arguments: Sequence[str]) -> int:
    """Run the embedded server alone until Ctrl-C or SIGTERM; prints its URL, or with `--superuser` lets that in and
    prints its."""
    superuser = list(arguments) == ["--superuser"]
    with StopSignals() as signals:
        try:
            with signals.interrupting(), EmbeddedPostgres(settings.home, superuser=superuser) as server:
                Progress().plain(server.superuser_url(DATABASE) if superuser else server.url())
                while (how := server.poll()) is None:
                    signals.sleep(5)
        except KeyboardInterrupt:
            return 0
    Progress().fail(f"postgresql ended ({how}); its log is {server.log}")
    return 1


def psql(settings: Settings, arguments: Sequence[str]) -> int:
    """Become psql at Kiln's database."""
    run_psql(settings, arguments, os.environ)


_COMMANDS: dict[str, Callable[[Settings, Sequence[str]], int]] = {"up": up, "postgres": postgres, "psql": psql}


def main(arguments: Sequence[str]) -> int:
    """Run one command; whatever stands in its way is said in words, with exit code 1."""
    command = _COMMANDS.get(arguments[0]) if arguments else None
    if command is None:
        Progress().plain(__doc__ or "")
        return 2
    try:
        return command(load_settings(os.environ), arguments[1:])
    except (LocalError, InvalidSettings) as error:
        Progress().fail(str(error))
    except OSError as error:
        Progress().fail(str(from_os_error(error)))
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
