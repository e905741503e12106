;; Greets whoever the input names: {"name": "Ada"} gives {"greeting":"Hello, Ada"}.
;;
;; Memory ABI: the host calls alloc(length), writes the input (JSON, UTF-8) there, and calls handle(address, length); the
;; answer is (address << 32) | length. The name is found by looking for "name" and copied as it stands, escapes included,
;; so the output is JSON because the input was. A real parser is better written in another language.
(module
  (memory (export "memory") 1)
  (data (i32.const 16) "\22name\22")                  ;; 6 bytes: what is looked for
  (data (i32.const 32) "{\22greeting\22:\22Hello, ")  ;; 20 bytes: how the answer begins
  (data (i32.const 64) "world\22")                    ;; whom to greet when nobody is named

  ;; The first byte that nobody uses yet. Every execution has a memory of its own, so nothing is ever freed.
  (global $free (mut i32) (i32.const 96))

  (func $alloc (export "alloc") (param $length i32) (result i32)
    (local $address i32)
    (local $pages i32)
    (local.set $address (global.get $free))
    (global.set $free (i32.add (local.get $address) (local.get $length)))
    (local.set $pages
      (i32.sub
        (i32.shr_u (i32.add (global.get $free) (i32.const 65535)) (i32.const 16))
        (memory.size)))
    (if (i32.gt_s (local.get $pages) (i32.const 0))
      (then
        (if (i32.eq (memory.grow (local.get $pages)) (i32.const -1))
          (then unreachable))))
    (local.get $address))

  ;; Whether the six bytes at an address are "name" in its quotes.
  (func $is_name (param $at i32) (result i32)
    (i32.and
      (i32.eq (i32.load (local.get $at)) (i32.load (i32.const 16)))
      (i32.eq (i32.load16_u (i32.add (local.get $at) (i32.const 4))) (i32.load16_u (i32.const 20)))))

  ;; The address of the value's first character, or 0 if there is no "name" with a text as its value.
  (func $value_of_name (param $at i32) (param $end i32) (result i32)
    (block $absent
      (loop $search
        (br_if $absent (i32.gt_u (i32.add (local.get $at) (i32.const 6)) (local.get $end)))
        (if (i32.eqz (call $is_name (local.get $at)))
          (then
            (local.set $at (i32.add (local.get $at) (i32.const 1)))
            (br $search))))
      (local.set $at (i32.add (local.get $at) (i32.const 6)))
      ;; Blanks and the colon come before the quote that opens the value.
      (loop $skip
        (br_if $absent (i32.ge_u (local.get $at) (local.get $end)))
        (if (i32.or
              (i32.le_u (i32.load8_u (local.get $at)) (i32.const 32))
              (i32.eq (i32.load8_u (local.get $at)) (i32.const 58)))
          (then
            (local.set $at (i32.add (local.get $at) (i32.const 1)))
            (br $skip))))
      (br_if $absent (i32.ne (i32.load8_u (local.get $at)) (i32.const 34)))
      (return (i32.add (local.get $at) (i32.const 1))))
    (i32.const 0))

  ;; How many bytes a text has up to and including the quote that closes it; a backslash takes the next byte with it.
  (func $text_length (param $start i32) (param $end i32) (result i32)
    (local $at i32)
    (local $byte i32)
    (local.set $at (local.get $start))
    (block $closed
      (loop $next
        (br_if $closed (i32.ge_u (local.get $at) (local.get $end)))
        (local.set $byte (i32.load8_u (local.get $at)))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (br_if $closed (i32.eq (local.get $byte) (i32.const 34)))
        (if (i32.eq (local.get $byte) (i32.const 92))
          (then (local.set $at (i32.add (local.get $at) (i32.const 1)))))
        (br $next)))
    (i32.sub (local.get $at) (local.get $start)))

  (func (export "handle") (param $address i32) (param $length i32) (result i64)
    (local $end i32)
    (local $name i32)
    (local $name_length i32)
    (local $output i32)
    (local.set $end (i32.add (local.get $address) (local.get $length)))
    (local.set $name (call $value_of_name (local.get $address) (local.get $end)))
    (if (local.get $name)
      (then (local.set $name_length (call $text_length (local.get $name) (local.get $end))))
      (else
        (local.set $name (i32.const 64))
        (local.set $name_length (i32.const 6))))

    ;; The beginning, the name with its closing quote, and a brace.
    (local.set $output (call $alloc (i32.add (local.get $name_length) (i32.const 21))))
    (memory.copy (local.get $output) (i32.const 32) (i32.const 20))
    (memory.copy (i32.add (local.get $output) (i32.const 20)) (local.get $name) (local.get $name_length))
    (local.set $end (i32.add (i32.add (local.get $output) (i32.const 20)) (local.get $name_length)))
    (i32.store8 (local.get $end) (i32.const 125))
    (i64.or
      (i64.shl (i64.extend_i32_u (local.get $output)) (i64.const 32))
      (i64.extend_i32_u (i32.add (local.get $name_length) (i32.const 21))))))
