package main

type recoveredItem struct {
	next *recoveredItem
	n    int
}

//go:noinline
func recovered(n int) string { return say("old", value(n)) }

//go:noinline
func recoveredLast(i *recoveredItem) int { return i.next.n }
