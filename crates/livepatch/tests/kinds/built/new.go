package main

//go:noinline
func built(n int) string {
	parts := []string{"new", decimal(value(n))}
	out := ""
	for i, part := range parts {
		if i > 0 {
			out += " "
		}
		for _, b := range []byte(part) {
			out += string(rune(b))
		}
	}
	return out
}
