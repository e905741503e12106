// Does what its input asks for: {"do": "echo", "value": …}.
import { JSON } from "json-as";
import { context, environment } from "kiln";

@json
class Asked {
  @alias("do")
  deed: string = "";
  name: string = "";
}

function deeper(depth: i32): i32 {
  return deeper(depth + 1) + 1;
}

const nothing: i32[] = [];

export function handle(input: string): string {
  const asked = JSON.parse<Asked>(input);
  const deed = asked.deed;
  if (deed == "echo") return input.substring(input.indexOf(":", input.indexOf('"value"')) + 1, input.length - 1);
  if (deed == "log") {
    console.log("printed");
    console.error("complained");
  }
  if (deed == "environment") {
    const variables = environment();
    return variables.has(asked.name) ? JSON.stringify(variables.get(asked.name)) : "null";
  }
  if (deed == "context") return context();
  if (deed == "fail") throw new Error("order 7 is unknown"); // fails here
  if (deed == "trap") return (1 / nothing.length).toString(); // traps here
  if (deed == "loop") {
    console.log("::progress 40 halfway");
    while (true) {}
  }
  if (deed == "memory") {
    const kept: Uint8Array[] = [];
    while (true) kept.push(new Uint8Array(1 << 20));
  }
  if (deed == "recursion") return deeper(0).toString();
  if (deed == "output") return " ".repeat(4 << 20);
  if (deed == "clock") return `[${Date.now()}, ${i64(performance.now())}]`;
  if (deed == "file") throw new Error("there are no files"); // nothing in the language opens one
  if (deed == "random") return Math.random().toString();
  return "null";
}
