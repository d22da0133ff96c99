package main

//go:noinline
func started(n int) string { return say("old", value(n)) }
