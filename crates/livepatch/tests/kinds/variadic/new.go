package main

//go:noinline
func variadic(n int) string { return variadicJoin("new", variadicSum([]int{n, n, n, n, n, n, n}...)%13) }

//go:noinline
func variadicSum(ns ...int) (sum int) {
	for at := range ns {
		sum += ns[len(ns)-1-at]
	}
	return sum
}

//go:noinline
func variadicJoin(parts ...any) string { return say(parts[0].(string), parts[1].(int)) }
