package main

//go:noinline
func recursive(n int) string { return say("old", recursiveDown(n, 7)%13) }

//go:noinline
func recursiveDown(n, times int) int {
	if times == 0 {
		return 0
	}
	return n + recursiveDown(n, times-1)
}
