package main

type pointersFrame struct {
	count int
	first *int
	fill  [3]uintptr
	more  []*int
	any   any
}

// A local structure whose words are pointers and numbers in turn, on a stack that grows under it: the stack maps of the
// new image decide what the collector keeps and what moves.
//
//go:noinline
func pointers(n int) string {
	v := value(n)
	frame := pointersFrame{count: 3, first: &v, fill: [3]uintptr{1, 2, 3}}
	for i := 0; i < 3; i++ {
		i := i
		frame.more = append(frame.more, &i)
	}
	frame.any = &frame
	if sum := pointersClimb(&frame, 60); sum != 60 {
		return "a frame was lost"
	}
	if frame.any.(*pointersFrame).first != &v || *frame.more[2] != 2 {
		return "a pointer into the stack did not move"
	}
	return say("new", *frame.first)
}

//go:noinline
func pointersClimb(up *pointersFrame, depth int) int {
	if depth == 0 {
		return 0
	}
	v := depth
	here := pointersFrame{first: &v, any: up}
	below := pointersClimb(&here, depth-1)
	if *here.first != depth || here.any.(*pointersFrame) != up {
		return -1000
	}
	return below + 1
}
