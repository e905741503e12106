// Greets whoever is named in {"name": "Ada"}.
const std = @import("std");

const Input = struct { name: []const u8 = "world" };

pub fn handle(allocator: std.mem.Allocator, input: []const u8) ![]const u8 {
    const asked = try std.json.parseFromSliceLeaky(Input, allocator, input, .{ .ignore_unknown_fields = true });
    const greeting = try std.fmt.allocPrint(allocator, "Hello, {s}", .{asked.name});
    return std.json.Stringify.valueAlloc(allocator, .{ .greeting = greeting }, .{});
}
