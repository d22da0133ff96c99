package main

//go:noinline
func slices(n int) (out string) {
	grid := [][]int{}
	for i := 0; i < 7; i++ {
		grid = append(grid, append(make([]int, 0, 1), n, i))
	}
	sum := 0
	for _, row := range grid {
		sum += row[:1:1][0]
	}
	cut := append(grid[:2:2], grid[5:]...)
	if len(cut) != 4 || cut[2][1] != 5 || copy(grid, grid[1:]) != 6 || grid[0][1] != 1 {
		return "a slice is wrong"
	}
	defer func() {
		if recover() == nil {
			out = "an index was out of range"
		}
	}()
	out = say("new", sum%13)
	return out + decimal(grid[6+n%1+1][0])
}
