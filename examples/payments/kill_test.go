package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	serviceHome    = "PAYMENTS_TEST_HOME"
	serviceAddress = "PAYMENTS_TEST_ADDRESS"
)

// TestMain lets this test program be the service that is killed.
func TestMain(m *testing.M) {
	if home := os.Getenv(serviceHome); home != "" {
		log := slog.New(slog.NewTextHandler(os.Stderr, nil))
		if err := serve(os.Getenv(serviceAddress), 4, home, log); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// custodyBinary is the program that owns the home; without one the test is skipped by name.
func custodyBinary(t *testing.T) string {
	t.Helper()
	path := os.Getenv("CUSTODY_BIN")
	if path == "" {
		folder := os.Getenv("CARGO_TARGET_DIR")
		if folder == "" {
			folder = "../../target"
		}
		path = filepath.Join(folder, "debug", "custody")
	}
	if _, err := os.Stat(path); err != nil {
		t.Skipf("SKIPPED %s: no custody binary: set CUSTODY_BIN or build it", t.Name())
	}
	return path
}

// freeAddress is one that nobody listens on now.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// process is a child that is killed, not asked.
type process struct{ *exec.Cmd }

func start(t *testing.T, command *exec.Cmd) process {
	t.Helper()
	command.Stderr = os.Stderr
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	p := process{command}
	t.Cleanup(p.kill)
	return p
}

func (p process) kill() {
	if p.ProcessState == nil {
		p.Process.Kill()
		p.Wait()
	}
}

// paid collects the traces of payments that were answered with "settled".
type paid struct {
	mu     sync.Mutex
	traces map[string]bool
}

func (p *paid) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.traces)
}

// payUntil pays until it is told to stop. A request that found no service, or whose service died, is not counted.
func (p *paid) payUntil(stop <-chan struct{}, url string) {
	client := &http.Client{Timeout: 20 * time.Second}
	for {
		select {
		case <-stop:
			return
		default:
		}
		trace := fmt.Sprintf("%016x%016x", rand.Uint64()|1, rand.Uint64())
		request, _ := http.NewRequest("POST", url, strings.NewReader(`{"from":"alice","to":"bob","amount":1}`))
		request.Header.Set("traceparent", "00-"+trace+"-00f067aa0ba902b7-01")
		response, err := client.Do(request)
		if err != nil {
			time.Sleep(5 * time.Millisecond) // between two services
			continue
		}
		response.Body.Close()
		if response.StatusCode == http.StatusOK {
			p.mu.Lock()
			p.traces[trace] = true
			p.mu.Unlock()
		}
	}
}

// recordedTraces gives how often each trace has a settled payment in the ledger.
func recordedTraces(t *testing.T, custody, home string) map[string]int {
	t.Helper()
	out, err := exec.Command(custody, "--home", home, "--json", "audit", "query", "--act", "PAYMENT.SETTLED").Output()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]int{}
	lines := bufio.NewScanner(strings.NewReader(string(out)))
	for lines.Scan() {
		var event struct {
			Context map[string]string `json:"ctx"`
		}
		if err := json.Unmarshal(lines.Bytes(), &event); err != nil {
			t.Fatal(err)
		}
		found[event.Context["trace_id"]]++
	}
	return found
}

// Service and owner are killed in turn, and started again, while many pay: whoever was told "settled" is in the ledger, once.
func TestNoConfirmedPaymentIsLostWhoeverIsKilled(t *testing.T) {
	custody, home, address := custodyBinary(t), filepath.Join(t.TempDir(), "home"), freeAddress(t)
	if out, err := exec.Command(custody, "--home", home, "--quiet", "init").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	own := func() process {
		command := exec.Command(custody, "--home", home, "audit", "record")
		if _, err := command.StdinPipe(); err != nil { // it owns the home for as long as this is open
			t.Fatal(err)
		}
		return start(t, command)
	}
	serveAgain := func() process {
		command := exec.Command(os.Args[0])
		command.Env = append(os.Environ(), serviceHome+"="+home, serviceAddress+"="+address)
		return start(t, command)
	}
	owner, service := own(), serveAgain()
	paid, stop := &paid{traces: map[string]bool{}}, make(chan struct{})
	var all sync.WaitGroup
	for range 16 {
		all.Add(1)
		go func() {
			defer all.Done()
			paid.payUntil(stop, "http://"+address+"/pay")
		}()
	}
	for round := range 6 {
		// Each dies under load: some more were paid since the last.
		for before, deadline := paid.count(), time.Now().Add(time.Minute); paid.count() < before+40; {
			if time.Now().After(deadline) {
				t.Fatalf("round %d: nobody can pay", round)
			}
			time.Sleep(time.Millisecond)
		}
		if round%2 == 0 {
			service.kill()
			service = serveAgain()
		} else {
			owner.kill()
			owner = own()
		}
	}
	time.Sleep(100 * time.Millisecond)
	close(stop)
	all.Wait()
	service.kill()
	owner.kill()
	found := recordedTraces(t, custody, home)
	for trace := range paid.traces {
		if found[trace] != 1 {
			t.Errorf("the payment of trace %s was confirmed, and is in the ledger %d times", trace, found[trace])
		}
	}
	if out, err := exec.Command(custody, "--home", home, "audit", "verify").CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	t.Logf("%d payments were confirmed, %d are in the ledger", len(paid.traces), len(found))
}
