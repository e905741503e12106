// The memory ABI around the author's handle: UTF-8 text in linear memory both ways. The entry point of every compilation.
import { handle as authorsHandle } from "./source";

// The host writes the input here. The block is outside the garbage collector until handle has read it.
export function alloc(size: i32): i32 {
  return heap.alloc(size) as i32;
}

// Returns (pointer << 32) | length of the answer, which stays pinned until the instance is gone.
export function handle(pointer: i32, length: i32): i64 {
  const input = String.UTF8.decodeUnsafe(pointer as usize, length as usize);
  heap.free(pointer as usize);
  const output: string = authorsHandle(input);
  const answer = String.UTF8.encode(output, false, String.UTF8.ErrorMode.REPLACE);
  return ((__pin(changetype<usize>(answer)) as i64) << 32) | (answer.byteLength as i64);
}
