package main

// A panic that begins in one function, goes through one that changes, and is caught by one that does not.
//go:noinline
func panicked(n int) (out string) {
	defer func() { out = say(recover().(string), value(n)) }()
	return panickedThrough(n)
}

//go:noinline
func panickedThrough(n int) string {
	kept := []int{n}
	defer func() {
		kept[0]++
		if kept[0] != n+1 {
			panic("what a deferred call held was lost")
		}
	}()
	return panickedFrom("new")
}

//go:noinline
func panickedFrom(word string) string {
	var pad [64]int
	pad[len(word)] = 1
	if pad[3] == 1 {
		panic(word)
	}
	return word
}
