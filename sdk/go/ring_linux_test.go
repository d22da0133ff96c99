package custody

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// way is a durable way of recording that the tests go.
type way struct {
	name      string
	transport Transport
	bytes     int
}

func ways() []way {
	return []way{
		{name: "socket", transport: Socket},
		{name: "ring", transport: RingDurable},
		// Always full: 64 goroutines wait for room and for the disk.
		{name: "small ring", transport: RingDurable, bytes: 256 << 10},
	}
}

func TestADurableRingTellsRefusalsToTheirCallers(t *testing.T) {
	dir := home(t)
	startOwner(t, dir)
	recorder := open(t, Options{Home: dir, Transport: RingDurable})
	var all sync.WaitGroup
	for n := 0; n < 200; n++ {
		n := n
		all.Add(1)
		go func() {
			defer all.Done()
			event := login(fmt.Sprint(n))
			if n%3 == 0 {
				event.Action = "AUTH.LOGIN.FIAL"
			}
			err := recorder.Record(limited(t), event)
			if refused := errors.Is(err, ErrInvalidComplianceEvent); refused != (n%3 == 0) {
				t.Errorf("event %d: %v", n, err)
			}
		}()
	}
	all.Wait()
	if err := recorder.Close(limited(t)); err != nil {
		t.Error(err)
	}
	if found := stored(t, dir, "AUTH."); len(found) != 133 {
		t.Errorf("%d events", len(found))
	}
}

func TestAFastRingThatIsClosedHasLostNothing(t *testing.T) {
	dir := home(t)
	owner := startOwner(t, dir)
	recorder := open(t, Options{Home: dir, Transport: RingFast})
	for n := 0; n < 20_000; n++ {
		if err := recorder.Record(context.Background(), login(fmt.Sprint(n))); err != nil {
			t.Fatal(err)
		}
	}
	if err := recorder.Close(limited(t)); err != nil {
		t.Error(err)
	}
	owner.leave(t)
	if found := stored(t, dir, "AUTH."); len(found) != 20_000 {
		t.Errorf("%d events", len(found))
	}
}

func TestAFullRingPushesBackOrDrops(t *testing.T) {
	dir := home(t)
	owner := startOwner(t, dir)
	waits := open(t, Options{Home: dir, Transport: RingFast, RingBytes: 256 << 10})
	drops := open(t, Options{Home: dir, Transport: RingFast, RingBytes: 256 << 10, WhenFull: Drop})
	owner.kill() // nobody empties them
	event := login("1")
	event.Context["pad"] = strings.Repeat("x", 2000)
	short, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	var err error
	kept := 0
	for ; err == nil && kept < 1000; kept++ {
		err = waits.Record(short, event)
	}
	if !errors.Is(err, context.DeadlineExceeded) || kept > 130 {
		t.Errorf("after %d events of 2 KiB in 256 KiB: %v", kept, err)
	}
	dropped := 0
	for n := 0; n < 1000; n++ {
		if err := drops.Record(context.Background(), event); errors.Is(err, ErrDropped) {
			dropped++
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if dropped < 850 {
		t.Errorf("%d dropped", dropped)
	}
	startOwner(t, dir)
	for _, recorder := range []*Recorder{waits, drops} {
		if err := recorder.Close(limited(t)); err != nil {
			t.Error(err)
		}
	}
	found := stored(t, dir, "AUTH.")
	if want := kept - 1 + 1000 - dropped; len(found) != want {
		t.Errorf("%d events, not %d", len(found), want)
	}
	deadline := time.Now().Add(20 * time.Second)
	for {
		lost := stored(t, dir, "LEDGER.RING.LOST")
		for _, event := range lost {
			if event.Context["dropped"] == fmt.Sprint(dropped) {
				return
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("the ledger does not say that %d were dropped: %v", dropped, lost)
		}
		time.Sleep(100 * time.Millisecond)
	}
}
