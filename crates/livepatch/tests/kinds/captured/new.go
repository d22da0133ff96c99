package main

// Closures with captured variables: those made from now on are new ones.

//go:noinline
func captured(n int) string { return capturedMaker(n)("new") }

//go:noinline
func capturedMaker(n int) func(string) string {
	v, kept := value(n), []*int{&n}
	return func(word string) string {
		if *kept[0] != n {
			return "a captured variable was lost"
		}
		return say(word, v)
	}
}
