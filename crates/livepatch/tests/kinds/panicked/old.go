package main

// A panic that begins in one function, goes through one that changes, and is caught by one that does not.
//go:noinline
func panicked(n int) (out string) {
	defer func() { out = say(recover().(string), value(n)) }()
	return panickedThrough(n)
}

//go:noinline
func panickedThrough(n int) string { return panickedFrom("old") }

//go:noinline
func panickedFrom(word string) string { panic(word) }
