;; Answers with its input: the smallest module of the memory ABI.
;;
;; The host calls alloc(length), writes the input (JSON, UTF-8) to the address that it returns, and then calls
;; handle(address, length). The answer is (address << 32) | length of the output text in this module's memory.
(module
  ;; One page (64 KiB) to begin with; alloc asks for more.
  (memory (export "memory") 1)

  ;; The first byte that nobody uses yet. Every execution has a memory of its own, so nothing is ever freed.
  (global $free (mut i32) (i32.const 16))

  (func (export "alloc") (param $length i32) (result i32)
    (local $address i32)
    (local $pages i32)
    (local.set $address (global.get $free))
    (global.set $free (i32.add (local.get $address) (local.get $length)))

    ;; pages = ceil(free / 65536) - the pages that there are
    (local.set $pages
      (i32.sub
        (i32.shr_u (i32.add (global.get $free) (i32.const 65535)) (i32.const 16))
        (memory.size)))
    (if (i32.gt_s (local.get $pages) (i32.const 0))
      (then
        ;; memory.grow answers -1 when the memory limit is reached.
        (if (i32.eq (memory.grow (local.get $pages)) (i32.const -1))
          (then unreachable))))
    (local.get $address))

  (func (export "handle") (param $address i32) (param $length i32) (result i64)
    (i64.or
      (i64.shl (i64.extend_i32_u (local.get $address)) (i64.const 32))
      (i64.extend_i32_u (local.get $length)))))
