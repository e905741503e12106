// Greets whoever is named in {"name": "Ada"}.
export default function handle(input) {
  return { greeting: `Hello, ${input.name ?? "world"}` };
}
