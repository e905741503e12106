// What a function finds beside the language itself, for the compiler to check by.

/** What is known of an execution: the second parameter of `handle`. */
interface KilnContext {
  readonly executionId: string;
  readonly functionId: string;
  readonly version: number;
  readonly attempt: number;
  readonly correlationId: string;
  /** Unix time in milliseconds at which the execution is stopped. */
  readonly deadlineMs: number;
}

declare const console: {
  debug(...values: unknown[]): void;
  log(...values: unknown[]): void;
  info(...values: unknown[]): void;
  warn(...values: unknown[]): void;
  error(...values: unknown[]): void;
  trace(...values: unknown[]): void;
  dir(value: unknown): void;
  table(value: unknown): void;
  assert(holds: unknown, ...values: unknown[]): void;
  count(label?: string): void;
  countReset(label?: string): void;
  group(...values: unknown[]): void;
  groupEnd(): void;
  time(label?: string): void;
  timeLog(label?: string, ...values: unknown[]): void;
  timeEnd(label?: string): void;
};

declare const process: { readonly env: { readonly [name: string]: string | undefined } };
declare const performance: { now(): number };

declare function setTimeout<Values extends unknown[]>(call: (...values: Values) => void, ms?: number, ...values: Values): number;
declare function setInterval<Values extends unknown[]>(call: (...values: Values) => void, ms?: number, ...values: Values): number;
declare function clearTimeout(timer: number | undefined): void;
declare function clearInterval(timer: number | undefined): void;
declare function queueMicrotask(call: () => void): void;

declare function atob(text: string): string;
declare function btoa(text: string): string;

declare class TextEncoder {
  readonly encoding: "utf-8";
  encode(text?: string): Uint8Array<ArrayBuffer>;
}

declare class TextDecoder {
  constructor(label?: string, options?: { fatal?: boolean });
  readonly encoding: "utf-8";
  decode(bytes?: ArrayBuffer | ArrayBufferView): string;
}

declare const crypto: {
  getRandomValues<View extends ArrayBufferView>(view: View): View;
  randomUUID(): `${string}-${string}-${string}-${string}-${string}`;
};
