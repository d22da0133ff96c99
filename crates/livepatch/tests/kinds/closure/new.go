package main

// A function literal without captured variables, held by a variable.

//go:noinline
func closure(n int) string { return closureKept(n) }

var closureKept = func(n int) string { return say("new", n*7%13) }
