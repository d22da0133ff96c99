package main

func genericFirst[A, B any](a A, b B) A { return a }

//go:noinline
func generic(n int) string { return say(genericFirst("old", n), genericFirst(value(n), "")) }
