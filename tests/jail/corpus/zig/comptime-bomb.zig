pub fn handle(allocator: @import("std").mem.Allocator, input: []const u8) ![]const u8 {
    _ = .{ allocator, input };
    comptime var n: u64 = 0;
    @setEvalBranchQuota(4_000_000_000);
    inline while (n < 4_000_000_000) n += 1;
    return "";
}
