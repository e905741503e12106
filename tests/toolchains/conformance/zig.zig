// Does what its input asks for: {"do": "echo", "value": …}.
const std = @import("std");
const kiln = @import("kiln");

const Deed = enum { echo, log, environment, context, fail, trap, loop, memory, recursion, output, clock, file, random };
const Asked = struct { do: Deed, value: std.json.Value = .null, name: []const u8 = "" };

pub fn handle(allocator: std.mem.Allocator, input: []const u8) ![]const u8 {
    const asked = try std.json.parseFromSliceLeaky(Asked, allocator, input, .{ .parse_numbers = false });
    switch (asked.do) {
        .echo => return write(allocator, asked.value),
        .log => {
            try std.Io.File.stdout().writeStreamingAll(kiln.io, "printed\n");
            std.debug.print("complained\n", .{});
        },
        .environment => return write(allocator, kiln.env(asked.name)),
        .context => return kiln.context(),
        .fail => kiln.fail(@src(), "order {d} is unknown", .{7}), // fails here
        .trap => return input[input.len..][asked.name.len..][0..1], // traps here
        .loop => {
            std.debug.print("::progress 40 halfway\n", .{});
            while (true) {}
        },
        .memory => while (true) @memset(try allocator.alloc(u8, 1 << 20), 1),
        .recursion => return write(allocator, deeper(0)),
        .output => {
            const flood = try allocator.alloc(u8, 4 << 20);
            @memset(flood, ' ');
            return flood;
        },
        .clock => return write(allocator, [_]f64{ milliseconds(.real), milliseconds(.awake) }),
        .file => _ = std.Io.Dir.cwd().openFile(kiln.io, "/etc/passwd", .{}) catch {
            kiln.fail(@src(), "there are no files", .{});
        },
        .random => {
            var number: u32 = 0;
            kiln.io.random(std.mem.asBytes(&number));
            return write(allocator, number);
        },
    }
    return "null";
}

fn write(allocator: std.mem.Allocator, value: anytype) ![]const u8 {
    return std.json.Stringify.valueAlloc(allocator, value, .{});
}

fn milliseconds(clock: std.Io.Clock) f64 {
    // Nanoseconds since 1970 are more than a float can tell apart.
    return @as(f64, @floatFromInt(@divFloor(clock.now(kiln.io).nanoseconds, 1000))) / 1e3;
}

fn deeper(depth: usize) usize {
    var frame: [512]u8 = undefined;
    std.mem.doNotOptimizeAway(&frame);
    return deeper(depth + 1) + frame[depth % 512];
}
