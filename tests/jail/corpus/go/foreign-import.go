package main

//go:wasmexport handle
func handle(pointer, length int32) int64 { return 0 }

func Handle(input int) (any, error) { return nil, nil }
