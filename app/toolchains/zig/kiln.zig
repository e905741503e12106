//! What a function has at hand beside the standard library: `const kiln = @import("kiln");`.

const std = @import("std");
const wasi = std.os.wasi;
const Io = std.Io;

const host = struct {
    extern "kiln" fn fail(text: [*]const u8, length: usize) noreturn;
    extern "kiln" fn log(level: i32, text: [*]const u8, length: usize) void;
    extern "kiln" fn context(into: ?[*]u8, capacity: usize) usize;
};

/// What the handler is given. Memory need not be freed: it ends with the execution.
pub const allocator = std.heap.wasm_allocator;

pub const Level = enum(i32) { debug, info, warning, err };

/// Write a line into the execution's log; so do `std.log`, and printing to standard output and standard error.
pub fn log(level: Level, comptime format: []const u8, arguments: anytype) void {
    const line = std.fmt.allocPrint(allocator, format, arguments) catch format;
    defer if (line.ptr != format.ptr) allocator.free(line);
    host.log(@backingInt(level), line.ptr, line.len);
}

/// End the execution as failed, with a message; `at` is `@src()`.
pub fn fail(at: std.lang.SourceLocation, comptime format: []const u8, arguments: anytype) noreturn {
    failWith(format ++ "\n{s}:{d}:{d}", arguments ++ .{ at.file, at.line, at.column });
}

/// End the execution as failed, where no place in the source is known.
pub fn failWith(comptime format: []const u8, arguments: anytype) noreturn {
    const text = std.fmt.allocPrint(allocator, format, arguments) catch "OutOfMemory";
    host.fail(text.ptr, text.len);
}

/// What is known of this execution, as JSON text: executionId, functionId, version, attempt, correlationId, deadlineMs.
pub fn context() []const u8 {
    const into = allocator.alloc(u8, host.context(null, 0)) catch return "{}";
    return into[0..host.context(into.ptr, into.len)];
}

/// The value of a variable of the function's environment.
pub fn env(name: []const u8) ?[]const u8 {
    var variables = environment();
    while (variables.next()) |variable| {
        const end = std.mem.findScalar(u8, variable, '=') orelse continue;
        if (std.mem.eql(u8, variable[0..end], name)) return variable[end + 1 ..];
    }
    return null;
}

/// All variables, as `NAME=value`.
pub fn environment() std.mem.TokenIterator(u8, .scalar) {
    const read = struct {
        var text: ?[]const u8 = null;
    };
    const text = read.text orelse readEnvironment() catch "";
    read.text = text;
    return std.mem.tokenizeScalar(u8, text, 0);
}

fn readEnvironment() error{OutOfMemory}![]const u8 {
    var count: usize = 0;
    var length: usize = 0;
    if (wasi.environ_sizes_get(&count, &length) != .SUCCESS) return "";
    const pointers = try allocator.alloc([*:0]u8, count);
    const text = try allocator.alloc(u8, length);
    return if (wasi.environ_get(pointers.ptr, text.ptr) == .SUCCESS) text else "";
}

/// The standard streams, clocks, sleep and randomness. All else that an `Io` does fails here: there are no files, no
/// network and no second thread.
pub const io: Io = .{ .userdata = null, .vtable = &vtable };

const vtable = with(Io.failing.vtable.*, .{
    .swapCancelProtection = swapCancelProtection,
    .checkCancel = checkCancel,
    .operate = operate,
    .lockStderr = lockStderr,
    .tryLockStderr = tryLockStderr,
    .unlockStderr = unlockStderr,
    .fileIsTty = fileIsTty,
    .fileSupportsAnsiEscapeCodes = fileIsTty,
    .fileClose = fileClose,
    .fileReadPositional = fileReadPositional,
    .fileWritePositional = fileWritePositional,
    .now = now,
    .clockResolution = clockResolution,
    .sleep = sleep,
    .random = random,
    .randomSecure = randomSecure,
});

fn with(comptime table: Io.VTable, comptime own: anytype) Io.VTable {
    var made = table;
    for (std.meta.fieldNames(@TypeOf(own))) |name| @field(made, name) = @field(own, name);
    return made;
}

fn swapCancelProtection(_: ?*anyopaque, new: Io.CancelProtection) Io.CancelProtection {
    return new;
}

fn checkCancel(_: ?*anyopaque) Io.Cancelable!void {}

fn operate(_: ?*anyopaque, operation: Io.Operation) Io.Cancelable!Io.Operation.Result {
    return switch (operation) {
        .file_write_streaming => |o| .{ .file_write_streaming = write(o) },
        .file_read_streaming => .{ .file_read_streaming = error.EndOfStream },
        else => Io.failing.vtable.operate(null, operation),
    };
}

fn write(o: Io.Operation.FileWriteStreaming) Io.Operation.FileWriteStreaming.Result {
    var written = try writePiece(o.file.handle, o.header);
    if (o.data.len == 0) return written;
    for (o.data[0 .. o.data.len - 1]) |piece| written += try writePiece(o.file.handle, piece);
    for (0..o.splat) |_| written += try writePiece(o.file.handle, o.data[o.data.len - 1]);
    return written;
}

fn writePiece(descriptor: wasi.fd_t, piece: []const u8) Io.Operation.FileWriteStreaming.Error!usize {
    if (piece.len == 0) return 0;
    const vector: [1]std.posix.iovec_const = .{.{ .base = piece.ptr, .len = piece.len }};
    var written: usize = 0;
    if (wasi.fd_write(descriptor, &vector, 1, &written) != .SUCCESS) return error.NotOpenForWriting;
    return written;
}

var stderr: Io.File.Writer = .{
    .io = io,
    .interface = Io.File.Writer.initInterface(&.{}),
    .file = .stderr(),
    .mode = .streaming,
};

fn lockStderr(_: ?*anyopaque, mode: ?Io.Terminal.Mode) Io.Cancelable!Io.LockedStderr {
    return .{ .file_writer = &stderr, .terminal_mode = mode orelse .no_color };
}

fn tryLockStderr(_: ?*anyopaque, mode: ?Io.Terminal.Mode) Io.Cancelable!?Io.LockedStderr {
    return try lockStderr(null, mode);
}

fn unlockStderr(_: ?*anyopaque) void {
    stderr.interface.flush() catch {};
    stderr.interface.end = 0;
    stderr.interface.buffer = &.{};
}

fn fileIsTty(_: ?*anyopaque, _: Io.File) Io.Cancelable!bool {
    return false;
}

fn fileClose(_: ?*anyopaque, _: []const Io.File) void {}

/// Writers and readers take this for a stream then.
fn fileWritePositional(
    _: ?*anyopaque,
    _: Io.File,
    _: []const u8,
    _: []const []const u8,
    _: usize,
    _: u64,
) Io.File.WritePositionalError!usize {
    return error.Unseekable;
}

fn fileReadPositional(_: ?*anyopaque, _: Io.File, _: []const []u8, _: u64) Io.File.ReadPositionalError!usize {
    return error.Unseekable;
}

fn clockId(clock: Io.Clock) wasi.clockid_t {
    return if (clock == .real) .REALTIME else .MONOTONIC;
}

fn now(_: ?*anyopaque, clock: Io.Clock) Io.Timestamp {
    var nanoseconds: wasi.timestamp_t = 0;
    _ = wasi.clock_time_get(clockId(clock), 1, &nanoseconds);
    return .fromNanoseconds(nanoseconds);
}

fn clockResolution(_: ?*anyopaque, clock: Io.Clock) Io.Clock.ResolutionError!Io.Duration {
    var nanoseconds: wasi.timestamp_t = 0;
    if (wasi.clock_res_get(clockId(clock), &nanoseconds) != .SUCCESS) return error.ClockUnavailable;
    return .fromNanoseconds(nanoseconds);
}

fn sleep(_: ?*anyopaque, timeout: Io.Timeout) Io.Cancelable!void {
    const wait = timeout.toDurationFromNow(io);
    const subscription: wasi.subscription_t = .{ .userdata = 0, .u = .{ .tag = .CLOCK, .u = .{ .clock = .{
        .id = .MONOTONIC,
        .timeout = if (wait) |for_| std.math.lossyCast(u64, for_.raw.nanoseconds) else std.math.maxInt(u64),
        .precision = 0,
        .flags = 0,
    } } } };
    var event: wasi.event_t = undefined;
    var count: usize = undefined;
    _ = wasi.poll_oneoff(&subscription, &event, 1, &count);
}

fn random(_: ?*anyopaque, buffer: []u8) void {
    randomSecure(null, buffer) catch @memset(buffer, 0);
}

fn randomSecure(_: ?*anyopaque, buffer: []u8) Io.RandomSecureError!void {
    var rest = buffer;
    while (rest.len > 0) {
        // The host gives so much at once.
        const piece = rest[0..@min(rest.len, 1 << 20)];
        if (wasi.random_get(piece.ptr, piece.len) != .SUCCESS) return error.EntropyUnavailable;
        rest = rest[piece.len..];
    }
}
