// Greets whoever the input names: {"name": "Ada"} gives {"greeting": "Hello, Ada"}.
import { JSON } from "json-as";

@json
class Input {
  name: string = "world";
}

@json
class Output {
  greeting: string = "";
}

export function handle(input: string): string {
  const person = JSON.parse<Input>(input);
  const output = new Output();
  output.greeting = "Hello, " + person.name;
  return JSON.stringify(output);
}
