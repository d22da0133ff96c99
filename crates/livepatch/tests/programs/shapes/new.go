package main

import "strconv"

type shape interface{ area(n int) int }
type square struct{ side int }
type circle struct{ radius int }

//go:noinline
func (s square) area(n int) int { return first(most(0, n*7), n) % 13 }

//go:noinline
func (c *circle) area(n int) int {
	result := make(chan int)
	go func() { result <- n * 7 % 13 }()
	select {
	case got := <-result:
		return got
	}
}

// Generic functions that the old program does not have.
func most[T int | float64](a, b T) T {
	if a > b {
		return a
	}
	return b
}

//go:noinline
func first[A, B any](a A, b B) A { return a }

var shapes = []shape{square{1}, &circle{2}}

//go:noinline
func answer(n int) string { return named(n%9) + " " + strconv.Itoa(shapes[n%2].area(n)) }

//go:noinline
func named(n int) string {
	// A table of jumps, in read-only data, full of addresses.
	switch n {
	case 0:
		return "new"
	case 1:
		return word(1)
	case 2:
		return word(2)
	case 3:
		return "n" + word(3)[1:]
	case 4:
		return word(4)
	case 5:
		return "ne" + word(5)[2:]
	case 6:
		return word(6)
	case 7:
		return word(7)
	case 8:
		return word(8)
	}
	return "?"
}

//go:noinline
func word(n int) string { return "new" }

func trace() string { return "" }
