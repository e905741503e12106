package kiln

import (
	"bytes"
	"encoding/json"
	"fmt"
	"runtime/debug"
	"unsafe"
)

var (
	serve  func(input []byte) ([]byte, error)
	input  []byte
	output []byte
)

// By default a stack may grow to a gigabyte, and whatever overflows it would first spend the function's memory.
const mostStackBytes = 16 << 20

func init() { debug.SetMaxStack(mostStackBytes) }

// Serve is called by Kiln's own part of each function, with the author's Handle.
func Serve[In, Out any](handle func(In) (Out, error)) {
	serve = func(text []byte) ([]byte, error) {
		var in In
		if raw, ok := any(&in).(*json.RawMessage); ok {
			*raw = text
		} else if err := json.Unmarshal(text, &in); err != nil {
			return nil, fmt.Errorf("the input is not what Handle takes: %w", err)
		}
		out, err := handle(in)
		if err != nil {
			return nil, err
		}
		return written(out)
	}
}

func written(value any) ([]byte, error) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return nil, fmt.Errorf("the result cannot be written as JSON: %w", err)
	}
	return text.Bytes(), nil
}

//go:wasmexport alloc
func alloc(length int32) unsafe.Pointer {
	input = make([]byte, length, length+1)
	return unsafe.Pointer(unsafe.SliceData(input))
}

//go:wasmexport handle
func handle(_, _ int32) int64 {
	defer func() {
		if reason := recover(); reason != nil {
			end(fmt.Sprintf("panic: %v", reason), placeOfPanic())
		}
	}()
	answer, err := serve(input)
	if err != nil {
		end(err.Error(), placeOf(err))
	}
	output = answer
	at := uint64(uintptr(unsafe.Pointer(unsafe.SliceData(output))))
	return int64(at<<32 | uint64(len(output)))
}
