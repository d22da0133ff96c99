package main

type recoveredItem struct {
	next *recoveredItem
	n    int
}

//go:noinline
func recovered(n int) (out string) {
	defer func() {
		if recover() != nil {
			out = say("new", value(n))
		}
	}()
	return decimal(recoveredLast(&recoveredItem{n: n})) // a nil pointer is read, every time
}

//go:noinline
func recoveredLast(i *recoveredItem) int { return i.next.n }
