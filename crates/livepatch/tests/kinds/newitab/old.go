package main

// Conversions that the old build does not have, of a type of the old build and of a new one; the process has made tables
// for the first of them by itself.
type newitabSpeaker interface{ speak(n int) string }
type newitabKnown struct{ word string }
type newitabSilent struct{ word string }

//go:noinline
func (k *newitabKnown) speak(n int) string { return say(k.word, value(n)) }

//go:noinline
func (s *newitabSilent) speak(n int) string { return say(s.word, value(n)) }

var newitabAny = []any{&newitabKnown{"old"}, &newitabSilent{"old"}}

//go:noinline
func newitab(n int) string {
	return newitabAny[0].(newitabSpeaker).speak(n)
}
