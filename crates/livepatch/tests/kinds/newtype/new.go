package main

// A type that the old program does not have, with pointers, in a list on the heap, and named by reflection.
type newtypeNote struct {
	next  *newtypeNote
	value int
	text  string
}

//go:noinline
func newtype(n int) string {
	var list *newtypeNote
	for i := 0; i < 20; i++ {
		list = &newtypeNote{next: list, value: i, text: decimal(i)}
	}
	for at, i := list, 19; at != nil; at, i = at.next, i-1 {
		if at.value != i || at.text != decimal(i) {
			return "a list was broken"
		}
	}
	if name := nameOf(list); name != "*main.newtypeNote" {
		return name
	}
	return say("new", value(n))
}
