// Package kiln is what a function has at hand beside the standard library.
package kiln

import (
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"time"
	"unsafe"
)

//go:wasmimport kiln fail
func hostFail(text unsafe.Pointer, length uint32)

//go:wasmimport kiln log
func hostLog(level int32, text unsafe.Pointer, length uint32)

//go:wasmimport kiln context
func hostContext(into unsafe.Pointer, capacity uint32) uint32

// Level says how much a line of the log matters.
type Level int32

// The levels of the log.
const (
	Debug Level = iota
	Info
	Warning
	Error
)

// Log writes a line into the execution's log; so does printing to standard output and standard error.
func Log(level Level, format string, arguments ...any) {
	line := fmt.Sprintf(format, arguments...)
	hostLog(int32(level), unsafe.Pointer(unsafe.StringData(line)), uint32(len(line)))
}

// Execution is what is known of this execution.
type Execution struct {
	ExecutionID   string `json:"executionId"`
	FunctionID    string `json:"functionId"`
	Version       int    `json:"version"`
	Attempt       int    `json:"attempt"`
	CorrelationID string `json:"correlationId"`
	DeadlineMs    int64  `json:"deadlineMs"`
}

// Deadline is when the execution will be stopped.
func (e Execution) Deadline() time.Time {
	return time.UnixMilli(e.DeadlineMs)
}

// Context tells of this execution.
func Context() Execution {
	text := make([]byte, hostContext(nil, 0))
	hostContext(unsafe.Pointer(unsafe.SliceData(text)), uint32(len(text)))
	var known Execution
	// A member of another kind is left out, the others are there.
	_ = json.Unmarshal(text, &known)
	return known
}

// Fail ends the execution as failed, with a message and the place where it was called.
func Fail(format string, arguments ...any) {
	end(fmt.Sprintf(format, arguments...), placeOfCaller())
}

// Errorf makes an error as fmt.Errorf does, which knows its place.
func Errorf(format string, arguments ...any) error {
	return &placed{fmt.Errorf(format, arguments...), placeOfCaller()}
}

type placed struct {
	error
	place string
}

func (p *placed) Unwrap() error {
	return p.error
}

func placeOfCaller() string {
	_, file, line, _ := runtime.Caller(2)
	return place(file, line)
}

func place(file string, line int) string {
	if file != source {
		return ""
	}
	return fmt.Sprintf("\n%s:%d", file, line)
}

const source = "source.go"

// Where the innermost of the errors was made that know their place.
func placeOf(err error) (place string) {
	var known *placed
	for errors.As(err, &known) {
		place, err = known.place, known.error
	}
	return place
}

// The innermost call in the author's source of a goroutine that panics.
func placeOfPanic() string {
	calls := make([]uintptr, 64)
	frames := runtime.CallersFrames(calls[:runtime.Callers(3, calls)])
	for {
		frame, more := frames.Next()
		if found := place(frame.File, frame.Line); found != "" || !more {
			return found
		}
	}
}

func end(message, place string) {
	text := message + place
	hostFail(unsafe.Pointer(unsafe.StringData(text)), uint32(len(text)))
}
