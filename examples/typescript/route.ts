// Finds the shortest way through a network by Dijkstra's algorithm:
// {"from": "a", "to": "c", "ways": [["a", "b", 2], ["b", "c", 3], ["a", "c", 9]]} gives {"way": ["a", "b", "c"], "length": 5}.
type Way = [from: string, to: string, length: number];

interface Input {
  from: string;
  to: string;
  ways: Way[];
}

interface Output {
  way: string[];
  length: number;
}

function neighbours(ways: Way[]): Map<string, [string, number][]> {
  const found = new Map<string, [string, number][]>();
  for (const [from, to, length] of ways) {
    if (!(length >= 0)) throw new RangeError(`the way from ${from} to ${to} has no length`);
    found.set(from, [...(found.get(from) ?? []), [to, length]]);
    found.set(to, [...(found.get(to) ?? []), [from, length]]);
  }
  return found;
}

export default function handle({ from, to, ways }: Input): Output | null {
  const next = neighbours(ways);
  const before = new Map<string, string>();
  const open = new Map([[from, 0]]);
  const done = new Set<string>();
  while (open.size > 0) {
    const [place, length] = [...open].reduce((one, other) => (other[1] < one[1] ? other : one));
    if (place === to) return { way: wayTo(place, before), length };
    open.delete(place);
    done.add(place);
    for (const [neighbour, further] of next.get(place) ?? []) {
      if (done.has(neighbour) || length + further >= (open.get(neighbour) ?? Infinity)) continue;
      open.set(neighbour, length + further);
      before.set(neighbour, place);
    }
  }
  return null;
}

function wayTo(place: string, before: Map<string, string>): string[] {
  const previous = before.get(place);
  return previous === undefined ? [place] : [...wayTo(previous, before), place];
}
