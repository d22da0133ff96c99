package main

import "fmt"

type printedPair struct {
	Word  string
	Value int
}

//go:noinline
func printed(n int) string { return fmt.Sprintf("%s %d", "old", value(n)) }
