package main

//go:noinline
func text(n int) string {
	words := "a sentence that only the new build has: new"
	return say(words[len(words)-3:], value(n))
}
