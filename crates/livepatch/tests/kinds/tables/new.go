package main

// Tables in read-only data and in data, with strings and with functions.
var tablesWords = [...]struct {
	word string
	of   func(int) int
}{{"not", nil}, {"new", tablesSeventh}, {"new", value}}

//go:noinline
func tablesSeventh(n int) int { return n * 7 % 13 }

//go:noinline
func tables(n int) string {
	rests := [13]uint8{0, 7, 1, 8, 2, 9, 3, 10, 4, 11, 5, 12, 6}
	entry := tablesWords[1+n%2]
	if int(rests[n%13]) != entry.of(n) {
		return "a table is wrong"
	}
	return say(entry.word, int(rests[n%13]))
}
