import { handle as again } from "./glue";
import { secret } from "./compile.mjs";
export function handle(input: string): string { return again.toString() + secret; }
