import { readFileSync } from "fs";
import { main } from "assemblyscript/asc";
import { transform } from "json-as/transform";
export function handle(input: string): string { return readFileSync("@TMP@"); }
