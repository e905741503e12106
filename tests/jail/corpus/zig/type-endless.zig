fn Outer(comptime T: type) type {
    return struct { inner: Outer(Outer(T)) };
}
pub fn handle(allocator: @import("std").mem.Allocator, input: []const u8) ![]const u8 {
    _ = .{ allocator, @sizeOf(Outer(u8)) };
    return input;
}
