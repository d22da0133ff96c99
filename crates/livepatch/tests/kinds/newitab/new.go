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

type newitabFresh struct{ word string }

//go:noinline
func (f newitabFresh) speak(n int) string { return say(f.word, value(n)) }

//go:noinline
func newitab(n int) string {
	known := &newitabKnown{"new"}
	speakers := []newitabSpeaker{known, &newitabSilent{"new"}, newitabFresh{"new"}}
	// The table made by the conversion and the one that the runtime finds are one.
	if found := newitabFind(any(known)); found != speakers[0] {
		return "two tables of one pair"
	}
	if found := newitabFind(newitabFresh{"new"}); found != speakers[2] {
		return "two tables of one new pair"
	}
	return speakers[n%3].speak(n)
}

//go:noinline
func newitabFind(value any) newitabSpeaker { return value.(newitabSpeaker) }
