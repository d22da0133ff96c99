package main

import "strconv"

//go:noinline
func answer(n int) string { return form("new", n*7%13) }

//go:noinline
func form(word string, v int) string { return word + " " + strconv.Itoa(v) }

func trace() string { return "" }
