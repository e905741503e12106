package main

import _ "unsafe"

//go:linkname steal runtime.fastexprand
func steal(int) int32

func Handle(input int) (any, error) { return steal(input), nil }
