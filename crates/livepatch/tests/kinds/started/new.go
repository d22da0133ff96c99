package main

//go:noinline
func started(n int) string {
	results := make(chan string)
	for i := 0; i < 3; i++ {
		go startedWork(results, n, i)
	}
	out := ""
	for i := 0; i < 3; i++ {
		if got := <-results; out != "" && got != out {
			return "goroutines disagree"
		} else {
			out = got
		}
	}
	return out
}

// Begins in the new image: its whole stack is made of new code.
func startedWork(results chan<- string, n, depth int) {
	if depth > 0 {
		startedWork(results, n, depth-1)
		return
	}
	results <- say("new", value(n))
}
