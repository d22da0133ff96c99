package main

import "strconv"

//go:noinline
func answer(n int) string {
	parts := []string{"new", strconv.Itoa(n * 7 % 13)}
	out := ""
	for i, part := range parts {
		if i > 0 {
			out += " "
		}
		out += part
	}
	return out
}

func trace() string { return "" }
