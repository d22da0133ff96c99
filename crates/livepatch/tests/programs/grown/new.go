package main

import "strconv"

//go:noinline
func answer(n int) string {
	sum := 0
	climb(n%97+3, &sum, func(at int) *int { v := at; return &v })
	if sum != n%97+3 {
		return "a pointer into a stack that moved was lost"
	}
	return "new " + strconv.Itoa(n*7%13)
}

// Every frame has a pointer into the first one's, and one to the heap; the stack grows under them.
//
//go:noinline
func climb(depth int, sum *int, keep func(int) *int) {
	var pad [40]int
	kept := keep(depth)
	pad[depth%40] = depth
	if depth > 1 {
		climb(depth-1, sum, keep)
	}
	if *kept == pad[depth%40] {
		*sum++
	}
}

func trace() string { return "" }
