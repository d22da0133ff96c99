package main

//go:noinline
func signature(n int) string {
	out, _ := signatureForm("new", value(n), nil)
	return out
}

//go:noinline
func signatureForm(word string, v int, more []byte) (string, error) { return say(word, v) + string(more), nil }
