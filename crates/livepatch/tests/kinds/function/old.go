package main

//go:noinline
func function(n int) string { return say("old", value(n)) }
