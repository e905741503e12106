/* @jsxImportSource @HOME@ */
// @filename: tsconfig.json
// {"extends": "@HOME@", "compilerOptions": {"plugins": [{"name": "@TMP@"}], "outFile": "../stolen"}}
declare module "std" { export function loadFile(name: string): string; }
import { loadFile } from "std";
export default (): unknown => loadFile("/etc/passwd");
