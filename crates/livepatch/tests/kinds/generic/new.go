package main

func genericFirst[A, B any](a A, b B) A {
	both := struct {
		b B
		a A
	}{b, a}
	return genericKeep(both).a
}

// Instances, dictionaries and a generic type that the old program does not have.
//
//go:noinline
func genericKeep[T any](t T) T {
	list := &genericList[T]{}
	list.push(t)
	return list.items[0]
}

type genericList[T any] struct{ items []T }

//go:noinline
func (l *genericList[T]) push(t T) { l.items = append(l.items, t) }

//go:noinline
func generic(n int) string { return say(genericFirst("new", n), genericFirst(value(n), "")) }
