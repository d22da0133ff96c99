package main

import "strconv"

type shape interface{ area(n int) int }
type square struct{ side int }
type circle struct{ radius int }

//go:noinline
func (s square) area(n int) int { return n * 7 % 13 }

//go:noinline
func (c *circle) area(n int) int { return n * 7 % 13 }

var shapes = []shape{square{1}, &circle{2}}

//go:noinline
func answer(n int) string { return named(n%9) + " " + strconv.Itoa(shapes[n%2].area(n)) }

//go:noinline
func named(n int) string {
	switch n {
	case 0, 1, 2, 3, 4, 5, 6, 7, 8:
		return "old"
	}
	return "?"
}

func trace() string { return "" }
