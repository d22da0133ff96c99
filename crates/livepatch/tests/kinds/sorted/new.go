package main

import "sort"

type sortedPairs []struct{ key, value int }

func (s sortedPairs) Len() int           { return len(s) }
func (s sortedPairs) Less(i, j int) bool { return s[i].key < s[j].key }
func (s sortedPairs) Swap(i, j int)      { s[i], s[j] = s[j], s[i] }

// A new type behind an interface of the standard library.
//
//go:noinline
func sorted(n int) string {
	pairs := sortedPairs{}
	for i := 0; i < 40; i++ {
		pairs = append(pairs, struct{ key, value int }{i * 7 % 40, n})
	}
	sort.Sort(pairs)
	for i := range pairs {
		if pairs[i].key != i {
			return "what was sorted is not"
		}
	}
	return say("new", value(pairs[5].value))
}
