// What a function finds beside the language: the console, timers, its environment, and a few of the web's standard
// names. Evaluated once, before any author's code; what is needed later is taken now, since authors may replace anything.
(native) => {
  "use strict";
  const { parse, stringify } = JSON;
  const { apply, ownKeys } = Reflect;
  const SafeError = Error;
  const asString = String;

  const define = (target, properties) => {
    for (const name of ownKeys(properties)) {
      const property = Object.getOwnPropertyDescriptor(properties, name);
      Object.defineProperty(target, name, { ...property, enumerable: false });
    }
  };

  // ---- Console ----

  const MOST_DEPTH = 4;
  const MOST_ENTRIES = 100;

  const shown = (value, depth, above) => {
    switch (typeof value) {
      case "string":
        return depth ? stringify(value) : value;
      case "bigint":
        return `${value}n`;
      case "function":
        return `[Function ${value.name || "(anonymous)"}]`;
      case "object":
        return value === null ? "null" : shownObject(value, depth, above);
      default:
        return Object.is(value, -0) ? "-0" : asString(value);
    }
  };

  const shownObject = (value, depth, above) => {
    if (value instanceof SafeError) return `${value}${value.stack ? `\n${located(value.stack)}` : ""}`.trimEnd();
    if (above.includes(value)) return "[Circular]";
    if (value instanceof Date) return Number.isNaN(value.getTime()) ? "Invalid Date" : value.toISOString();
    if (value instanceof RegExp) return asString(value);
    if (depth > MOST_DEPTH) return Array.isArray(value) ? "[Array]" : "[Object]";
    const within = [...above, value];
    const inner = (one) => shown(one, depth + 1, within);
    if (Array.isArray(value)) return listed("[", value, inner, "]");
    if (ArrayBuffer.isView(value) && "length" in value) return listed(`${value.constructor.name} [`, value, inner, "]");
    if (value instanceof Set) return listed("Set {", value, inner, "}");
    if (value instanceof Map) return listed("Map {", value, ([key, one]) => `${inner(key)} => ${inner(one)}`, "}");
    if (value instanceof Promise) return "Promise {}";
    const prefix = value.constructor?.name && value.constructor !== Object ? `${value.constructor.name} ` : "";
    const key = (name) => (/^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u.test(name) ? name : stringify(name));
    return listed(`${prefix}{`, Object.keys(value), (name) => `${key(name)}: ${inner(value[name])}`, "}");
  };

  const listed = (open, values, each, close) => {
    const parts = [];
    let left = 0;
    for (const value of values) {
      if (parts.length < MOST_ENTRIES) parts.push(each(value));
      else left += 1;
    }
    if (left) parts.push(`… ${left} more`);
    return parts.length ? `${open} ${parts.join(", ")} ${close}` : open + close;
  };

  const format = (values) => values.map((value) => shown(value, 0, [])).join(" ");
  const counts = new Map();
  const timings = new Map();
  let indent = "";

  const say = (level, text) => native.log(level, indent + text);
  const logger = (level) => (...values) => say(level, format(values));
  const elapsed = (label) => `${label}: ${native.now() - timings.get(label)}ms`;

  define(globalThis, {
    console: {
      debug: logger(0),
      log: logger(1),
      info: logger(1),
      warn: logger(2),
      error: logger(3),
      trace: (...values) => say(0, `${format(values)}\n${located(new SafeError().stack)}`.trimEnd()),
      dir: (value) => say(1, shown(value, 0, [])),
      table: (value) => say(1, shown(value, 0, [])),
      assert: (holds, ...values) => holds || say(3, `Assertion failed${values.length ? `: ${format(values)}` : ""}`),
      count: (label = "default") => {
        counts.set(label, (counts.get(label) ?? 0) + 1);
        say(1, `${label}: ${counts.get(label)}`);
      },
      countReset: (label = "default") => void counts.delete(label),
      group: (...values) => {
        if (values.length) say(1, format(values));
        indent += "  ";
      },
      groupEnd: () => void (indent = indent.slice(2)),
      time: (label = "default") => void timings.set(label, native.now()),
      timeLog: (label = "default", ...values) => timings.has(label) && say(1, `${elapsed(label)} ${format(values)}`.trimEnd()),
      timeEnd: (label = "default") => {
        if (timings.has(label)) say(1, elapsed(label));
        timings.delete(label);
      },
    },
  });

  // ---- Timers ----

  const timers = new Map();
  let lastTimer = 0;

  const start = (call, ms, values, repeats) => {
    if (typeof call !== "function") throw new TypeError("a timer needs a function");
    const every = Math.min(Math.max(Number(ms) || 0, 0), 2 ** 31 - 1);
    lastTimer += 1;
    timers.set(lastTimer, { call, values, at: native.now() + every, every: repeats ? Math.max(every, 1) : null });
    return lastTimer;
  };
  const stop = (timer) => void timers.delete(timer);

  /** Waits for the next timer and calls it; answers whether there was one. */
  const fire = () => {
    let next = null;
    for (const [id, timer] of timers) if (next === null || timer.at < timers.get(next).at) next = id;
    if (next === null) return false;
    const timer = timers.get(next);
    const now = native.now();
    if (timer.at > now) native.sleep(timer.at - now);
    if (timer.every === null) timers.delete(next);
    else timer.at = native.now() + timer.every;
    apply(timer.call, undefined, timer.values);
    return true;
  };

  define(globalThis, {
    setTimeout: (call, ms, ...values) => start(call, ms, values, false),
    setInterval: (call, ms, ...values) => start(call, ms, values, true),
    clearTimeout: stop,
    clearInterval: stop,
  });

  // ---- Standard names ----

  const encoder = (text) => {
    const bytes = [];
    for (const character of asString(text)) {
      let code = character.codePointAt(0);
      if (code >= 0xd800 && code < 0xe000) code = 0xfffd;
      if (code < 0x80) bytes.push(code);
      else if (code < 0x800) bytes.push(0xc0 | (code >> 6), 0x80 | (code & 63));
      else if (code < 0x10000) bytes.push(0xe0 | (code >> 12), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63));
      else bytes.push(0xf0 | (code >> 18), 0x80 | ((code >> 12) & 63), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63));
    }
    return Uint8Array.from(bytes);
  };

  const bytesOf = (view) =>
    ArrayBuffer.isView(view) ? new Uint8Array(view.buffer, view.byteOffset, view.byteLength) : new Uint8Array(view);

  // Of each first byte: how many follow, and the least value that needs so many.
  const lead = (byte) => {
    if (byte >= 0xc2 && byte < 0xe0) return [1, byte & 31, 0x80];
    if (byte >= 0xe0 && byte < 0xf0) return [2, byte & 15, 0x800];
    if (byte >= 0xf0 && byte < 0xf5) return [3, byte & 7, 0x10000];
    return null;
  };

  const decoder = (view, isFatal) => {
    const bytes = bytesOf(view);
    const parts = [];
    let text = "";
    for (let at = 0; at < bytes.length; ) {
      let code = bytes[at++];
      if (code >= 0x80) {
        const [more, first, least] = lead(code) ?? [0, 0, Infinity];
        let value = first;
        let taken = 0;
        while (taken < more && (bytes[at] & 0xc0) === 0x80) {
          value = (value << 6) | (bytes[at++] & 63);
          taken += 1;
        }
        const isWhole = taken === more && value >= least && value < 0x110000 && (value < 0xd800 || value > 0xdfff);
        if (!isWhole && isFatal) throw new TypeError("the bytes are not UTF-8");
        code = isWhole ? value : 0xfffd;
      }
      text += String.fromCodePoint(code);
      if (text.length > 4096) {
        parts.push(text);
        text = "";
      }
    }
    return parts.join("") + text;
  };

  const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

  const getRandomValues = (view) => {
    if (!ArrayBuffer.isView(view)) throw new TypeError("getRandomValues needs a typed array");
    native.fill(view.buffer, view.byteOffset, view.byteLength);
    return view;
  };

  define(globalThis, {
    TextEncoder: class TextEncoder {
      get encoding() {
        return "utf-8";
      }
      encode(text = "") {
        return encoder(text);
      }
    },
    TextDecoder: class TextDecoder {
      #isFatal;
      constructor(label = "utf-8", { fatal = false } = {}) {
        if (!/^(utf-?8|unicode-1-1-utf-8)$/i.test(label)) throw new RangeError(`there is no decoder for ${label}`);
        this.#isFatal = fatal;
      }
      get encoding() {
        return "utf-8";
      }
      decode(view = new Uint8Array()) {
        const text = decoder(view, this.#isFatal);
        return text.startsWith("\ufeff") ? text.slice(1) : text;
      }
    },
    crypto: {
      getRandomValues,
      randomUUID: () => {
        const bytes = getRandomValues(new Uint8Array(16));
        bytes[6] = (bytes[6] & 15) | 64;
        bytes[8] = (bytes[8] & 63) | 128;
        return hex(bytes).replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
      },
    },
    process: { env: {} },
    self: globalThis,
  });
  const process = globalThis.process;
  let began = native.now();
  define(globalThis, { performance: { now: () => native.now() - began } });
  define(Math, { random: native.random });

  // ---- The execution ----

  /** The author's answer to JSON text, as JSON text or the promise of it. */
  const begin = (handle, input) => {
    began = native.now();
    process.env = native.environment();
    const answer = handle(parse(input), parse(native.context()));
    return answer instanceof Promise ? answer.then(written) : written(answer);
  };
  const written = (value) => stringify(value) ?? "null";

  // ---- Places in the author's source, where it was translated ----

  const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  let sourceMap = "";

  /** The text of the source map by which the script came of the author's source; empty where they are the same. */
  const translate = (text) => void (sourceMap = text);

  /** The numbers of a segment: five bits a digit, the lowest first; the sixth bit says that more follow, the last is the sign. */
  const numbers = (segment) => {
    const read = [];
    let value = 0;
    let shift = 0;
    for (const digit of segment) {
      const bits = DIGITS.indexOf(digit);
      value += (bits & 31) << shift;
      shift += 5;
      if (bits & 32) continue;
      read.push(value & 1 ? -(value >> 1) : value >> 1);
      value = shift = 0;
    }
    return read;
  };

  /** The place in the source that a place in the script came from. */
  const origin = (line, column) => {
    let [sourceLine, sourceColumn] = [0, 0];
    let found = null;
    parse(sourceMap).mappings.split(";").slice(0, line).forEach((segments, index) => {
      let at = 0;
      for (const segment of segments ? segments.split(",") : []) {
        const [further, , lines = 0, columns = 0] = numbers(segment);
        [at, sourceLine, sourceColumn] = [at + further, sourceLine + lines, sourceColumn + columns];
        // The engine says column 1 of what begins further to the right.
        if (at < column || found?.[0] !== index) found = [index, sourceLine + 1, sourceColumn + 1];
      }
    });
    return found?.slice(1) ?? [1, 1];
  };

  const located = (text) =>
    sourceMap
      ? text.replace(/\b(source\.ts):(\d+):(\d+)/g, (_all, name, line, column) => `${name}:${origin(+line, +column).join(":")}`)
      : text;

  const PLACE = /\bsource\.\w+:\d+(:\d+)?/;
  const MOST_MESSAGE = 3000;
  const cut = (text) => (text.length > MOST_MESSAGE ? `${text.slice(0, MOST_MESSAGE)}…` : text);

  /** What was thrown, and on a line of its own the place in the author's source. */
  const describe = (thrown) => {
    if (!(thrown instanceof SafeError)) return cut(shown(thrown, 0, []));
    const stack = located(asString(thrown.stack ?? ""));
    const place = PLACE.exec(stack);
    const cause = thrown.cause === undefined ? "" : ` (because of ${shown(thrown.cause, 0, [])})`;
    return `${cut(`${thrown}${cause}`)}${place ? `\n${place[0]}` : ""}`;
  };

  return { begin, fire, describe, translate };
};
