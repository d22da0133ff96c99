package main

//go:noinline
func pointers(n int) string { return say("old", value(n)) }
