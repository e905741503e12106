import * as stolen from "~lib/../../../../../../etc/passwd";
export * from "json-as/../../../../../../etc/passwd";
export function handle(input: string): string { return input; }
