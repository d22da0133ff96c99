package main

//go:noinline
func selected(n int) string { return say("old", value(n)) }
