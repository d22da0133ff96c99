package main

//go:noinline
func recursive(n int) string { return say("new", recursiveDown(n, 7)%13) }

//go:noinline
func recursiveDown(n, times int) int {
	if times == 0 {
		return recursiveUp(0, 40)
	}
	return n + recursiveDown(n, times-1)
}

//go:noinline
func recursiveUp(n, times int) int {
	if times == 0 {
		return n
	}
	return recursiveUp(n+1, times-1) - 1
}
