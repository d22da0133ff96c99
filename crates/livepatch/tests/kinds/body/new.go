package main

//go:noinline
func body(n int) string {
	sum := 0
	for i := 0; i < 7; i++ {
		sum += n
	}
	return say("new", sum%13)
}
