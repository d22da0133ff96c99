// The service that is patched. Every kind of change has a folder with two forms of one function, which the list of kinds
// (written by the tests) names; this file is the same in both builds.
//
// Workers call all of them without rest, also on stacks that have to grow, and the collector runs at every opportunity.
// Each answer must be the old one or the new one; once the tester has said which, only that one. Kinds are counted apart.
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

type kind struct {
	name         string
	answer       func(n int) string
	calls, wrong atomic.Uint64
	complaint    atomic.Value
}

var (
	expected atomic.Value // "any", "old" or "new"
)

//go:noinline
func say(word string, v int) string { return word + " " + strconv.Itoa(v) }

//go:noinline
func value(n int) int { return n * 7 % 13 }

//go:noinline
func decimal(n int) string { return strconv.Itoa(n) }

//go:noinline
func number(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		return -1
	}
	return n
}

//go:noinline
func nameOf(v any) string { return fmt.Sprintf("%T", v) }

func (k *kind) check(n int) {
	mode := expected.Load().(string)
	got := k.answer(n)
	ok := mode != "new" && got == say("old", value(n)) || mode != "old" && got == say("new", value(n))
	if !ok && mode == expected.Load().(string) {
		k.wrong.Add(1)
		k.complaint.Store(fmt.Sprintf("%s: %d is answered with %q", mode, n, got))
	}
	k.calls.Add(1)
}

//go:noinline
func (k *kind) deep(depth, n int) int {
	var pad [32]int
	pad[n%32] = depth
	if depth == 0 {
		k.check(n)
		return 0
	}
	return k.deep(depth-1, n) + pad[n%32] - depth
}

func worker(n int) {
	for ; ; n = (n*31 + 7) % 1000 {
		for at := range kinds {
			k := &kinds[(at+n)%len(kinds)]
			k.check(n)
			if n%5 == 0 {
				done := make(chan int)
				go func() { done <- k.deep(40+n%300, n) }()
				<-done
			}
		}
	}
}

// Waits until every kind has answered that many times more.
func await(more uint64) {
	for at := range kinds {
		for until := kinds[at].calls.Load() + more; kinds[at].calls.Load() < until; {
			time.Sleep(time.Millisecond)
		}
	}
}

func main() {
	debug.SetGCPercent(1)
	expected.Store("old")
	for at := range kinds {
		kinds[at].complaint.Store("")
	}
	for i := 0; i < 4; i++ {
		go worker(i)
	}
	fmt.Println("ready", decimal(number("7")), nameOf(kinds[0].name), value(2))
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		word, rest, _ := strings.Cut(lines.Text(), " ")
		switch word {
		case "expect": // and wait until that many answers of each kind were given
			expected.Store(rest)
			await(40)
			runtime.GC()
			for at := range kinds {
				k := &kinds[at]
				fmt.Printf("%s %d %d %s\n", k.name, k.calls.Load(), k.wrong.Load(), k.complaint.Load())
			}
			fmt.Println("done")
		case "answer":
			name, n, _ := strings.Cut(rest, " ")
			for at := range kinds {
				if kinds[at].name == name {
					fmt.Println(kinds[at].answer(number(n)))
				}
			}
		}
	}
}
