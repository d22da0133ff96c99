package main

//go:noinline
func text(n int) string { return say("old", value(n)) }
