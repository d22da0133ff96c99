package main

type methodvalueForm struct{ factor, rest int }

//go:noinline
func (f methodvalueForm) of(n int) string { return say("new", n*f.factor%f.rest) }

//go:noinline
func methodvalue(n int) string {
	bound, free := methodvalueForm{7, 13}.of, methodvalueForm.of
	if n%2 == 0 {
		return methodvalueCall(bound, n)
	}
	return free(methodvalueForm{7, 13}, n)
}

//go:noinline
func methodvalueCall(f func(int) string, n int) string { return f(n) }
