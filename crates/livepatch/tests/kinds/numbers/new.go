package main

//go:noinline
func numbers(n int) string {
	turned := complex(float64(n), 0) * complex(0, 3.5) * complex(0, -2) // n * 7
	x := real(turned)
	whole := float64(int(x/13)) * 13.0
	if imag(turned) != 0 || float32(x) != float32(n*7) || uint8(x) != uint8(n*7) {
		return "a number is wrong"
	}
	return say("new", int(x-whole+0.25))
}
