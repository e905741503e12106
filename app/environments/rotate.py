"""`python -m app.environments.rotate`: wraps the data keys that another master key wraps by the first one.

Each batch is a transaction of its own that changes how data keys are wrapped and nothing else: whoever has both master
keys reads before, meanwhile and after. Killed in the middle, it goes on where it was when it is started again.
"""

import os
import sys
from typing import Final

from app.environments import queries
from app.environments.sealing import MasterKeys
from app.platform import Platform
from app.settings import load_settings

BATCH: Final = 500


def rotate(platform: Platform) -> int:
    """Wrap everything that can be unwrapped by the first master key, with a line for each batch; answers how many data
    keys are left that need a master key which is not given.
    """
    keys = MasterKeys(platform.settings.master_keys)
    done = 0
    while left := _left(platform, keys.others):
        total = done + left
        while moved := _wrap_batch(platform, keys):
            done += moved
            print(f"wrapped by {keys.first}: {done:,} of {total:,} data keys", flush=True)
    with platform.database.statement() as connection:
        strange = {name: count for name, count in queries.wrapped_by(connection).items() if name != keys.first}
    for name, count in strange.items():
        print(f"wrapped by {name}, which is not given here: {count:,} data keys", flush=True)
    if not strange:
        print(f"every data key is wrapped by {keys.first}: no other master key is needed any more", flush=True)
    return sum(strange.values())


def _left(platform: Platform, master_keys: list[str]) -> int:
    with platform.database.statement() as connection:
        counts = queries.wrapped_by(connection)
    return sum(counts.get(name, 0) for name in master_keys)


def _wrap_batch(platform: Platform, keys: MasterKeys) -> int:
    with platform.database.transaction() as session:
        found = queries.to_wrap_again(session, keys.others, most=BATCH)
        again = {one: keys.wrap_again(one, wrapped).content for one, wrapped in found.items()}
        queries.wrap_again(session, keys.first, again)
    return len(found)


def main() -> int:
    """Rotate, and exit with 1 where something is left."""
    platform = Platform.of(load_settings(os.environ), process="rotate")
    try:
        return int(rotate(platform) > 0)
    finally:
        platform.close()


if __name__ == "__main__":
    sys.exit(main())
