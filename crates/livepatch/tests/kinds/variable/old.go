package main

//go:noinline
func variable(n int) string { return say("old", value(n)) }
