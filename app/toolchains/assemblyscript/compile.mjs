// Compiles one AssemblyScript module: the author's source on standard input; in the working directory `module.wasm` or
// `errors.txt`, and `log.txt`. One process, where the package's own command starts two.
//
//     node compile.mjs [--transform PACKAGE] [asc option ...]
//
// The compiler sees a file system of our own: the source, the glue, and the library's TypeScript. So there is no
// configuration file to find, no import that climbs out of it, and no path of this machine in what it says.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const MAX_LINES = 200;
const ERROR = 3;
const HANDLE_WANTED = "source.ts:1:1: the source must export function handle(input: string): string";
const LIBRARY_FILE = /^node_modules\/(json-as|xjb-as)\/(?!.*\.\.)[\w./-]+\.ts$/;
const here = import.meta.dirname;

const source = readFileSync(0, "utf8").replace(/^\uFEFF/, "");
const glue = readFileSync(join(here, "glue.ts"), "utf8");
const found = { inSource: [], elsewhere: [], log: [], crash: "" };

function readFile(name) {
  if (name === "source.ts") return source;
  if (name === "glue.ts") return glue;
  if (!LIBRARY_FILE.test(name)) return null;
  try {
    return readFileSync(join(here, name), "utf8");
  } catch {
    return null;
  }
}

function writeFile(name, content) {
  if (name === "module.wasm") writeFileSync(name, content);
}

function position(start) {
  const before = source.slice(0, start);
  const line = before.split("\n").length;
  return `source.ts:${line}:${start - before.lastIndexOf("\n")}`;
}

// An error in the glue can only be about the handle that it calls. One in a library is the author's where the compiler
// says which line led to it, else it stands at the beginning, saying where it was found.
function reportDiagnostic({ message, code, category, range, relatedRange }) {
  const file = range?.source?.normalizedPath;
  const text = `TS${code}: ${message}`.replace(/\s+/g, " ").replaceAll("~lib/string/String", "string");
  if (category !== ERROR) {
    if (file === "source.ts") found.log.push(`${position(range.start)}: ${text.replace(/^TS/, "AS")}`);
  } else if (file === "source.ts") {
    found.inSource.push(`${position(range.start)}: ${text}`);
  } else if (file === "glue.ts") {
    if (!found.elsewhere.includes(HANDLE_WANTED)) found.elsewhere.push(HANDLE_WANTED);
  } else {
    const related = relatedRange?.source?.normalizedPath === "source.ts" ? relatedRange.start : 0;
    found.elsewhere.push(`${position(related)}: ${text}${file ? ` (in ${file})` : ""}`);
  }
}

// A transform reports a fault of the source as an error whose stack is made up: a message and a position.
function reportFailure(error) {
  const [, message, file, place] = /^(.*)\n {2}at (.+):(\d+:\d+)\n$/s.exec(error.stack ?? "") ?? [];
  if (message !== undefined) {
    found.inSource.push(file === "source.ts" ? `source.ts:${place}: ${message}` : `source.ts:1:1: ${message}`);
  } else if (!/^\d+ (parse|compile|afterCompile) error/.test(error.message)) {
    reportCrash(error);
  }
}

function reportCrash(error) {
  const deep = error instanceof RangeError && /call stack/.test(error.message);
  found.crash ||= deep ? "the source nests or recurses too deeply" : `the compiler failed: ${error?.message ?? error}`;
}

// The compiler announces its own crash on the console and exits at once, so the report is written on the way out.
console.error = (...words) => {
  const text = words.join(" ");
  if (/Maximum call stack size exceeded/.test(text)) return reportCrash(new RangeError("call stack"));
  const [reason] = /\b\w*Error: [^\n]+/.exec(text) ?? /crashed during \w+/.exec(text) ?? [text.trim().split("\n", 1)[0]];
  return reportCrash(new Error(reason));
};
process.on("exit", (code) => {
  const errors = [...found.inSource, ...found.elsewhere];
  if (!errors.length && found.crash) errors.push(`source.ts:1:1: ${found.crash}`);
  if (code !== 0) writeFileSync("errors.txt", errors.slice(0, MAX_LINES).join("\n"));
  writeFileSync("log.txt", found.log.slice(0, MAX_LINES).join("\n"));
});

const ignored = { write() {} };
try {
  const options = process.argv.slice(2);
  const transforms = [];
  if (options[0] === "--transform") transforms.push((await import(options.splice(0, 2)[1])).default);
  const { main } = await import("assemblyscript/asc");
  const { error } = await main(["glue.ts", "--outFile", "module.wasm", ...options], {
    transforms,
    readFile,
    writeFile,
    listFiles: () => [],
    reportDiagnostic,
    stdout: ignored,
    stderr: ignored,
  });
  if (error) reportFailure(error);
  process.exit(error ? 1 : 0);
} catch (error) {
  reportCrash(error);
  process.exit(1);
}
