package main

import (
	"errors"
	"fmt"
)

var wrappedBase = errors.New("base")

// An error type that the old program does not have.
type wrappedError struct {
	n     int
	cause error
}

//go:noinline
func (w *wrappedError) Error() string { return "new " + decimal(w.n) }

//go:noinline
func (w *wrappedError) Unwrap() error { return w.cause }

//go:noinline
func wrapped(n int) string {
	err := fmt.Errorf("outside: %w", &wrappedError{value(n), wrappedBase})
	if !errors.Is(err, wrappedBase) {
		return "an error was not wrapped"
	}
	inner, ok := errors.Unwrap(err).(*wrappedError)
	if !ok || err.Error() != "outside: "+inner.Error() {
		return "an error was not found again"
	}
	return inner.Error()
}
