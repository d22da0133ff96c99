package main

import "strconv"

//go:noinline
func answer(n int) string { return form(n * 7 % 13) }

//go:noinline
func form(v int) string { return "old " + strconv.Itoa(v) }

func trace() string { return "" }
