package custody

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

func login(user string) *ComplianceEvent {
	return &ComplianceEvent{
		Subject: map[string]string{"user": user, "svc": "auth"},
		Action:  "AUTH.LOGIN.FAIL",
		Object:  map[string]string{"table": "users"},
		Context: map[string]string{"ip": "192.168.3.5", "note": "“quoted” \"\\\n\x01 \xff"},
	}
}

func TestRecordedEventsAreInTheLedgerAsTheyWere(t *testing.T) {
	dir := home(t)
	owner := startOwner(t, dir)
	recorder := open(t, Options{Home: dir})
	var _ EventRecorder = recorder
	const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
	ctx := WithTraceID(limited(t), trace)
	event := login("10086")
	event.Timestamp = time.Date(2026, 11, 20, 16, 30, 45, 7, time.FixedZone("CST", 8*3600))
	receipt, err := recorder.RecordReceipt(ctx, event)
	if err != nil {
		t.Fatal(err)
	}
	again := *event
	again.ID = receipt.ID
	repeated, err := recorder.RecordReceipt(ctx, &again)
	if err != nil || repeated != receipt {
		t.Errorf("the same event again: %v, %v; it was %v", repeated, err, receipt)
	}
	if err := recorder.Close(ctx); err != nil {
		t.Error(err)
	}
	if err := recorder.Record(ctx, event); !errors.Is(err, ErrClosed) {
		t.Errorf("a closed recorder answers %v", err)
	}
	owner.leave(t)
	found := stored(t, dir, "AUTH.")
	got, there := found[receipt.ID]
	if !there || len(found) != 1 {
		t.Fatalf("%d events, %v", len(found), found)
	}
	if !got.Timestamp.Equal(event.Timestamp) || got.Severity != Info || got.Subject["user"] != "10086" {
		t.Errorf("stored: %+v", got)
	}
	if got.Context["trace_id"] != trace || got.Context["peer.pid"] != fmt.Sprint(os.Getpid()) {
		t.Errorf("context: %v", got.Context)
	}
	if want := strings.ToValidUTF8(event.Context["note"], "\ufffd"); got.Context["note"] != want {
		t.Errorf("%q became %q", want, got.Context["note"])
	}
}

func TestARefusalNamesEveryFault(t *testing.T) {
	dir := home(t)
	startOwner(t, dir)
	recorder := open(t, Options{Home: dir})
	defer recorder.Close(limited(t))
	for _, bad := range []*ComplianceEvent{
		{Action: "AUTH.LOGIN.FIAL", Subject: map[string]string{"usr": "1"}},
		{Action: "AUTH.LOGIN.FAIL", Subject: map[string]string{"user": "1"}, Context: map[string]string{"peer.uid": "0"}},
		{Action: "AUTH.LOGIN.FAIL", Subject: map[string]string{"user": "1"}, Severity: "LOUD"},
		{Action: "AUTH.LOGIN.FAIL", Subject: map[string]string{"user": strings.Repeat("x", 20_000)}},
		{Action: "AUTH.LOGIN.FAIL", Subject: map[string]string{"user": strings.Repeat("x", 100_000)}},
		{Action: "AUTH.LOGIN.FAIL", Subject: map[string]string{"user": "1"}, ID: "not a UUID"},
		{},
	} {
		err := recorder.Record(limited(t), bad)
		var invalid *InvalidEvent
		if !errors.Is(err, ErrInvalidComplianceEvent) || !errors.As(err, &invalid) || len(invalid.Faults) == 0 {
			t.Errorf("%v: %v", bad, err)
		}
	}
	err := recorder.Record(limited(t), &ComplianceEvent{Action: "AUTH.LOGIN.FIAL", Subject: map[string]string{"usr": "1"}})
	if text := fmt.Sprint(err); !strings.Contains(text, "$.act") || !strings.Contains(text, "$.sub.usr") {
		t.Error(text)
	}
	if err := recorder.Record(limited(t), login("good")); err != nil {
		t.Error(err)
	}
}

func TestContextsAreHonoured(t *testing.T) {
	dir := home(t)
	owner := startOwner(t, dir)
	recorder := open(t, Options{Home: dir})
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	if err := recorder.Record(cancelled, login("1")); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	owner.kill()
	short, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := recorder.Record(short, login("2")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("nobody owns the home, and Record says %v", err)
	}
	if err := recorder.Close(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("an event is unanswered, and Close says %v", err)
	}
	if _, err := Open(short, Options{Home: dir}); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

// record has many goroutines record for as long as it takes; it gives the ids that were acknowledged.
func recordMany(t *testing.T, recorder *Recorder, goroutines, each int, acknowledged func(int)) map[string]bool {
	t.Helper()
	ctx := limited(t)
	ids := map[string]bool{}
	var lock sync.Mutex
	var all sync.WaitGroup
	for g := 0; g < goroutines; g++ {
		g := g
		all.Add(1)
		go func() {
			defer all.Done()
			for n := 0; n < each; n++ {
				receipt, err := recorder.RecordReceipt(ctx, login(fmt.Sprint(g, "-", n)))
				if err != nil {
					t.Error(err)
					return
				}
				lock.Lock()
				ids[receipt.ID] = true
				count := len(ids)
				lock.Unlock()
				acknowledged(count)
			}
		}()
	}
	all.Wait()
	return ids
}

func TestNothingAcknowledgedIsLostWhenOwnersAreKilled(t *testing.T) {
	for _, way := range ways() {
		way := way
		t.Run(way.name, func(t *testing.T) {
			dir := home(t)
			first := startOwner(t, dir)
			recorder := open(t, Options{Home: dir, Transport: way.transport, RingBytes: way.bytes})
			var lock sync.Mutex
			current, kills := first, 0
			ids := recordMany(t, recorder, 64, 200, func(count int) {
				lock.Lock()
				defer lock.Unlock()
				if count >= 2000*(kills+1) && kills < 4 {
					kills++
					current.kill()
					current = startOwner(t, dir)
				}
			})
			if err := recorder.Close(limited(t)); err != nil {
				t.Error(err)
			}
			current.leave(t)
			found := stored(t, dir, "AUTH.")
			if kills != 4 || len(ids) != 64*200 || len(found) != len(ids) {
				t.Errorf("%d kills, %d acknowledged, %d stored", kills, len(ids), len(found))
			}
			for id := range ids {
				if _, there := found[id]; !there {
					t.Errorf("%s was acknowledged and is lost", id)
				}
			}
		})
	}
}

// TestMain lets this test program be the service that is killed.
func TestMain(m *testing.M) {
	if dir := os.Getenv("CUSTODY_TEST_SERVICE"); dir != "" {
		serviceToBeKilled(dir)
		return
	}
	os.Exit(m.Run())
}

// serviceToBeKilled prints the id of every event once it is acknowledged.
func serviceToBeKilled(dir string) {
	for _, way := range ways() {
		if way.name != os.Getenv("CUSTODY_TEST_WAY") {
			continue
		}
		recorder, err := Open(context.Background(), Options{Home: dir, Transport: way.transport, RingBytes: way.bytes})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		for g := 0; g < 16; g++ {
			go func() {
				for {
					receipt, err := recorder.RecordReceipt(context.Background(), login("killed"))
					if err != nil {
						fmt.Fprintln(os.Stderr, err)
						os.Exit(1)
					}
					os.Stdout.WriteString(receipt.ID + "\n")
				}
			}()
		}
		select {}
	}
}

func TestNothingAcknowledgedIsLostWhenTheServiceIsKilled(t *testing.T) {
	for _, way := range ways() {
		way := way
		t.Run(way.name, func(t *testing.T) {
			dir := home(t)
			owner := startOwner(t, dir)
			var printed strings.Builder
			for round := 0; round < 4; round++ {
				service := exec.Command(os.Args[0])
				service.Env = append(os.Environ(), "CUSTODY_TEST_SERVICE="+dir, "CUSTODY_TEST_WAY="+way.name)
				service.Stdout, service.Stderr = &printed, os.Stderr
				if err := service.Start(); err != nil {
					t.Fatal(err)
				}
				time.Sleep(300 * time.Millisecond)
				service.Process.Kill()
				service.Wait()
			}
			owner.leave(t)
			found := stored(t, dir, "AUTH.")
			lines := strings.Split(printed.String(), "\n")
			acknowledged := 0
			for _, id := range lines {
				if len(id) != 36 {
					continue // the line it died in
				}
				acknowledged++
				if _, there := found[id]; !there {
					t.Errorf("%s was acknowledged and is lost", id)
				}
			}
			if acknowledged < 40 {
				t.Errorf("only %d acknowledged", acknowledged)
			}
		})
	}
}

func TestATraceIsSeenOnceItsEventIsDurable(t *testing.T) {
	dir := home(t)
	startOwner(t, dir)
	recorder := open(t, Options{Home: dir})
	defer recorder.Close(limited(t))
	ctx := limited(t)
	trace := NewTraceID()
	if seen, err := recorder.TraceSeen(ctx, trace, time.Minute); seen || err != nil {
		t.Error(seen, err)
	}
	if err := recorder.Record(WithTraceID(ctx, trace), login("1")); err != nil {
		t.Fatal(err)
	}
	if seen, err := recorder.TraceSeen(ctx, trace, time.Minute); !seen || err != nil {
		t.Error(seen, err)
	}
	if seen, err := recorder.TraceSeen(ctx, trace, 0); seen || err != nil {
		t.Error(seen, err)
	}
}
