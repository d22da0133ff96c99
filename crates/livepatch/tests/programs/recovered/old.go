package main

import "strconv"

type item struct {
	next *item
	n    int
}

//go:noinline
func answer(n int) string { return "old " + strconv.Itoa(n*7%13) }

func trace() string { return "" }

//go:noinline
func last(i *item) int { return i.next.n }
