package main

import "strconv"

// A type and variables that the old program does not have; what they point to lives on the heap.
type note struct {
	value int
	text  string
	next  *note
}

var (
	served [16]*int
	notes  [64]*note
	total  int
	word   = []string{"not", "new"}
)

//go:noinline
func answer(n int) string {
	v := n * 7 % 13
	served[n%16] = &v
	total++
	fresh := &note{value: v, text: strconv.Itoa(v), next: &note{value: v + 1}}
	notes[v] = fresh
	if kept := notes[(v+1)%13]; kept != nil && (kept.value != (v+1)%13 || kept.text != strconv.Itoa(kept.value) || kept.next.value != kept.value+1) {
		return "a variable lost what it pointed to"
	}
	return word[1] + " " + notes[v].text
}

func trace() string { return "" }
