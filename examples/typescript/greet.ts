// Greets whoever the input names: {"name": "Ada"} gives {"greeting": "Hello, Ada"}.
export default function handle(input: { name?: string }): { greeting: string } {
  return { greeting: `Hello, ${input.name ?? "world"}` };
}
