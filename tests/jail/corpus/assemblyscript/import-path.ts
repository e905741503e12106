import { stolen } from "@HOME@";
import { climbed } from "../@BESIDE_NAME@";
export function handle(input: string): string { return stolen + climbed; }
