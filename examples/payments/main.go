// Payments is the service that Custody's demonstration builds, seals, runs, tampers with and catches: HTTP, a few
// endpoints, a pool of goroutines and one path that is slow on purpose. It takes its listening socket as any service
// under a socket-passing supervisor does. With -home (or CUSTODY_HOME) it records what it does through Custody's SDK: a
// payment is answered when its event is durable, and the profiler's routes open for recorded traces only.
package main

import (
	"context"
	"errors"
	"flag"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	address := flag.String("addr", "127.0.0.1:8080", "address to listen on when no socket is passed in")
	workers := flag.Int("workers", 4, "goroutines that settle payments")
	home := flag.String("home", os.Getenv("CUSTODY_HOME"), "Custody home to record in; empty: nothing is recorded")
	flag.Parse()
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	if err := serve(*address, *workers, *home, log); err != nil {
		log.Error("payments stopped", "error", err)
		os.Exit(1)
	}
}

// serve runs until SIGTERM or SIGINT, then answers what is under way and returns.
func serve(address string, workers int, home string, log *slog.Logger) error {
	listener, passed, err := listen(address)
	if err != nil {
		return err
	}
	book, err := openBook(home, log)
	if err != nil {
		return err
	}
	defer book.close()
	bank := NewBank(workers)
	defer bank.Close()
	server := &http.Server{Handler: routes(bank, book), ReadHeaderTimeout: 5 * time.Second}
	stopped, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer cancel()
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	log.Info("payments serves", "address", listener.Addr().String(), "passed", passed, "pid", os.Getpid())
	select {
	case err := <-failed:
		return err
	case <-stopped.Done():
	}
	drain, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := server.Shutdown(drain); err != nil && !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	log.Info("payments drained")
	return nil
}

// listen takes the first socket of LISTEN_FDS (sd_listen_fds(3)) when the variables are meant for this process, and
// opens its own otherwise.
func listen(address string) (listener net.Listener, passed bool, err error) {
	if !socketPassed() {
		listener, err = net.Listen("tcp", address)
		return listener, false, err
	}
	const firstPassed = 3 // SD_LISTEN_FDS_START
	file := os.NewFile(firstPassed, "LISTEN_FD_3")
	defer file.Close()
	listener, err = net.FileListener(file)
	return listener, true, err
}
