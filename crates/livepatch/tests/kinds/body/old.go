package main

//go:noinline
func body(n int) string { return say("old", value(n)) }
