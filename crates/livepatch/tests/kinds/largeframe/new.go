package main

// Frames of 24 KiB: the stack grows by several doublings at once.
//
//go:noinline
func largeframe(n int) string {
	var pad [3000]*int
	v := value(n)
	pad[n%3000], pad[2999] = &v, &v
	if n%2 == 0 {
		return largeframeMore(&pad, n%3000)
	}
	return say("new", *pad[2999])
}

//go:noinline
func largeframeMore(up *[3000]*int, at int) string {
	var pad [3000]*int
	pad[2999-at] = up[at]
	return say("new", *pad[2999-at])
}
