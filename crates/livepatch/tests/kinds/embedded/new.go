package main

type embeddedInner struct{ factor int }
type embeddedOuter struct {
	name string
	*embeddedInner
}
type embeddedScaler interface{ scale(n int) string }

var embeddedOne embeddedScaler = embeddedOuter{"outer", &embeddedInner{7}}

//go:noinline
func embedded(n int) string { return embeddedOne.scale(n) }

//go:noinline
func (i *embeddedInner) scale(n int) string {
	twice := struct{ *embeddedInner }{i}
	return say("new", twice.once(n)%13)
}

//go:noinline
func (i *embeddedInner) once(n int) int { return n * i.factor }
