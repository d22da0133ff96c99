package main

//go:noinline
func variadic(n int) string { return say("old", variadicSum(n, n, n, n, n, n, n)%13) }

//go:noinline
func variadicSum(ns ...int) (sum int) {
	for _, n := range ns {
		sum += n
	}
	return sum
}
