package main

//go:noinline
func constant(n int) string { return say([]string{"old", "new"}[1], n*7%13) }
