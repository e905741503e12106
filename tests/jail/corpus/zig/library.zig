extern "/etc/passwd" fn stolen() void;
pub fn handle(allocator: @import("std").mem.Allocator, input: []const u8) ![]const u8 {
    _ = allocator;
    stolen();
    return input;
}
