package main

import "fmt"

// A structure that fmt takes apart by reflection, and one with a method that fmt finds.
type printedPair struct {
	Word  string
	Value int
}
type printedNamed struct{ printedPair }

//go:noinline
func (p printedNamed) String() string { return say(p.Word, p.Value) }

//go:noinline
func printed(n int) string {
	pair := printedPair{"new", value(n)}
	if got := fmt.Sprintf("%v %+v", pair, &pair); got != "{"+say("new", value(n))+"} &{Word:new Value:"+decimal(value(n))+"}" {
		return got
	}
	return fmt.Sprint(printedNamed{pair})
}
