package main

//go:cgo_ldflag "-L/etc"
//go:cgo_import_dynamic stolen stolen "@JOB@"
func Handle(input int) (any, error) { return nil, nil }
