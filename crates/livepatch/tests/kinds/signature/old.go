package main

//go:noinline
func signature(n int) string { return signatureForm(value(n)) }

//go:noinline
func signatureForm(v int) string { return say("old", v) }
