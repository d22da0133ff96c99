package main

//go:noinline
func selected(n int) string {
	words, values, never := make(chan string, 1), make(chan int), make(chan struct{})
	go func() { values <- value(n) }()
	words <- "new"
	word, v := "", -1
	for word == "" || v < 0 {
		select {
		case word = <-words:
		case v = <-values:
		case <-never:
			return "nobody sent"
		}
	}
	select {
	case <-words:
		return "nobody sent twice"
	default:
	}
	return say(word, v)
}
