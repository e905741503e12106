const large = memory.data(2000000000);
export function handle(input: string): string { return large.toString(); }
