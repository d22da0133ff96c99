package main

// A table of jumps, in read-only data, full of addresses; and a search among strings.
//
//go:noinline
func switched(n int) string {
	switch n % 9 {
	case 0:
		return switchedName("zero", n)
	case 1:
		return switchedName("one", n+13)
	case 2:
		return switchedName("two", n+26)
	case 3:
		return switchedName("three", n+39)
	case 4:
		return switchedName("four", n+52)
	case 5:
		return switchedName("five", n+65)
	case 6:
		return switchedName("six", n+78)
	case 7:
		return switchedName("seven", n+91)
	case 8:
		return switchedName("eight", n+104)
	}
	return "?"
}

//go:noinline
func switchedName(name string, n int) string {
	switch name {
	case "zero", "one", "two", "three":
		return say("new", value(n))
	case "four":
		return say("n"+"ew"[:2], value(n))
	case "five", "six", "seven", "eight":
		return say("new", value(n+13))
	}
	return name
}
