package main

import "strconv"

var served [16]*int

//go:noinline
func answer(n int) string {
	v := n * 7 % 13
	served[n%16] = &v
	return "old " + strconv.Itoa(v)
}

func trace() string { return "" }
