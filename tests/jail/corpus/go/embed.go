package main

import _ "embed"

//go:embed @HOME@
//go:embed ../@BESIDE_NAME@
var stolen string

func Handle(input int) (any, error) { return stolen, nil }
