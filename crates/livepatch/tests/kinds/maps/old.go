package main

//go:noinline
func maps(n int) string { return say("old", value(n)) }
