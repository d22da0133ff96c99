package main

type methodvalueForm struct{ factor, rest int }

//go:noinline
func (f methodvalueForm) of(n int) string { return say("old", n*f.factor%f.rest) }

//go:noinline
func methodvalue(n int) string { return methodvalueForm{7, 13}.of(n) }
