"""Small modules to execute, as text."""

#: Answers its input.
ECHO = """
(module
  (memory (export "memory") 2)
  (global $top (mut i32) (i32.const 1024))
  (func (export "alloc") (param $n i32) (result i32)
    (local $p i32)
    (local.set $p (global.get $top))
    (global.set $top (i32.add (global.get $top) (local.get $n)))
    (local.get $p))
  (func (export "handle") (param $p i32) (param $n i32) (result i64)
    (i64.or (i64.shl (i64.extend_i32_u (local.get $p)) (i64.const 32)) (i64.extend_i32_u (local.get $n)))))
"""

#: Never ends by itself.
LOOP = """
(module
  (memory (export "memory") 1)
  (func (export "alloc") (param $n i32) (result i32) (i32.const 1024))
  (func (export "handle") (param $p i32) (param $n i32) (result i64) (loop $again (br $again)) (i64.const 0)))
"""

#: Traps.
TRAP = """
(module
  (memory (export "memory") 1)
  (func (export "alloc") (param $n i32) (result i32) (i32.const 1024))
  (func (export "handle") (param $p i32) (param $n i32) (result i64) unreachable))
"""

#: Does not compile.
BROKEN = "(module\n  (func (result i32)\n    i32.bogus))"

#: Naps for as many milliseconds as its input says, which costs no processor time and can be interrupted, then answers
#: what it knows of its execution: id and attempt among it. Of a text it takes no notice.
NAP = """
(module
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (import "kiln" "context" (func $context (param i32 i32) (result i32)))
  (memory (export "memory") 2)
  (func (export "alloc") (param i32) (result i32) (i32.const 16384))
  (func $nap (param $ms i32)
    (i32.store (i32.const 16) (i32.const 1))
    (i64.store (i32.const 24) (i64.mul (i64.extend_i32_u (local.get $ms)) (i64.const 1000000)))
    (drop (call $poll (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 128))))
  (func (export "handle") (param $p i32) (param $n i32) (result i64)
    (local $ms i32)
    (if (i32.ne (i32.load8_u (local.get $p)) (i32.const 34))
      (then
        (block $read
          (loop $digit
            (br_if $read (i32.eqz (local.get $n)))
            (local.set $ms (i32.add
              (i32.mul (local.get $ms) (i32.const 10))
              (i32.sub (i32.load8_u (local.get $p)) (i32.const 48))))
            (local.set $p (i32.add (local.get $p) (i32.const 1)))
            (local.set $n (i32.sub (local.get $n) (i32.const 1)))
            (br $digit)))))
    (block $rested
      (loop $again
        (br_if $rested (i32.le_s (local.get $ms) (i32.const 0)))
        (call $nap (select (i32.const 10) (local.get $ms) (i32.gt_s (local.get $ms) (i32.const 10))))
        (local.set $ms (i32.sub (local.get $ms) (i32.const 10)))
        (br $again)))
    (i64.or (i64.const 0x200000000000) (i64.extend_i32_u (call $context (i32.const 8192) (i32.const 4096))))))
"""

#: Answers its environment as text: each variable with a space behind. No value may have a quotation mark in it.
ENVIRONMENT = """
(module
  (import "wasi_snapshot_preview1" "environ_sizes_get" (func $sizes (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_get" (func $environ (param i32 i32) (result i32)))
  (memory (export "memory") 16)
  (func (export "alloc") (param i32) (result i32) (i32.const 16384))
  (func (export "handle") (param $p i32) (param $n i32) (result i64)
    (drop (call $sizes (i32.const 0) (i32.const 4)))
    (drop (call $environ (i32.const 512) (i32.const 0x20001)))
    (local.set $n (i32.load (i32.const 4)))
    (local.set $p (i32.const 0))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $p) (local.get $n)))
        (if (i32.eqz (i32.load8_u (i32.add (i32.const 0x20001) (local.get $p))))
          (then (i32.store8 (i32.add (i32.const 0x20001) (local.get $p)) (i32.const 32))))
        (local.set $p (i32.add (local.get $p) (i32.const 1)))
        (br $next)))
    (i32.store8 (i32.const 0x20000) (i32.const 34))
    (i32.store8 (i32.add (i32.const 0x20001) (local.get $n)) (i32.const 34))
    (i64.or (i64.const 0x2000000000000) (i64.extend_i32_u (i32.add (local.get $n) (i32.const 2))))))
"""

_WORDS = """(data (i32.const 300) "::progress 30 a third")
  (data (i32.const 340) "::progress 100")
  (func $nap"""

_SAY = "(call $log (i32.const 1) (i32.const {place}) (i32.const {length}))"

#: Naps in the same way, and says how far it has come: 30 percent before, 100 after.
PROGRESS = (
    NAP.replace("(memory", '(import "kiln" "log" (func $log (param i32 i32 i32)))\n  (memory', 1)
    .replace("(func $nap", _WORDS, 1)
    .replace("i64)\n    (local $ms i32)", f"i64)\n    (local $ms i32)\n    {_SAY.format(place=300, length=21)}")
    .replace("(i64.or (i64.const 0x2000", f"{_SAY.format(place=340, length=14)}\n    (i64.or (i64.const 0x2000")
)
