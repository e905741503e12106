"""Go: what functions may do, how they fail, and what authors are told when a source does not compile."""

import json
from typing import Any

import pytest

from app.toolchains import LANGUAGES, CompileFailed
from app.toolchains.go import home
from app.wasm.limits import Limits
from app.wasm.outcome import Failure, Outcome
from tests.toolchains.running import SHARED, Compilation, compiled, execute

SOURCE = b"""package main

import (
	"errors"
	"fmt"
	"kiln"
	"log"
	"os"
	"sync"
	"time"
)

type Asked struct {
	Do string
	N  int
}

type refused struct{ code int }

func (r refused) Error() string { return fmt.Sprint("refused with ", r.code) }

func Handle(asked Asked) (any, error) {
	var nothing *Asked
	switch asked.Do {
	case "error":
		return nil, refused{7}
	case "wrapped error":
		return nil, fmt.Errorf("outer: %w", kiln.Errorf("inner: %w", errors.New("reason"))) // wrapped error
	case "fail":
		kiln.Fail("order %d", asked.N) // fail
	case "panic":
		panic(refused{8}) // panic
	case "nil":
		return nothing.N, nil // nil
	case "division":
		return 1 / asked.N, nil // division
	case "goroutine":
		go func() { panic("beside") }() // goroutine
		time.Sleep(time.Second)
	case "deadlock":
		var lock sync.Mutex
		lock.Lock()
		lock.Lock() // deadlock
	case "exit":
		os.Exit(asked.N)
	case "log.Fatal":
		log.SetFlags(0)
		log.Fatal("fatally")
	case "channel":
		return make(chan int), nil
	case "log":
		log.SetFlags(0)
		log.Println("by log")
		println("by println")
		kiln.Log(kiln.Warning, "%d left", asked.N)
	case "goroutines":
		sum, all := 0, make(chan int)
		for i := range asked.N {
			go func() { all <- i }()
		}
		for range asked.N {
			sum += <-all
		}
		return sum, nil
	case "sleep":
		before := time.Now()
		time.Sleep(time.Duration(asked.N) * time.Millisecond)
		return time.Since(before).Milliseconds() >= int64(asked.N), nil
	case "garbage":
		total := 0
		for range asked.N {
			total += len(make([]byte, 1<<20))
		}
		return total >> 20, nil
	case "live":
		var kept [][]byte
		for range asked.N {
			kept = append(kept, make([]byte, 1<<20))
		}
		return len(kept), nil
	case "frames":
		return frames(0, [20_000]byte{}), nil
	case "depth":
		return depth(asked.N), nil
	case "markup":
		return "<b>&\xe2\x80\xa8</b>", nil
	case "deadline":
		return time.Until(kiln.Context().Deadline()) > 0, nil
	}
	return nil, nil
}

func frames(n int, frame [20_000]byte) int {
	frame[n%20_000] = 1
	return frames(n+1, frame) + int(frame[5])
}

func depth(n int) int {
	if n == 0 {
		return 0
	}
	return depth(n-1) + 1
}
"""
ANY = (
    b'package main\n\nimport "encoding/json"\n\nfunc Handle(input json.RawMessage) (any, error) { return input, nil }\n'
)


def line_of(comment: str) -> str:
    lines = SOURCE.decode().splitlines()
    return f"source.go:{next(number for number, line in enumerate(lines, 1) if line.endswith('// ' + comment))}"


@pytest.fixture(scope="module")
def function() -> Compilation:
    return compiled("go", SOURCE)


def ask(function: Compilation, deed: str, number: int = 0) -> Outcome:
    return execute(function, json.dumps({"do": deed, "n": number}), limits=Limits(timeout_ms=10_000))


def diagnostics(source: str | bytes) -> str:
    toolchain = LANGUAGES["go"]
    toolchain.prepare(SHARED)
    with pytest.raises(CompileFailed) as caught:
        toolchain.compile(source.encode() if isinstance(source, str) else source, shared=SHARED)
    return caught.value.diagnostics


def test_one_line_takes_any_json() -> None:
    echo = compiled("go", ANY)
    for text in ("null", '{"b":1,"a":[2.50,-0]}', '"\\u00e4"'):
        assert execute(echo, text).output == text


def test_a_module_names_nothing_of_the_machine(function: Compilation) -> None:
    wasm = function.compiled.wasm
    assert b"source.go" in wasm
    assert b"kiln-job" not in wasm
    assert str(home()).encode() not in wasm


@pytest.mark.parametrize(
    ("deed", "message", "place"),
    [
        ("error", "refused with 7", None),
        ("wrapped error", "outer: inner: reason", "wrapped error"),
        ("fail", "order 0", "fail"),
        ("panic", "panic: refused with 8", "panic"),
        ("nil", "panic: runtime error: invalid memory address or nil pointer dereference", "nil"),
        ("division", "panic: runtime error: integer divide by zero", "division"),
        ("goroutine", "panic: beside", "goroutine"),
        ("deadlock", "fatal error: all goroutines are asleep - deadlock!", "deadlock"),
        ("exit", "The function exited with code 0.", None),
        ("log.Fatal", "fatally", None),
        ("channel", "the result cannot be written as JSON: json: unsupported type: chan int", None),
    ],
)
def test_a_failure_says_why_and_where(function: Compilation, deed: str, message: str, place: str | None) -> None:
    outcome = ask(function, deed)
    assert (outcome.failure, outcome.message) == (Failure.FUNCTION_ERROR, message)
    assert outcome.location == (None if place is None else line_of(place))


def test_an_input_of_another_type_is_told() -> None:
    outcome = execute(compiled("go", SOURCE), '{"n": "seven"}')
    assert outcome.failure is Failure.FUNCTION_ERROR
    assert outcome.message is not None
    assert outcome.message.startswith("the input is not what Handle takes: json: cannot unmarshal string into")


def test_a_panic_while_the_module_starts_is_the_functions_error() -> None:
    source = 'package main\n\nimport "strings"\n\nvar x = strings.Split("a", ",")[5]\n\n'
    outcome = execute(
        compiled("go", source.encode() + b"func Handle(input int) (string, error) { return x, nil }"), "1"
    )
    assert (outcome.failure, outcome.location) == (Failure.FUNCTION_ERROR, "source.go:5")


def test_all_ways_of_logging_reach_the_log(function: Compilation) -> None:
    assert ask(function, "log", 3).logs.splitlines() == ["by log", "by println", "warning: 3 left"]


@pytest.mark.parametrize(
    ("deed", "number", "answer"),
    [
        ("goroutines", 100, 4950),
        ("sleep", 20, True),
        ("garbage", 500, 500),
        ("live", 40, 40),
        ("depth", 5_000, 5_000),
        ("markup", 0, "<b>&\u2028</b>"),
        ("deadline", 0, True),
    ],
)
def test_what_functions_do_works_within_the_usual_limits(
    function: Compilation, deed: str, number: int, answer: Any
) -> None:
    outcome = ask(function, deed, number)
    assert outcome.output is not None, outcome
    assert json.loads(outcome.output) == answer


def test_a_stack_of_large_frames_is_bounded_too(function: Compilation) -> None:
    outcome = ask(function, "frames")
    assert outcome.failure is Failure.STACK_OVERFLOW
    assert outcome.location is not None


def test_a_main_of_the_authors_is_welcome() -> None:
    assert execute(compiled("go", ANY + b"\nfunc main() {}\n"), "7").output == "7"


def test_errors_come_with_line_and_column_first_error_first() -> None:
    source = 'package main\n\nimport "os"\n\nfunc Handle(in int) (int, error) {\n\treturn "ä", undefined\n}\n'
    assert diagnostics(source.replace("\n", "\r\n")).splitlines() == [
        'source.go:3:8: "os" imported and not used',
        'source.go:6:9: cannot use "ä" (untyped string constant) as int value in return statement',
        "source.go:6:15: undefined: undefined",
    ]


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("package main\n", "source.go:1:1: there is no function `func Handle(input T) (any, error)`"),
        ("package lib\n", "source.go:1:1: the package must be main"),
        (
            "package main\n\nfunc Handle(in int) int { return in }\n",
            "source.go:3:6: the handler must be `func Handle(input T) (any, error)`, with types of yours: "
            "it is `func(in int) int`",
        ),
        ("package main\nfunc Handle(", "source.go:2:13: syntax error: unexpected EOF, expected )"),
        (b"\xff\xfe", "source.go:1:1: invalid UTF-8 encoding"),
        ("", "source.go:1:1: syntax error: package statement must be first"),
        ('package main\nimport "net/http"\n', "source.go:2:8: there is no package net/http here"),
        ('package main\nimport "example.org/x"\n', "source.go:2:8: there is no package example.org/x here"),
        ('package main\nimport "internal/abi"\n', "source.go:2:8: there is no package internal/abi here"),
        (
            "package main\nfunc Handle(in int) (int, error) { return 1, nil }\n//go:wasmexport handle\nfunc x() {}\n",
            "source.go:1:1: duplicated definition of symbol handle, from kiln (type STEXT size 2) and main",
        ),
        (
            "package main\nvar x [1 << 40]byte\nfunc Handle(in int) (byte, error) { return x[in], nil }\n",
            "source.go:1:1: main.x: symbol too large",
        ),
    ],
)
def test_a_source_that_is_no_function_is_told_why(source: str | bytes, told: str) -> None:
    first = diagnostics(source).splitlines()[0]
    assert first.startswith(told)


@pytest.mark.parametrize(
    "lines",
    [
        '// #include "/etc/passwd"\nimport "C"\n',
        'import _ "embed"\n\n//go:embed /etc/passwd\nvar secret string\n',
        'import _ "embed"\n\n//go:embed source.go\nvar secret string\n',
        'import "/etc/passwd"\n',
        '//go:cgo_ldflag "-L/etc"\n',
        "//line /etc/passwd:1\nvar x = y\n",
        'import _ "unsafe"\n\n//go:linkname f runtime.fastexprand\nfunc f(int) int32\n\nvar x = f(1)\n',
    ],
)
def test_nothing_of_the_machine_is_given_away(lines: str) -> None:
    said = diagnostics(f"package main\n\n{lines}\nfunc Handle(in int) (int, error) {{ return in, nil }}\n")
    assert "root:" not in said
    assert str(home()) not in said
    assert all(line.startswith("source.go:") for line in said.splitlines())
