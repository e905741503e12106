"""Zig: what functions may do, how they fail, and what authors are told when a source does not compile."""

import json
from pathlib import Path

import pytest

from app.toolchains import LANGUAGES, CompileFailed, CompilerOutOfMemory, CompilerTimedOut
from app.toolchains.jail import JailLimits
from app.toolchains.zig import home
from app.toolchains.zig.toolchain import Zig
from app.wasm.lines import without_lines
from app.wasm.outcome import Failure, Outcome
from tests.toolchains.running import SHARED, Compilation, compiled, execute

SOURCE = b"""const std = @import("std");
const kiln = @import("kiln");

const Asked = struct { do: []const u8, n: u8 = 0 };
const Deed = enum {
    fail,
    panic,
    overflow,
    index,
    null_,
    unreachable_,
    tag,
    unwrap,
    log,
    sleep,
    buffer,
    forgotten,
    all,
};
const Choice = union(enum) { number: u8, text: []const u8 };

pub fn handle(allocator: std.mem.Allocator, input: []const u8) ![]const u8 { // handle
    const asked = try std.json.parseFromSliceLeaky(Asked, allocator, input, .{});
    const deed = std.meta.stringToEnum(Deed, asked.do) orelse return error.UnknownDeed;
    var nothing: ?u8 = null;
    std.mem.doNotOptimizeAway(&nothing);
    var choice: Choice = .{ .number = 7 };
    std.mem.doNotOptimizeAway(&choice);
    switch (deed) {
        .fail => deeper(asked.n),
        .panic => @panic("out of order"), // panic
        .overflow => return text(allocator, asked.n - 1),
        .index => return text(allocator, input[asked.n + 200]), // index
        .null_ => return text(allocator, nothing.?), // null_
        .unreachable_ => unreachable, // unreachable_
        .tag => return choice.text, // tag
        .unwrap => return text(allocator, std.fmt.parseInt(u8, asked.do, 10) catch unreachable), // unwrap
        .log => {
            std.log.info("by log", .{});
            std.log.scoped(.orders).warn("by scope {d}", .{asked.n});
            kiln.log(.err, "{s}", .{"by kiln"});
            std.debug.print("by {s}\\n", .{"print"});
            var buffer: [16]u8 = undefined;
            var writer = std.Io.File.stderr().writer(kiln.io, &buffer);
            try writer.interface.print("by writer {d} {d}\\n", .{ 1_000_000, 2_000_000 });
            try writer.interface.flush();
        },
        .sleep => {
            const before = std.Io.Clock.awake.now(kiln.io);
            try std.Io.Clock.Duration.sleep(.{ .raw = .fromMilliseconds(20), .clock = .awake }, kiln.io);
            return text(allocator, before.durationTo(std.Io.Clock.awake.now(kiln.io)).toMilliseconds() >= 20);
        },
        .buffer => return text(allocator, try std.fmt.bufPrint(try allocator.alloc(u8, 2), "{s}", .{asked.do})),
        .forgotten => for (0..10_000) |_| allocator.free(try allocator.alloc(u8, 1 << 20)),
        .all => {
            var count: usize = 0;
            var variables = kiln.environment();
            while (variables.next()) |_| count += 1;
            return text(allocator, count);
        },
    }
    return "null";
}

fn text(allocator: std.mem.Allocator, value: anytype) ![]const u8 {
    return std.json.Stringify.valueAlloc(allocator, value, .{});
}

fn deeper(number: u8) noreturn {
    kiln.fail(@src(), "order {d}: {s}", .{ number, "closed" }); // fail
}
"""
HANDLER = "pub fn handle(allocator: std.mem.Allocator, input: []const u8) ![]const u8"
ECHO = 'pub fn handle(_: @import("std").mem.Allocator, input: []const u8) ![]const u8 {\n    return input;\n}\n'


def line_of(comment: str) -> str:
    lines = SOURCE.decode().splitlines()
    return f"source.zig:{next(number for number, line in enumerate(lines, 1) if line.endswith('// ' + comment))}"


@pytest.fixture(scope="module")
def function() -> Compilation:
    return compiled("zig", SOURCE)


def ask(function: Compilation, deed: str, number: int = 0) -> Outcome:
    return execute(function, json.dumps({"do": deed, "n": number}), environment={"A": "1", "B": "", "C": "x=y"})


def diagnostics(source: str | bytes) -> str:
    toolchain = LANGUAGES["zig"]
    toolchain.prepare(SHARED)
    with pytest.raises(CompileFailed) as caught:
        toolchain.compile(source.encode() if isinstance(source, str) else source, shared=SHARED)
    return caught.value.diagnostics


def test_a_few_lines_are_a_small_module() -> None:
    echo = compiled("zig", ECHO.encode())
    assert execute(echo, '{"a": [1]}').output == '{"a": [1]}'
    assert len(echo.compiled.wasm) < 20_000
    assert "-OReleaseSafe" in echo.compiled.flags


def test_a_module_names_nothing_of_the_machine(function: Compilation) -> None:
    wasm, lines = without_lines(function.compiled.wasm)
    assert lines.startswith(b"source.zig\n")
    assert b"kiln-job" not in wasm
    assert str(home()).encode() not in wasm
    assert str(Path(__file__).parents[2]).encode() not in wasm


@pytest.mark.parametrize(
    ("deed", "message"),
    [
        ("fail", "order 3: closed"),
        ("panic", "panic: out of order"),
        ("index", "panic: index out of bounds: index 203, len 23"),
        ("null_", "panic: attempt to use null value"),
        ("unreachable_", "panic: reached unreachable code"),
        ("tag", "panic: access of union field 'text' while field 'number' is active"),
        ("unwrap", "panic: attempt to unwrap error: InvalidCharacter"),
    ],
)
def test_a_failure_says_why_and_where(function: Compilation, deed: str, message: str) -> None:
    outcome = ask(function, deed, 3)
    assert (outcome.failure, outcome.message) == (Failure.FUNCTION_ERROR, message)
    assert outcome.location is not None
    assert outcome.location.rpartition(":")[0] == line_of(deed)


def test_of_checks_that_are_one_to_the_optimiser_the_function_is_told(function: Compilation) -> None:
    outcome = ask(function, "overflow", 0)
    assert outcome.location == line_of("handle")
    assert (outcome.failure, outcome.message) == (Failure.FUNCTION_ERROR, "panic: integer overflow")


@pytest.mark.parametrize(("deed", "name"), [("other", "UnknownDeed"), ("buffer", "NoSpaceLeft")])
def test_a_returned_error_is_told_by_its_name(function: Compilation, deed: str, name: str) -> None:
    outcome = ask(function, deed)
    assert (outcome.failure, outcome.message) == (Failure.FUNCTION_ERROR, name)


def test_all_ways_of_logging_reach_the_log(function: Compilation) -> None:
    assert ask(function, "log", 4).logs.splitlines() == [
        "by log",
        "warning: orders: by scope 4",
        "error: by kiln",
        "by print",
        "by writer 1000000 2000000",
    ]


@pytest.mark.parametrize(("deed", "output"), [("sleep", "true"), ("forgotten", "null"), ("all", "3")])
def test_what_functions_do_works_within_the_usual_limits(function: Compilation, deed: str, output: str) -> None:
    outcome = ask(function, deed)
    assert outcome.output == output, outcome


def test_errors_come_with_line_and_column_first_error_first() -> None:
    body = '    const number: u32 = input;\n    std.debug.print("{d}", .{input});\n    return number;\n'
    source = f'const std = @import("std");\n{HANDLER} {{\n    _ = allocator;\n{body}}}\n'
    assert diagnostics(source.replace("\n", "\r\n")).splitlines() == [
        "source.zig:4:25: error: expected type 'u32', found '[]const u8'",
    ]
    assert diagnostics(source.replace(": u32", "")).splitlines()[0] == (
        "source.zig:5:20: error: invalid format string 'd' for type '[]const u8'"
    )


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("", f"source.zig:1:1: error: there is no function `{HANDLER}`"),
        ("fn handle() void {}", f"source.zig:1:1: error: there is no function `{HANDLER}`"),
        (
            "// ä\npub fn handle(input: []const u8) []const u8 { return input; }",
            f"source.zig:2:5: error: the handler must be `{HANDLER}`: expected 1 argument(s), found 2",
        ),
        (
            ECHO.replace("![]const u8", "usize").replace("input;", "input.len;"),
            f"source.zig:1:5: error: the handler must be `{HANDLER}`: expected type 'anyerror![]const u8', found 'us",
        ),
        ("pub fn handle(", "source.zig:1:15: error: expected"),
        (b"\xff\xfe", "source.zig:1:1: error: expected"),
        (
            f'const other = @import("other");\ncomptime {{ _ = other; }}\n{ECHO}',
            "source.zig:1:23: error: no module named",
        ),
        (f'{ECHO}\ncomptime {{ @compileError("mine"); }}', "source.zig:5:12: error: mine"),
    ],
)
def test_a_source_that_is_no_function_is_told_why(source: str | bytes, told: str) -> None:
    assert diagnostics(source).splitlines()[0].startswith(told)


@pytest.mark.parametrize(
    "line",
    [
        'const secret = @embedFile("/etc/passwd");',
        'const secret = @embedFile("../../../../etc/passwd");',
        'const secret = @import("/etc/passwd");',
        'const secret = @cImport(@cInclude("/etc/passwd"));',
        'const secret = asm (".incbin \\"/etc/passwd\\"");',
    ],
)
def test_nothing_of_the_machine_is_given_away(line: str) -> None:
    said = diagnostics(f"{line}\ncomptime {{ _ = secret; }}\n{ECHO}")
    assert "root:" not in said
    assert str(home()) not in said
    assert all(line.startswith("source.zig:") for line in said.splitlines())


def test_a_source_that_never_stops_compiling_is_stopped() -> None:
    toolchain = Zig(JailLimits(wall_ms=3_000))
    source = f"{ECHO}\ncomptime {{\n    @setEvalBranchQuota(4_000_000_000);\n    while (true) {{}}\n}}\n"
    with pytest.raises(CompilerTimedOut):
        toolchain.compile(source.encode(), shared=SHARED)


def test_a_source_that_takes_all_memory_to_compile_is_told_so() -> None:
    source = f"{ECHO}\ncomptime {{\n    var large: [1 << 28]u8 = undefined;\n    for (&large) |*one| one.* = 1;\n}}\n"
    with pytest.raises(CompilerOutOfMemory) as caught:
        Zig().compile(source.encode(), shared=SHARED)
    assert caught.value.diagnostics == "source.zig:1:1: compilation needed more than 1280 MiB of memory"
