package main

import (
	_ "../@BESIDE_NAME@"
	_ "./compile.cfg"
	_ "@SHM@"
)

func Handle(input int) (any, error) { return nil, nil }
