package main

// Closures with captured variables: those made from now on are new ones.

//go:noinline
func captured(n int) string { return capturedMaker(n)("old") }

//go:noinline
func capturedMaker(n int) func(string) string {
	v := value(n)
	return func(word string) string { return say(word, v) }
}
