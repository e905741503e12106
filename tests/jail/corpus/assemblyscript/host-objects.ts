export function handle(input: string): string { return process.env.KILN_CANARY + __dirname + require("fs"); }
