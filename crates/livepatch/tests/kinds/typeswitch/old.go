package main

//go:noinline
func typeswitch(n int) string { return typeswitchOf(n) }

//go:noinline
func typeswitchOf(v any) string {
	switch v := v.(type) {
	case int:
		return say("old", value(v))
	}
	return "?"
}
