// Serves HTTP on every socket it was handed (sd_listen_fds(3)). `/pid` answers with the pid, `/crash` ends the process
// by a signal, `/fail` by exit 7, `/names` answers with LISTEN_FDNAMES. SIGTERM ends it with exit 0.
package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
)

func main() {
	if os.Getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		fmt.Fprintln(os.Stderr, "LISTEN_PID is not ours")
		os.Exit(9)
	}
	count, _ := strconv.Atoi(os.Getenv("LISTEN_FDS"))
	http.HandleFunc("/pid", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, os.Getpid()) })
	http.HandleFunc("/names", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, os.Getenv("LISTEN_FDNAMES")) })
	http.HandleFunc("/crash", func(http.ResponseWriter, *http.Request) { syscall.Kill(os.Getpid(), syscall.SIGKILL) })
	http.HandleFunc("/fail", func(http.ResponseWriter, *http.Request) { os.Exit(7) })
	for fd := 3; fd < 3+count; fd++ {
		listener, err := net.FileListener(os.NewFile(uintptr(fd), "listener"))
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(8)
		}
		go http.Serve(listener, nil)
	}
	terminated := make(chan os.Signal, 1)
	signal.Notify(terminated, syscall.SIGTERM)
	<-terminated
}
