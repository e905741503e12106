package main

import "kiln"

func init() { kiln.Serve(Handle) }
