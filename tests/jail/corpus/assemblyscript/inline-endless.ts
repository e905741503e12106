// @ts-ignore: there are decorators
@inline function again(n: i32): i32 { return again(n + 1) + again(n + 2); }
export function handle(input: string): string { return again(1).toString(); }
