package main

//go:noinline
func deferred(n int) (out string) {
	v, order := 0, ""
	defer func() {
		if order != "210" {
			out = "deferred calls ran in the order " + order
		}
	}()
	for i := 0; i < 3; i++ { // in a loop: records on the heap
		i := i
		defer func() { order += decimal(i) }()
	}
	defer func() { out = say("new", v) }()
	v = value(n)
	return "not yet"
}
