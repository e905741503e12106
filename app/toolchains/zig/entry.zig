//! The module as the runtime calls it. Nothing of the author's is in this file, so no place of a failure lies here.

const std = @import("std");
const kiln = @import("kiln");
const source = @import("source");

pub const std_options: std.Options = .{ .logFn = log, .allow_stack_tracing = false };
pub const std_options_debug_io = kiln.io;

/// The trap tells the host where; what was printed before it tells why.
pub const panic = std.debug.FullPanic(struct {
    fn stop(message: []const u8, _: ?usize) noreturn {
        std.debug.print("panic: {s}\n", .{message});
        @trap();
    }
}.stop);

fn log(
    comptime level: std.log.Level,
    comptime scope: @EnumLiteral(),
    comptime format: []const u8,
    arguments: anytype,
) void {
    const prefix = if (scope == .default) "" else @tagName(scope) ++ ": ";
    const written: kiln.Level = switch (level) {
        .debug => .debug,
        .info => .info,
        .warn => .warning,
        .err => .err,
    };
    kiln.log(written, prefix ++ format, arguments);
}

/// What does not fit here is told by `toolchain.py` in the author's words.
fn answer(allocator: std.mem.Allocator, input: []const u8) anyerror![]const u8 {
    if (!@hasDecl(source, "handle")) @compileError("there is no handle");
    // Inlined here it would lose its lines.
    return @call(.never_inline, source.handle, .{ allocator, input });
}

export fn alloc(length: usize) [*]u8 {
    const text = kiln.allocator.alloc(u8, length) catch kiln.failWith("OutOfMemory", .{});
    return text.ptr;
}

export fn handle(input: [*]const u8, length: usize) u64 {
    const output = answer(kiln.allocator, input[0..length]) catch |reason| kiln.failWith("{s}", .{@errorName(reason)});
    return @as(u64, @intFromPtr(output.ptr)) << 32 | output.len;
}
