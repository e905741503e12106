export function handle(input: string): string { assert(input.length > 1000, "short"); return input; }
