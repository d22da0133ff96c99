package main

//go:noinline
func function(n int) string { return say("new", functionThirteenth(functionSeventh(n))) }

//go:noinline
func functionSeventh(n int) int { return n * 7 }

//go:noinline
func functionThirteenth(n int) int { return n % 13 }
