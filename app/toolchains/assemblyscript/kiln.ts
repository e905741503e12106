// What a function may know of its execution: `import { context, environment } from "kiln"`.

@external("kiln", "context")
declare function hostContext(pointer: usize, capacity: i32): i32;

@external("wasi_snapshot_preview1", "environ_sizes_get")
declare function environSizes(count: usize, bytes: usize): i32;

@external("wasi_snapshot_preview1", "environ_get")
declare function environ(pointers: usize, bytes: usize): i32;

// JSON text with executionId, functionId, version, attempt, correlationId and deadlineMs.
export function context(): string {
  const length = hostContext(0, 0);
  const text = heap.alloc(length);
  hostContext(text, length);
  const known = String.UTF8.decodeUnsafe(text, length);
  heap.free(text);
  return known;
}

// The function's variables by their names.
export function environment(): Map<string, string> {
  const sizes = heap.alloc(8);
  environSizes(sizes, sizes + 4);
  const count = load<i32>(sizes);
  const pointers = heap.alloc(4 * count + 1);
  const texts = heap.alloc(load<i32>(sizes, 4) + 1);
  environ(pointers, texts);
  const variables = new Map<string, string>();
  for (let index = 0; index < count; index++) {
    const start = load<u32>(pointers + 4 * index);
    let end = start;
    while (load<u8>(end)) end++;
    const text = String.UTF8.decodeUnsafe(start, end - start);
    const equals = text.indexOf("=");
    variables.set(text.substring(0, equals), text.substring(equals + 1));
  }
  heap.free(sizes);
  heap.free(pointers);
  heap.free(texts);
  return variables;
}
