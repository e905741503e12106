comptime {
    @compileError("\x1b[2J\x1b[31mred\u{202e}\x00");
}
pub fn handle(allocator: @import("std").mem.Allocator, input: []const u8) ![]const u8 {
    _ = allocator;
    return input;
}
