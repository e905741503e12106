// Finds all primes up to a limit with the sieve of Eratosthenes, and says how many there are and what they add up to.
import { JSON } from "json-as";

const LARGEST_LIMIT: i32 = 10_000_000;

@json
class Input {
  limit: i32 = 100;
}

@json
class Output {
  limit: i32 = 0;
  count: i32 = 0;
  largest: i32 = 0;
  sum: i64 = 0;
}

export function handle(input: string): string {
  const limit = JSON.parse<Input>(input).limit;
  if (limit < 0 || limit > LARGEST_LIMIT) {
    throw new Error("limit must be between 0 and " + LARGEST_LIMIT.toString());
  }

  const output = new Output();
  output.limit = limit;
  const composite = new Uint8Array(limit + 1);
  for (let candidate = 2; candidate <= limit; candidate++) {
    if (composite[candidate]) continue;
    output.count++;
    output.largest = candidate;
    output.sum += candidate;
    // Smaller multiples have a smaller factor, so they are crossed out already. The square may need 64 bits.
    for (let multiple: i64 = <i64>candidate * candidate; multiple <= limit; multiple += candidate) {
      composite[<i32>multiple] = 1;
    }
  }
  return JSON.stringify(output);
}
