package main

//go:noinline
func numbers(n int) string { return say("old", value(n)) }
