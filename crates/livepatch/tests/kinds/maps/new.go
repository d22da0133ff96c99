package main

type mapsKey struct {
	a, b int8
	c    string
}

// A map of new types, grown, deleted from and ranged over.
//
//go:noinline
func maps(n int) string {
	m := map[mapsKey]*[3]int{}
	for i := 0; i < 60; i++ {
		m[mapsKey{int8(i), int8(-i), decimal(i)}] = &[3]int{i, value(n), -i}
	}
	for key, entry := range m {
		if int(key.a) != entry[0] || key.c != decimal(entry[0]) {
			return "a map was broken"
		}
		if key.a%2 == 1 {
			delete(m, key)
		}
	}
	if len(m) != 30 {
		return "a map holds too much"
	}
	return say("new", m[mapsKey{8, -8, "8"}][1])
}
