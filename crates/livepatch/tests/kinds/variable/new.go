package main

// Variables that the old program does not have: zero, with a value, and with pointers that only they hold.
var (
	variableKept  [16]*int
	variableWord  = "new"
	variableTable = []*string{&variableWord, nil}
)

//go:noinline
func variable(n int) string {
	v := value(n)
	if old := variableKept[v]; old != nil && *old != v {
		return "a variable lost what it pointed to"
	}
	fresh := v
	variableKept[v] = &fresh
	return say(*variableTable[0], *variableKept[v])
}
