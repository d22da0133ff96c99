package main

//go:noinline
func deferred(n int) string { return say("old", value(n)) }
