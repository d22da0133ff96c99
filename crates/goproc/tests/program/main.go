// A Go program that is looked at: goroutines in known places, threads and goroutines that come and go, a collector that
// never rests. It answers each line on standard input with a line, and proves with it that it is well.
package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"
)

var turns, wrong atomic.Uint64

//go:noinline
func parked(depth int, gate chan int) int {
	if depth > 0 {
		return parked(depth-1, gate) + 1
	}
	return <-gate
}

//go:noinline
func deep(n int) int {
	var pad [64]int
	pad[n%64] = n
	if n == 0 {
		return pad[0]
	}
	return deep(n-1) + pad[n%64] - n + 1
}

func churn() {
	for {
		done := make(chan string)
		go func() { done <- strings.Repeat("x", deep(200)) }()
		if len(<-done) != 200 {
			wrong.Add(1)
		}
		turns.Add(1)
	}
}

func threads() {
	for {
		done := make(chan bool)
		go func() {
			runtime.LockOSThread()
			time.Sleep(time.Millisecond)
			close(done) // the thread ends with its goroutine
		}()
		<-done
	}
}

func main() {
	debug.SetGCPercent(1)
	for i := 0; i < 50; i++ {
		go parked(9, make(chan int))
	}
	go churn()
	go churn()
	go threads()
	fmt.Println("ready")
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		before := turns.Load()
		for turns.Load() == before {
			time.Sleep(time.Millisecond)
		}
		fmt.Println(lines.Text(), wrong.Load())
	}
}
