class Foo {}
export function handle(input: string): string { new Foo; new Foo return input }
