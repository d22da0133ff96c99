package main

//go:noinline
func switched(n int) string {
	switch n % 9 {
	case 0, 1, 2, 3, 4, 5, 6, 7, 8:
		return say("old", value(n))
	}
	return "?"
}
