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
// What the compiler is given beside the author's source, by the names that it asks for.
const ours = { "glue.ts": "glue.ts", "node_modules/kiln/index.ts": "kiln.ts" };
const made = {};
const found = { inSource: [], elsewhere: [], log: [], crash: "" };

function readFile(name) {
  if (name === "source.ts") return source;
  if (name in ours) return readFileSync(join(here, ours[name]), "utf8");
  if (!LIBRARY_FILE.test(name)) return null;
  try {
    return mended(name, readFileSync(join(here, name), "utf8"));
  } catch {
    return null;
  }
}

// What is wrong in the pinned version of the library: `\/` is a legal escape of JSON, and its table has none.
function mended(name, text) {
  if (!name.endsWith("json-as/assembly/globals/tables.ts")) return text;
  const [before, after] = ["0,   // 40-47\n", "47,  // 40-47\n"];
  const start = text.indexOf("DESERIALIZE_ESCAPE_TABLE");
  const at = text.indexOf(before, start);
  if (start < 0 || at < 0) throw new Error("json-as has another table of escapes than the one that is mended here");
  return text.slice(0, at) + after + text.slice(at + before.length);
}

function writeFile(name, content) {
  made[name] = content;
}

// The numbers of a source map: five bits a digit, the lowest first, a sixth for "more follows"; the sign is the last bit.
const DIGITS = new Map(Array.from("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", (digit, i) => [digit, i]));

function numbers(segment) {
  const read = [];
  let value = 0;
  let shift = 0;
  for (const digit of segment) {
    const bits = DIGITS.get(digit);
    value += (bits & 31) << shift;
    shift += 5;
    if (bits & 32) continue;
    read.push(value & 1 ? -(value >> 1) : value >> 1);
    value = shift = 0;
  }
  return read;
}

// The compiler's source map as the table that the runtime reads: where in the module which place of the source begins.
function lineTable({ sources, mappings }) {
  const rows = [];
  let [offset, file, line, column] = [0, 0, 0, 0];
  let before = "";
  for (const segment of mappings.split(",")) {
    const [further, files = 0, lines = 0, columns = 0] = numbers(segment);
    [offset, file, line, column] = [offset + further, file + files, line + lines, column + columns];
    const place = sources[file] === "source.ts" ? [line + 1, column + 1] : [0, 0];
    if (String(place) !== before) rows.push(offset, ...place);
    before = String(place);
  }
  return Buffer.concat([Buffer.from("source.ts\n"), Buffer.from(Uint32Array.from(rows).buffer)]);
}

function unsigned(value) {
  return value < 128 ? [value] : [(value & 127) | 128, ...unsigned(value >>> 7)];
}

function customSection(name, content) {
  const body = Buffer.concat([Buffer.from([name.length]), Buffer.from(name), content]);
  return Buffer.concat([Buffer.from([0, ...unsigned(body.length)]), body]);
}

function writeModule() {
  const table = lineTable(JSON.parse(made["module.wasm.map"]));
  writeFileSync("module.wasm", Buffer.concat([made["module.wasm"], customSection("kiln.lines", table)]));
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

// Of the library's ways to read and write strings, the one that takes four characters at a time breaks a pair of
// surrogates that lies across two blocks.
process.env.JSON_MODE = "NAIVE";

// json-as sets a megabyte aside in every instance for a cache that is off, unless it is told a size for it.
async function withoutCache() {
  const { Type } = await import("assemblyscript");
  return class {
    afterInitialize(program) {
      program.registerConstantInteger("JSON_CACHE_SIZE", Type.u32, globalThis.i64_zero);
    }
  };
}

const ignored = { write() {} };
try {
  const options = process.argv.slice(2);
  const transforms = [];
  if (options[0] === "--transform") transforms.push((await import(options.splice(0, 2)[1])).default, await withoutCache());
  const { main } = await import("assemblyscript/asc");
  const { error } = await main(["glue.ts", "--outFile", "module.wasm", "--sourceMap", ...options], {
    transforms,
    readFile,
    writeFile,
    listFiles: () => [],
    reportDiagnostic,
    stdout: ignored,
    stderr: ignored,
  });
  if (error) reportFailure(error);
  else writeModule();
  process.exit(error ? 1 : 0);
} catch (error) {
  reportCrash(error);
  process.exit(1);
}
