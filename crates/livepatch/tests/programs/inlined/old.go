package main

import "strconv"

func word() string { return "old" }

//go:noinline
func answer(n int) string {
	if n%2 == 0 {
		return even(n)
	}
	return word() + " " + strconv.Itoa(n*7%13)
}

//go:noinline
func even(n int) string { return word() + " " + strconv.Itoa(n*7%13) }

func trace() string { return "" }
