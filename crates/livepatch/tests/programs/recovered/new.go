package main

import (
	"runtime/debug"
	"strconv"
)

type item struct {
	next *item
	n    int
}

//go:noinline
func answer(n int) (text string) {
	defer func() {
		if recover() != nil {
			text = "new " + strconv.Itoa(n*7%13)
		}
	}()
	return strconv.Itoa(last(&item{n: n})) // a nil pointer is read, every time
}

//go:noinline
func trace() string { return string(debug.Stack()) }

//go:noinline
func last(i *item) int { return i.next.n }
