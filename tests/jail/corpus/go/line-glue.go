package main

//line glue.go:1:1
func Handle(input int) (any, error) { return "undefined: Handle" + missing, nil }
