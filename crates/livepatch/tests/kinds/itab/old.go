package main

// Methods that are called through an interface table of the old build.
type itabShape interface{ area(n int) string }
type itabSquare struct{ side int }
type itabCircle struct{ radius int }

var itabShapes = []itabShape{itabSquare{1}, &itabCircle{2}}

//go:noinline
func itab(n int) string { return itabShapes[n%2].area(n) }

//go:noinline
func (s itabSquare) area(n int) string { return say("old", value(n)*s.side) }

//go:noinline
func (c *itabCircle) area(n int) string { return say("old", value(n)*c.radius/2) }
