// Does what its input asks for: {"do": "echo", "value": …}.
// What is only of types and is not there any more when the function runs, so that lines are others then.
interface Asked {
  do: string;
  value?: unknown;
  name: string;
}

enum Level {
  Low = 1,
  High,
}

const deeds: Record<string, (asked: Asked, context: KilnContext) => unknown> = {
  echo: ({ value }) => value,
  log: () => {
    if (Level.High < Level.Low) return;
    console.log("printed");
    console.error("complained");
  },
  environment: ({ name }) => process.env[name] ?? null,
  context: (_asked, context) => context,
  fail: () => {
    throw new Error("order 7 is unknown"); // fails here
  },
  trap: () => (null as any).member, // traps here
  loop: () => {
    console.log("::progress 40 halfway");
    for (;;);
  },
  memory: () => {
    const kept: Uint8Array[] = [];
    for (;;) kept.push(new Uint8Array(1 << 20).fill(1));
  },
  recursion: () => (deeds.recursion as () => number)() + 1,
  output: () => "x".repeat(4 << 20),
  clock: () => [Date.now(), performance.now()],
  file: () => {
    throw new Error("there are no files"); // nothing in the language opens one
  },
  random: () => Math.random(),
};

export default async function handle(input: Asked, context: KilnContext): Promise<unknown> {
  return deeds[input.do](input, context) ?? null;
}
