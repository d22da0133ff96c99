package main

//go:noinline
func newtype(n int) string { return say("old", value(n)) }
