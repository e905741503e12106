(module
  (@custom "kiln.lines" (before first) "../../etc/passwd\n\01\02\03")
  (@custom ".debug_info" "\ff\ff\ff\ff\00")
  (@custom "sourceMappingURL" "/etc/passwd")
  (memory (export "memory") 1)
  (func (export "alloc") (param i32) (result i32) (i32.const 1024))
  (func (export "handle") (param i32 i32) (result i64) (i64.const 0)))
