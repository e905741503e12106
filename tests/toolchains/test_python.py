"""Python: what CPython is without an operating system, and how its errors are told."""

import json
import time
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest

from app.toolchains import LANGUAGES, CompileFailed
from app.wasm.limits import MIB, Limits
from app.wasm.outcome import Failure, Outcome
from tests.toolchains.running import SHARED, Compilation, compiled, execute

PYTHON = LANGUAGES["python"]


def function(source: str) -> Compilation:
    return compiled("python", source.encode())


def body(*lines: str) -> Compilation:
    """A function whose handle has these lines."""
    return function("def handle(input, context):\n" + "".join(f"    {line}\n" for line in lines))


def answer(made: Compilation, given: Any = None, **more: Any) -> Any:
    outcome = execute(made, json.dumps(given), **more)
    assert outcome.output is not None, outcome
    return json.loads(outcome.output)


def failed(made: Compilation) -> Outcome:
    outcome = execute(made, "{}")
    assert outcome.output is None
    return outcome


@pytest.mark.parametrize(
    ("source", "diagnostics"),
    [
        (b"def handle(input):\n    return (\n", "source.py:2:12: '(' was never closed"),
        (b"def handle(input)\n    return 1\n", "source.py:1:18: expected ':'"),
        (b"def handle(x):\n\treturn 1\n        return 2", "source.py:3:1: inconsistent use of tabs and spaces"),
        (b'def handle(input):\n    return "\\x"\n', "source.py:2:12: (unicode error)"),
        (b"return 1", "source.py:1:1: 'return' outside function"),
        (b"x = 1\n\xff\n", "source.py:2:1: the source is not UTF-8"),
        (b"x = 1\0", "source.py:1:1: source code string cannot contain null bytes"),
        (b"", "source.py:1:1: there is no function named handle: write def handle(input, context)"),
        (b"def main(input): ...", "source.py:1:1: there is no function named handle"),
        (b"import json, numpy\ndef handle(input): ...", "source.py:1:1: there is no module numpy here"),
        (b"\nfrom PIL import Image\ndef handle(input): ...", "source.py:2:1: there is no module PIL here"),
        (b"x = " + b"(" * 10_000, "source.py:1:"),
        (b"x = " + b"-" * 100_000 + b"1", "source.py:1:1: "),
    ],
)
def test_an_error_of_the_source_has_its_place(source: bytes, diagnostics: str) -> None:
    with pytest.raises(CompileFailed) as caught:
        compiled("python", source)
    assert caught.value.diagnostics.startswith(diagnostics)
    assert "kiln_" not in caught.value.diagnostics
    assert len(caught.value.diagnostics.splitlines()) == 1


@pytest.mark.parametrize(
    "source",
    [
        "def handle(input): return 1",
        "def handle(input, context): return 1",
        "async def handle(input): return 1",
        "async def handle(input, context): return 1",
        "handle = lambda input, context: 1",
        "def handle(*given): return 3 - len(given)",
        "def handle(input, context=None, *, more=1): return more",
        "from functools import partial\nhandle = partial(lambda one, input: one, 1)",
        "from functools import cache, wraps\ndef logged(f):\n  @wraps(f)\n  def g(*a): return f(*a)\n  return g\n"
        "@logged\ndef handle(input): return 1",
        "class Handler:\n  def __call__(self, input, context): return 1\nhandle = Handler()",
        "try:\n  import numpy\nexcept ImportError:\n  numpy = None\ndef handle(input): return 1",
        "\ufeffdef handle(input): return 1",
        "type Pair[T] = tuple[T, T]\ndef handle(input): return len(f'{'a'}')",
    ],
)
def test_a_handler_may_be_anything_that_can_be_called(source: str) -> None:
    assert answer(function(source), {}) == 1


def test_nothing_of_a_source_runs_while_it_is_compiled() -> None:
    made = function("while True: pass\ndef handle(input): ...\n")
    assert execute(made, "1", limits=Limits(timeout_ms=200)).failure is Failure.TIMEOUT


def test_the_log_has_the_authors_part_of_the_traceback() -> None:
    made = function(
        "def handle(input):\n    try:\n        find(7)\n    except KeyError as error:\n"
        "        raise LookupError('no order') from error\n\n\ndef find(order):\n    return {}[order]\n"
    )
    outcome = failed(made)
    assert (outcome.failure, outcome.message) == (Failure.FUNCTION_ERROR, "LookupError: no order")
    assert outcome.location == "source.py:5"
    assert "    return {}[order]\n" in outcome.logs
    assert outcome.logs.endswith("LookupError: no order\n")
    assert "kiln_" not in outcome.logs


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("raise ValueError('order 7 is unknown')", "ValueError: order 7 is unknown"),
        ("raise ValueError", "ValueError"),
        ("class Refused(Exception): pass", None),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("import os; os._exit(3)", "The function exited with code 3."),
        ("import nosuch", "ModuleNotFoundError: No module named 'nosuch'"),
        ("import json; json.loads('{')", "json.decoder.JSONDecodeError: Expecting property name enclosed in"),
        ("import asyncio; asyncio.run(asyncio.Event().wait())", "RuntimeError: the function awaits what never happens"),
    ],
)
def test_a_failure_is_the_last_line_of_its_traceback(line: str, message: str | None) -> None:
    made = body(line, "raise Refused('no')") if message is None else body(line)
    outcome = failed(made)
    assert outcome.failure is Failure.FUNCTION_ERROR
    assert outcome.message is not None
    assert outcome.message.startswith(message or "handle.<locals>.Refused: no")


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("{1, 2}", "Object of type set is not JSON serializable"),
        ("float('nan')", "Out of range float values"),
        ("'\\ud800'", "half of a surrogate pair"),
        ("(lambda x: x.append(x) or x)([])", "Circular reference"),
        ("{(1, 2): 3}", "keys must be"),
        ("__import__('functools').reduce(lambda x, _: [x], range(2000), 0)", "nested too deeply"),
    ],
)
def test_what_is_no_json_is_said(expression: str, reason: str) -> None:
    outcome = failed(body(f"return {expression}"))
    assert outcome.failure is Failure.INVALID_OUTPUT
    assert outcome.message is not None
    assert reason in outcome.message


LIBRARY = """
abc array ast asyncio base64 binascii bisect calendar collections contextlib contextvars copy csv dataclasses datetime
decimal difflib email.message enum fnmatch fractions functools graphlib hashlib heapq hmac html html.parser inspect io
ipaddress itertools json locale logging math numbers operator os.path pathlib pickle pprint queue random re secrets
shlex statistics string struct textwrap threading time tomllib traceback types typing unicodedata urllib.parse uuid
warnings weakref xml.etree.ElementTree zlib zoneinfo
"""


def test_the_library_is_there() -> None:
    made = body("import importlib", "for name in input:", "    importlib.import_module(name)", "return len(input)")
    assert answer(made, LIBRARY.split()) == len(LIBRARY.split())


def test_the_library_works() -> None:
    made = body(
        "import decimal, hashlib, re, statistics, uuid, zlib",
        "return [str(decimal.Decimal(1) / 7), hashlib.sha256(b'a').hexdigest()[:8], hashlib.md5(b'a').hexdigest()[:8],",
        "        re.sub(r'(\\w+) (\\w+)', r'\\2 \\1', 'a b'), statistics.median([3, 1, 2]),",
        "        str(uuid.uuid5(uuid.NAMESPACE_DNS, 'a')), zlib.decompress(zlib.compress(b'a')).decode()]",
    )
    expected = ["0.1428571428571428571428571429", "ca978112", "0cc175b9", "b a", 2]
    assert answer(made) == [*expected, str(uuid.uuid5(uuid.NAMESPACE_DNS, "a")), "a"]


def test_clocks_tell_the_time_and_no_more_than_milliseconds() -> None:
    made = body(
        "import datetime, time, email.utils",
        "now = datetime.datetime.now(datetime.UTC)",
        "time.sleep(0.02)",
        "return [now.isoformat(), repr(type(now)), isinstance(now, datetime.date),",
        "        datetime.datetime.now().microsecond,",
        "        time.time_ns(), str(datetime.date.today()), email.utils.formatdate()[-5:], time.strftime('%Y'),",
        "        time.monotonic(), time.perf_counter_ns(), time.process_time(), repr(datetime.datetime(2026, 1, 2))]",
    )
    before = datetime.now(UTC)
    iso, kind, is_date, micro, nanoseconds, *rest = answer(made)
    now = datetime.fromisoformat(iso)
    assert abs((now - before).total_seconds()) < 5
    assert (kind, is_date) == ("<class 'datetime.datetime'>", True)
    assert micro % 1000 == now.microsecond % 1000 == nanoseconds % 1_000_000 == 0
    assert rest[:3] == [str(now.date()), "-0000", str(now.year)]
    assert all(0.02 <= seconds < 5 for seconds in (rest[3], rest[4] / 1e9, rest[5]))
    assert rest[6] == "datetime.datetime(2026, 1, 2, 0, 0)"


def test_chance_is_new_with_each_execution_unless_it_is_seeded() -> None:
    made = body(
        "import os, random, secrets, tempfile, uuid",
        "return [random.random(), random.Random().random(), random.SystemRandom().random(), secrets.token_hex(),",
        "        str(uuid.uuid4()), str(uuid.uuid7()), os.urandom(8).hex(), random.sample(range(10**9), 3),",
        "        random.seed(1) or random.random()]",
    )
    one, other = answer(made), answer(made)
    assert all(mine != yours for mine, yours in zip(one[:-1], other[:-1], strict=True))
    assert one[-1] == other[-1] == 0.13436424411240122


def test_the_loop_waits_for_several_at_once() -> None:
    made = function(
        "import asyncio\nasync def handle(input):\n    async with asyncio.timeout(5):\n"
        "        return await asyncio.gather(*(asyncio.sleep(0.1, n) for n in range(50)))\n"
    )
    started = time.monotonic()
    assert answer(made) == list(range(50))
    assert time.monotonic() - started < 2
    assert answer(body("import asyncio", "return asyncio.run(asyncio.sleep(0.01, 5))")) == 5


@pytest.mark.parametrize(
    "line",
    [
        "import time; time.sleep(30)",
        "import time; time.sleep(1e9)",
        "import asyncio; asyncio.run(asyncio.sleep(30))",
        "import threading; threading.Event().wait(30)",
        "import queue; queue.Queue().get(timeout=30)",
        "while True: pass",
        "import re; re.match('(a+)+$', 'a' * 40 + 'b')",
        "return 10 ** 10 ** 8",
        "while True:\n        try: input['a']\n        except BaseException: pass",
        "while True: print('x' * 1000)",
    ],
)
def test_the_deadline_ends_it_whatever_it_does(line: str) -> None:
    made = body(line)
    # A machine that is busy with something else may be late; it is not late every time.
    for _ in range(5):
        outcome = execute(made, "{}", limits=Limits(timeout_ms=300))
        assert outcome.failure is Failure.TIMEOUT, outcome
        assert len(outcome.logs) < 70_000
        if outcome.duration_ms < 400:
            return
    pytest.fail(f"it took {outcome.duration_ms} ms")


@pytest.mark.parametrize(
    "line",
    [
        "kept = []\n    while True: kept.append(bytearray(1 << 20))",
        "kept = []\n    while True: kept.append(len(kept))",
        "return [0] * (1 << 28)",
    ],
)
def test_memory_ends_where_the_limit_is(line: str) -> None:
    outcome = failed(body(line))
    assert outcome.failure is Failure.OUT_OF_MEMORY
    assert outcome.location in {"source.py:2", "source.py:3"}


@pytest.mark.parametrize(
    "line",
    [
        "return handle(input, context)",
        "import sys; sys.setrecursionlimit(10**9); return handle(input, context)",
        "import json; return json.loads('[' * 100000)",
        "class A:\n        def __eq__(self, other): return self == other\n    return A() == A()",
    ],
)
def test_the_stack_ends_where_its_limit_is(line: str) -> None:
    assert failed(body(line)).failure is Failure.STACK_OVERFLOW


def test_the_least_memory_is_enough_and_much_less_is_not() -> None:
    made = body("import json; return len(json.dumps(list(range(10000))))")
    least = Limits(memory_bytes=PYTHON.least_memory_mb * MIB)
    assert answer(made, limits=least) == 58_890
    outcome = execute(made, "{}", limits=Limits(memory_bytes=8 * MIB))
    assert outcome.failure is Failure.OUT_OF_MEMORY


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("open('/etc/passwd')", "FileNotFoundError: [Errno 44] there are no files here: '/etc/passwd'"),
        ("open('/tmp/a', 'w')", "FileNotFoundError: [Errno 44] there are no files here: '/tmp/a'"),
        ("import pathlib; pathlib.Path('/etc/hosts').read_text()", "FileNotFoundError: "),
        ("import os; os.listdir('/')", "FileNotFoundError: "),
        ("import os; os.open('/etc/passwd', os.O_RDONLY)", "FileNotFoundError: "),
        ("import io; io.FileIO('/etc/passwd')", "FileNotFoundError: "),
        ("import os; os.write(1, b'x')", "OSError: "),
        ("import socket; socket.socket()", "OSError: [Errno 40] there is no network here"),
        ("import urllib.request; urllib.request.urlopen('http://localhost')", "urllib.error.URLError: "),
        ("import subprocess; subprocess.run(['ls'])", "OSError: "),
        ("import threading; threading.Thread(target=print).start()", "RuntimeError: can't start new thread"),
        ("import select; select.select([], [], [], 1)", "OSError: "),
    ],
)
def test_there_is_nothing_but_the_function(line: str, message: str) -> None:
    outcome = failed(body(line))
    assert outcome.failure is Failure.FUNCTION_ERROR
    assert outcome.message is not None
    assert outcome.message.startswith(message)


def test_nothing_is_kept_between_executions() -> None:
    made = function(
        "import json, os, random\ncount = 0\ndef handle(input):\n    global count\n    count += 1\n"
        "    found = [count, getattr(json, 'mark', None), os.environ.get('MARK')]\n"
        "    json.mark = os.environ['MARK'] = 'left'\n    return found\n"
    )
    for _ in range(3):
        assert answer(made) == [1, None, None]


def test_the_environment_is_the_functions_and_nothing_else() -> None:
    made = body("import os; return [dict(os.environ), os.getenv('HOME'), os.getcwd()]")
    assert answer(made, environment={"A": "1"}) == [{"A": "1"}, None, "/"]


def test_what_is_printed_keeps_its_order() -> None:
    made = body(
        "import logging, sys, warnings",
        "print('one'); print('two', file=sys.stderr)",
        "sys.stdout.buffer.write('drei — ü\\n'.encode()); sys.stdout.flush()",
        "logging.warning('careful'); logging.getLogger('orders').error('late')",
        "print('no newline', end='')",
    )
    outcome = execute(made, "{}")
    assert outcome.logs.splitlines() == [
        *("one", "two", "drei — ü", "WARNING:root:careful", "ERROR:orders:late", "no newline")
    ]


def test_equal_sources_make_equal_layers() -> None:
    source = (
        b"from dataclasses import dataclass\n@dataclass\nclass P:\n    x: int = 1\ndef handle(input): return {1, 'a'}\n"
    )
    first, second = (PYTHON.compile(source, shared=SHARED) for _ in range(2))
    assert (first.layer, first.wasm) == (second.layer, second.wasm)
