package main

//go:noinline
func tables(n int) string { return say("old", value(n)) }
