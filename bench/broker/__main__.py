"""Kiln's transport beside its peers, in one run, interleaved, on this machine.

    python -m bench.broker                       # everything, about forty minutes
    python -m bench.broker drain --rounds 1      # one part
    python -m bench.broker drain --only Kiln Redis
    python -m bench.broker scenarios             # Kiln's alone, ten minutes

Parts: drain, events, kills, clients, transactions, snapshot, idle, scenarios. Medians of the rounds, with least and
largest. The servers are Debian's (PostgreSQL: the one that Kiln brings), on loopback, at default durability; Redis
without persistence.
"""

import argparse
import statistics
from collections import defaultdict
from collections.abc import Callable, Sequence

from bench.broker import clients, idle, kills, scenarios, snapshot, transactions
from bench.broker.drain import Result, measure
from bench.broker.systems import SYSTEMS, System, started

TASKS, SLOW_TASKS, PACED = 5000, 1200, 400


def _spread(values: Sequence[float], digits: int = 0) -> str:
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:,.{digits}f} [{low:,.{digits}f}–{high:,.{digits}f}]"


def _drain(urls: dict[System, str], rounds: int, *, events: bool) -> None:
    found: dict[System, list[Result]] = defaultdict(list)
    for _ in range(rounds):
        for system, url in urls.items():
            tasks = SLOW_TASKS if system.slow else TASKS
            found[system].append(measure(url, tasks=tasks, paced=PACED, events=events))
    redis = [result.drained for system, results in found.items() if system.name == "Redis" for result in results]
    print(f"\nCelery worker, prefork, two children{', events on, read by another process' if events else ''}")
    print(f"{'':20}{'begun per s':>26}{'× Redis':>9}{'sent per s':>24}{'p50 ms':>24}{'p99 ms':>28}")
    for system, results in found.items():
        drained = [result.drained for result in results]
        ratio = f"{statistics.median(drained) / statistics.median(redis):.1f}" if redis else ""
        columns = [_spread([result.enqueued for result in results])]
        columns += [_spread([getattr(result, name) for result in results], 2) for name in ("p50", "p99")]
        print(f"{system.name:20}{_spread(drained):>26}{ratio:>9}{columns[0]:>24}{columns[1]:>24}{columns[2]:>28}")


def drain(urls: dict[System, str], rounds: int) -> None:
    """Everything that is compared."""
    _drain(urls, rounds, events=False)


def events(urls: dict[System, str], rounds: int) -> None:
    """Celery on the brokers whose events arrive."""
    _drain({system: url for system, url in urls.items() if system.celery and system.events}, rounds, events=True)


def killed(urls: dict[System, str], _rounds: int) -> None:
    """Celery on each broker."""
    print("\nTwenty tasks of a second each, the worker killed with its children after six")
    for system, url in urls.items():
        if system.celery:
            done, seconds = kills.killed(url)
            print(f"{system.name:20}{done:4} of {kills.TASKS} begun, the last {seconds:.1f} s after the next worker")


def many_clients(urls: dict[System, str], rounds: int) -> None:
    """The statement alone."""
    for count in (1, 8, 32):
        found = _each(lambda count=count: clients.rates(_kiln(urls), clients=count), rounds)  # type: ignore[misc]
        _print_shares(f"Publishing with {count} connections (pgbench), per s", found)


def in_transactions(urls: dict[System, str], rounds: int) -> None:
    """Row and message together."""
    _print_shares("One connection, per s", _each(lambda: transactions.rates(_kiln(urls)), rounds))
    for batch in (1, 10, 100):
        found = _each(lambda batch=batch: transactions.floor(_kiln(urls), batch=batch), rounds)  # type: ignore[misc]
        print(
            f"  the floor, {batch:3} at a time: "
            + ", ".join(f"{name} {_spread(rates)}" for name, rates in found.items())
        )


def old_snapshot(urls: dict[System, str], _rounds: int) -> None:
    """Claims one after the other."""
    print("\nA claim of ten while 60,000 messages go through, ms by sixths of them")
    for name, held, cursor in (
        ("no old snapshot", False, True),
        ("old snapshot, with the cursor", True, True),
        ("old snapshot, without", True, False),
    ):
        found = snapshot.claim_ms(_kiln(urls), messages=60_000, held=held, cursor=cursor)
        print(f"{name:32}" + "".join(f"{value:8.2f}" for value in found))


def idle_worker(urls: dict[System, str], _rounds: int) -> None:
    """Kiln's alone."""
    print(f"\nAn idle worker: {idle.transactions_per_second(_kiln(urls)):.2f} transactions per s")


def harmed(_urls: dict[System, str], _rounds: int) -> None:
    """Kiln's alone, on a server of its own that is stopped and started."""
    print(f"\nChaos and pressure at {scenarios.RATE:.0f} tasks offered per s, phases of {scenarios.PHASE_SECONDS} s")
    print(
        f"{'':27}{'before':>8}{'meanwhile':>10}{'after':>8}{'ratio':>7}{'back s':>8}{'behind s':>10}{'lost':>6}"
        f"{'twice':>7}{'ended':>7}"
    )
    with scenarios.server() as server:
        for scenario in scenarios.SCENARIOS:
            found = scenarios.play(scenario, server)
            back = "never" if found.back_seconds is None else f"{found.back_seconds:.1f}"
            print(
                f"{scenario.name:27}{found.before:8.0f}{found.meanwhile:10.0f}{found.after:8.0f}"
                f"{found.after / found.before:7.0%}{back:>8}{found.behind_seconds:10.1f}{found.lost:6}"
                f"{found.repeated:7}{'yes' if found.ended else 'no':>7}  "
                f"{'pass' if found.passed(scenario) else 'FAIL'}",
                flush=True,
            )


PARTS: dict[str, Callable[[dict[System, str], int], None]] = {
    "drain": drain,
    "events": events,
    "kills": killed,
    "clients": many_clients,
    "transactions": in_transactions,
    "snapshot": old_snapshot,
    "idle": idle_worker,
    "scenarios": harmed,
}

#: Parts for which no server of a peer is needed.
ALONE = {"clients", "transactions", "snapshot", "idle", "scenarios"}


def _kiln(urls: dict[System, str]) -> str:
    return next(url for system, url in urls.items() if system.name == "Kiln")


def _each(run: Callable[[], dict[str, float]], rounds: int) -> dict[str, list[float]]:
    found: dict[str, list[float]] = defaultdict(list)
    for _ in range(rounds):
        for name, rate in run().items():
            found[name].append(rate)
    return found


def _print_shares(title: str, found: dict[str, list[float]]) -> None:
    """Each beside the first, which is what it is measured by."""
    print(f"\n{title}")
    first = next(iter(found.values()))
    for name, values in found.items():
        shares = [value / base for value, base in zip(values, first, strict=True)]
        print(f"{name:40}{_spread(values):>28}{statistics.median(shares):8.0%}")


def main() -> None:
    """Run the parts that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], metavar="part")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", default=[system.name for system in SYSTEMS], metavar="SYSTEM")
    arguments = parser.parse_args()
    parts = arguments.parts or list(PARTS)
    only = {"Kiln"} if ALONE.issuperset(parts) else arguments.only
    with started([system for system in SYSTEMS if system.name in only]) as urls:
        for name in parts:
            PARTS[name](urls, arguments.rounds)


if __name__ == "__main__":
    main()
