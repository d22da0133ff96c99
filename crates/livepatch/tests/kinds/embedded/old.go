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
func (i *embeddedInner) scale(n int) string { return say("old", n*i.factor%13) }
