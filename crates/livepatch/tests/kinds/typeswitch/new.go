package main

type typeswitchNew struct{ n int }
type typeswitchNamed interface{ named() int }

//go:noinline
func (t typeswitchNew) named() int { return value(t.n) }

//go:noinline
func typeswitch(n int) string {
	return typeswitchOf([]any{n, typeswitchNew{n}, &typeswitchNew{n}, int64(n), decimal(n), []int{n}}[n%6])
}

//go:noinline
func typeswitchOf(v any) string {
	switch v := v.(type) {
	case int:
		return say("new", value(v))
	case *typeswitchNew:
		return say("new", value(v.n))
	case typeswitchNamed:
		return say("new", v.named())
	case int64:
		return say("new", value(int(v)))
	case []int:
		return say("new", value(v[0]))
	case string:
		return say("new", value(number(v)))
	}
	return "?"
}
