const stolen = @import("@TMP@");
const climbed = @import("../../../../etc/passwd");
pub fn handle(allocator: @import("std").mem.Allocator, input: []const u8) ![]const u8 {
    _ = .{ allocator, input, stolen, climbed };
    return "";
}
