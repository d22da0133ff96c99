package main

import "sort"

//go:noinline
func sorted(n int) string {
	ns := []int{3, 1, value(n), 2}
	sort.Ints(ns)
	return say("old", value(n))
}
