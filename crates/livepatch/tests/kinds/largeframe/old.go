package main

//go:noinline
func largeframe(n int) string { return say("old", value(n)) }
