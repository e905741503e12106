// Does what its input asks for: {"do": "echo", "value": …}.
package main

import (
	"fmt"
	"kiln"
	"math/rand/v2"
	"os"
	"strings"
	"time"
)

type Asked struct {
	Do    string `json:"do"`
	Value any    `json:"value"`
	Name  string `json:"name"`
}

var (
	started = time.Now()
	kept    [][]byte
)

func Handle(asked Asked) (any, error) {
	switch asked.Do {
	case "echo":
		return asked.Value, nil
	case "log":
		fmt.Println("printed")
		fmt.Fprintln(os.Stderr, "complained")
	case "environment":
		if value, ok := os.LookupEnv(asked.Name); ok {
			return value, nil
		}
	case "context":
		return kiln.Context(), nil
	case "fail":
		return nil, kiln.Errorf("order %d is unknown", 7) // fails here
	case "trap":
		return strings.Split(asked.Name, ",")[7], nil // traps here
	case "loop":
		fmt.Println("::progress 40 halfway")
		for {
		}
	case "memory":
		for {
			kept = append(kept, []byte(strings.Repeat("x", 1<<20)))
		}
	case "recursion":
		return deeper(0), nil
	case "output":
		return strings.Repeat("x", 4<<20), nil
	case "clock":
		return []float64{float64(time.Now().UnixMicro()) / 1e3, float64(time.Since(started).Nanoseconds()) / 1e6}, nil
	case "file":
		if _, err := os.ReadFile("/etc/passwd"); err != nil {
			return nil, fmt.Errorf("there are no files: %w", err)
		}
	case "random":
		return rand.Float64(), nil
	}
	return nil, nil
}

func deeper(depth int) int {
	return deeper(depth+1) + depth
}
