package main

type receiversPair struct {
	a, b int
	c    string
}

//go:noinline
func receivers(n int) string {
	p := receiversPair{n, 7, "x"}
	p.times()
	return p.rest(13)
}

//go:noinline
func (p *receiversPair) times() { p.a *= p.b }

//go:noinline
func (p receiversPair) rest(by int) string { return say("old", p.a%by) }
