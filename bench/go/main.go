// Bench measures what one event costs a Go service: recorded through the SDK, or logged by slog as JSON to a file. It
// prints one JSON document.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"sort"
	"strconv"
	"sync"
	"syscall"
	"time"

	"custody.example/sdk"
)

type report struct {
	Events     int     `json:"events"`
	Seconds    float64 `json:"seconds"`
	CPUMicros  float64 `json:"cpu_us_per_event"`
	PerSecond  float64 `json:"events_per_second"`
	P99Micros  float64 `json:"p99_us"`
	Goroutines int     `json:"goroutines"`
}

func main() {
	way := flag.String("way", "socket", "socket, ring, fast or slog")
	home := flag.String("home", "", "home to record in")
	file := flag.String("file", "", "file that slog writes")
	events := flag.Int("events", 100_000, "events in all")
	goroutines := flag.Int("goroutines", 256, "goroutines that record at once")
	flag.Parse()
	if err := run(*way, *home, *file, *events, *goroutines); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(way, home, file string, events, goroutines int) error {
	record, finish, err := recorder(way, home, file)
	if err != nil {
		return err
	}
	each := events / goroutines
	latencies := make([][]time.Duration, goroutines)
	var all sync.WaitGroup
	before, begun := processorTime(), time.Now()
	for g := 0; g < goroutines; g++ {
		all.Add(1)
		go func() {
			defer all.Done()
			took := make([]time.Duration, 0, each)
			for n := 0; n < each; n++ {
				at := time.Now()
				if err := record(n); err != nil {
					panic(err)
				}
				took = append(took, time.Since(at))
			}
			latencies[g] = took
		}()
	}
	all.Wait()
	if err := finish(); err != nil {
		return err
	}
	seconds, cpu := time.Since(begun).Seconds(), processorTime()-before
	var sorted []time.Duration
	for _, took := range latencies {
		sorted = append(sorted, took...)
	}
	sort.Slice(sorted, func(i, j int) bool { return sorted[i] < sorted[j] })
	count := len(sorted)
	return json.NewEncoder(os.Stdout).Encode(report{
		Events: count, Seconds: seconds, Goroutines: goroutines, PerSecond: float64(count) / seconds,
		CPUMicros: float64(cpu.Microseconds()) / float64(count),
		P99Micros: float64(sorted[count*99/100].Microseconds()),
	})
}

// processorTime is what this process used, in user and kernel mode.
func processorTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// recorder gives what records one event, and what waits for all of them. Both ways carry the same facts.
func recorder(way, home, file string) (record func(int) error, finish func() error, err error) {
	ctx := context.Background()
	if way == "slog" {
		out, err := os.Create(file)
		if err != nil {
			return nil, nil, err
		}
		log := slog.New(slog.NewJSONHandler(out, nil))
		return func(n int) error {
			log.LogAttrs(ctx, slog.LevelInfo, "payment settled",
				slog.String("act", "PAYMENT.SETTLED"),
				slog.Group("sub", slog.String("user", "10086"), slog.String("svc", "payments")),
				slog.Group("obj", slog.String("table", "accounts"), slog.String("row", strconv.Itoa(n))),
				slog.Group("ctx", slog.String("ip", "192.0.2.1"), slog.String("trace_id", "4bf92f3577b34da6a3ce929d0e0e4736")))
			return nil
		}, out.Close, nil
	}
	transports := map[string]custody.Transport{
		"socket": custody.Socket, "ring": custody.RingDurable, "fast": custody.RingFast,
	}
	transport, known := transports[way]
	if !known {
		return nil, nil, fmt.Errorf("no way is called %q", way)
	}
	opened, err := custody.Open(ctx, custody.Options{Home: home, Transport: transport})
	if err != nil {
		return nil, nil, err
	}
	return func(n int) error {
		return opened.Record(ctx, &custody.ComplianceEvent{
			Subject: map[string]string{"user": "10086", "svc": "payments"},
			Action:  "PAYMENT.SETTLED",
			Object:  map[string]string{"table": "accounts", "row": strconv.Itoa(n)},
			Context: map[string]string{
				"msg": "payment settled", "ip": "192.0.2.1", "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
			},
		})
	}, func() error { return opened.Close(ctx) }, nil
}
