// The service that is patched. `answer` and what it needs are in change.go, which every kind of change has in two forms.
//
// Workers call `answer` without rest, also deep in recursion on a stack that has to grow, and the collector runs at
// every opportunity. Each answer must be the old one or the new one; once the tester has said which, only that one.
package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

var (
	calls, wrong atomic.Uint64
	expected     atomic.Value // "any", "old" or "new"
	complaint    atomic.Value
)

func right(word, got string, n int) bool {
	return got == word+" "+strconv.Itoa(n*7%13)
}

func check(n int) {
	mode := expected.Load().(string)
	got := answer(n)
	ok := mode != "new" && right("old", got, n) || mode != "old" && right("new", got, n)
	if !ok && mode == expected.Load().(string) {
		wrong.Add(1)
		complaint.Store(fmt.Sprintf("%s: answer(%d) = %q", mode, n, got))
	}
	calls.Add(1)
}

//go:noinline
func deep(depth, n int) int {
	var pad [32]int
	pad[n%32] = depth
	if depth == 0 {
		check(n)
		return 0
	}
	return deep(depth-1, n) + pad[n%32] - depth
}

func worker(seed int) {
	for n := seed; ; n = (n*31 + 7) % 1000 {
		check(n)
		if n%17 == 0 {
			done := make(chan int)
			go func() { done <- deep(300, n) }()
			<-done
		}
	}
}

func main() {
	debug.SetGCPercent(1)
	expected.Store("old")
	complaint.Store("")
	for i := 0; i < 4; i++ {
		go worker(i)
	}
	fmt.Println("ready")
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		switch word, rest, _ := strings.Cut(lines.Text(), " "); word {
		case "expect": // and wait until that many answers were right
			expected.Store(rest)
			for until := calls.Load() + 2000; calls.Load() < until; {
				time.Sleep(time.Millisecond)
			}
			fmt.Println(rest, wrong.Load(), complaint.Load())
		case "answer":
			n, _ := strconv.Atoi(rest)
			fmt.Println(answer(n))
		case "collect":
			runtime.GC()
			fmt.Println("collected")
		case "trace": // the stack of the function that runs inside answer
			fmt.Println(strings.ReplaceAll(trace(), "\n", "|"))
		}
	}
}
