@external("env", "abort") declare function stop(a: usize, b: usize, c: u32, d: u32): void;
@external("../../etc/passwd", "\x1b[31m") declare function stolen(): i32;
export function handle(input: string): string { return stolen().toString(); }
