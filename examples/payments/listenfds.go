package main

import (
	"os"
	"strconv"
)

// socketPassed says whether LISTEN_FDS holds at least one socket and LISTEN_PID names this process.
func socketPassed() bool {
	pid, err := strconv.Atoi(os.Getenv("LISTEN_PID"))
	if err != nil || pid != os.Getpid() {
		return false
	}
	count, err := strconv.Atoi(os.Getenv("LISTEN_FDS"))
	return err == nil && count > 0
}
