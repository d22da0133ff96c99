package main

//go:noinline
func slices(n int) string { return say("old", value(n)) }
