package main

//go:noinline
func channels(n int) string { return say("old", value(n)) }
