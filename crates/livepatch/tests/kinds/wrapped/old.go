package main

import (
	"errors"
	"fmt"
)

var wrappedBase = errors.New("base")

//go:noinline
func wrapped(n int) string {
	err := fmt.Errorf("old %d: %w", value(n), wrappedBase)
	if !errors.Is(err, wrappedBase) {
		return "an error was not wrapped"
	}
	return say("old", value(n))
}
