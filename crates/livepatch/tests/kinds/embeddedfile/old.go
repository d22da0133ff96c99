package main

//go:noinline
func embeddedfile(n int) string { return say("old", value(n)) }
