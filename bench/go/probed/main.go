// What `bench probe` probes: an HTTP server, and a function that is called often.
package main

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime"
	"syscall"
)

var sink int

//go:noinline
func Called(n int) int {
	other(n)
	return sink
}

//go:noinline
func other(n int) {
	sink += n
	if sink == -1 {
		println(sink)
	}
}

func processor() int64 {
	var usage syscall.Rusage
	syscall.Getrusage(1, &usage) // RUSAGE_THREAD
	return usage.Utime.Nano() + usage.Stime.Nano()
}

func main() {
	runtime.LockOSThread()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { w.Write([]byte("hello\n")) })
	go http.Serve(listener, nil)
	fmt.Println(listener.Addr())
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		const calls = 200_000
		began := processor()
		for i := 0; i < calls; i++ {
			Called(i)
		}
		fmt.Println(float64(processor()-began) / calls)
	}
}
