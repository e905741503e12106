// Does what its input asks for: {"do": "echo", "value": …}.
const deeds = {
  echo: ({ value }) => value,
  log: () => {
    console.log("printed");
    console.error("complained");
  },
  environment: ({ name }) => process.env[name] ?? null,
  context: (_asked, context) => context,
  fail: () => {
    throw new Error("order 7 is unknown"); // fails here
  },
  trap: () => null.member, // traps here
  loop: () => {
    console.log("::progress 40 halfway");
    for (;;);
  },
  memory: () => {
    const kept = [];
    for (;;) kept.push(new Uint8Array(1 << 20).fill(1));
  },
  recursion: () => deeds.recursion() + 1,
  output: () => "x".repeat(4 << 20),
  clock: () => [Date.now(), performance.now()],
  file: () => {
    throw new Error("there are no files"); // nothing in the language opens one
  },
  random: () => Math.random(),
};

export default async function handle(input, context) {
  return deeds[input.do](input, context) ?? null;
}
