package main

import kilnServes "kiln"

func init() { kilnServes.Serve(Handle) }
