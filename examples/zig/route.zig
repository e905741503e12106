// Finds the shortest way through a network of roads: {"from": "A", "to": "C", "roads": [{"from": "A", "to": "B", "length": 2}, …]}.
const std = @import("std");

const Road = struct { from: []const u8, to: []const u8, length: u32 };
const Input = struct { from: []const u8, to: []const u8, roads: []const Road };
const Output = struct { length: ?u64 = null, through: []const []const u8 = &.{} };

/// How a place was reached: how far it is from the start, and from where one came to it.
const Reached = struct { length: u64, before: ?[]const u8, is_final: bool = false };
const Places = std.array_hash_map.String(Reached);

pub fn handle(allocator: std.mem.Allocator, input: []const u8) ![]const u8 {
    const asked = try std.json.parseFromSliceLeaky(Input, allocator, input, .{});
    return std.json.Stringify.valueAlloc(allocator, try shortest(allocator, asked), .{});
}

fn shortest(allocator: std.mem.Allocator, asked: Input) !Output {
    var places: Places = .empty;
    try places.put(allocator, asked.from, .{ .length = 0, .before = null });
    while (nearest(places)) |place| {
        if (std.mem.eql(u8, place, asked.to)) return way(allocator, places, place);
        const here = places.getPtr(place).?;
        here.is_final = true;
        const length = here.length;
        for (asked.roads) |road| {
            if (std.mem.eql(u8, road.from, place)) try reach(allocator, &places, road, length + road.length);
            const back: Road = .{ .from = road.to, .to = road.from, .length = road.length };
            if (std.mem.eql(u8, back.from, place)) try reach(allocator, &places, back, length + back.length);
        }
    }
    return .{};
}

fn nearest(places: Places) ?[]const u8 {
    var found: ?[]const u8 = null;
    var least: u64 = std.math.maxInt(u64);
    for (places.keys(), places.values()) |name, reached| {
        if (reached.is_final or reached.length >= least) continue;
        found = name;
        least = reached.length;
    }
    return found;
}

fn reach(allocator: std.mem.Allocator, places: *Places, road: Road, length: u64) !void {
    const entry = try places.getOrPut(allocator, road.to);
    if (entry.found_existing and entry.value_ptr.length <= length) return;
    entry.value_ptr.* = .{ .length = length, .before = road.from };
}

fn way(allocator: std.mem.Allocator, places: Places, end: []const u8) !Output {
    var names: std.ArrayList([]const u8) = .empty;
    var at: ?[]const u8 = end;
    while (at) |name| : (at = places.get(name).?.before) try names.append(allocator, name);
    std.mem.reverse([]const u8, names.items);
    return .{ .length = places.get(end).?.length, .through = names.items };
}
