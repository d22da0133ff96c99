package main

//go:noinline
func ranged(n int) string {
	bytes, runes := 0, 0
	for at, r := range "héllo, wörld ✓" {
		bytes, runes = at, runes+1
		if r == 0 {
			return "no rune"
		}
	}
	if bytes != 15 || runes != 14 {
		return "runes were miscounted"
	}
	numbers := make(chan int, 7)
	for range [7]struct{}{} {
		numbers <- n
	}
	close(numbers)
	sum := 0
	for number := range numbers {
		sum += number
	}
	return say("new", sum%13)
}
