package main

//go:noinline
func built(n int) string { return say("old", value(n)) }
