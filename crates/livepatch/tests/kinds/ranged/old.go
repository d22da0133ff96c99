package main

//go:noinline
func ranged(n int) string { return say("old", value(n)) }
