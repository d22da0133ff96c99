package main

func inlinedWord() string { return "old" }

//go:noinline
func inlined(n int) string {
	if n%2 == 0 {
		return inlinedEven(n)
	}
	return say(inlinedWord(), value(n))
}

//go:noinline
func inlinedEven(n int) string { return say(inlinedWord(), value(n)) }
