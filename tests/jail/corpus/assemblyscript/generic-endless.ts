class Outer<T> { inner: Outer<Outer<T>> | null = null; }
function spin<T>(): void { spin<Outer<T>>(); }
export function handle(input: string): string { spin<i32>(); new Outer<i32>(); return input; }
