const std = @import("std");
pub fn handle(allocator: std.mem.Allocator, input: []const u8) ![]const u8 {
    _ = input;
    const here = @src();
    return std.fmt.allocPrint(allocator, "\"{s} {s} {s} {s}\"", .{ here.file, here.module, here.fn_name, @typeName(@This()) });
}
