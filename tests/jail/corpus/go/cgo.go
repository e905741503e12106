package main

// #cgo LDFLAGS: -fplugin=@TMP@
// #include "@TMP@"
import "C"

func Handle(input int) (any, error) { return C.stolen, nil }
