package custody

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// program is the custody binary that the tests need; they are skipped by name without one.
func program(t testing.TB) string {
	t.Helper()
	if path := os.Getenv("CUSTODY_BIN"); path != "" {
		return path
	}
	folder := os.Getenv("CARGO_TARGET_DIR")
	if folder == "" {
		folder = "../../target"
	}
	path := filepath.Join(folder, "debug", "custody")
	if _, err := os.Stat(path); err != nil {
		t.Skipf("SKIPPED %s: no custody binary: set CUSTODY_BIN or build it", t.Name())
	}
	return path
}

// home makes a home; when the test ends, its ledger must verify.
func home(t testing.TB) string {
	t.Helper()
	custody, dir := program(t), filepath.Join(t.TempDir(), "home")
	run(t, custody, "--home", dir, "--quiet", "init")
	t.Cleanup(func() { run(t, custody, "--home", dir, "audit", "verify") })
	return dir
}

func run(t testing.TB, name string, arguments ...string) []byte {
	t.Helper()
	out, err := exec.Command(name, arguments...).Output()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, arguments, err, out)
	}
	return out
}

// owner is a process that owns a home for as long as its standard input is open.
type owner struct {
	command *exec.Cmd
	input   io.Closer
}

func startOwner(t testing.TB, home string) *owner {
	t.Helper()
	command := exec.Command(program(t), "--home", home, "audit", "record")
	command.Stderr = os.Stderr
	input, err := command.StdinPipe()
	if err == nil {
		err = command.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	o := &owner{command, input}
	t.Cleanup(o.kill)
	return o
}

// kill ends the owner as a crash would.
func (o *owner) kill() {
	if o.command.ProcessState == nil {
		o.command.Process.Kill()
		o.command.Wait()
	}
}

// leave lets the owner end in order.
func (o *owner) leave(t testing.TB) {
	t.Helper()
	o.input.Close()
	if err := o.command.Wait(); err != nil {
		t.Error(err)
	}
}

func limited(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func open(t testing.TB, options Options) *Recorder {
	t.Helper()
	recorder, err := Open(limited(t), options)
	if err != nil {
		t.Fatal(err)
	}
	return recorder
}

// stored gives the events of an action by id. Nobody may own the home in a way that does not answer.
func stored(t testing.TB, home, action string) map[string]ComplianceEvent {
	t.Helper()
	command := exec.Command(program(t), "--home", home, "--json", "audit", "query", "--act", action)
	out, err := command.StdoutPipe()
	if err == nil {
		err = command.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	events := map[string]ComplianceEvent{}
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var line struct {
			Event *ComplianceEvent `json:"event"`
		}
		var event ComplianceEvent
		if err := json.Unmarshal(lines.Bytes(), &line); err == nil && line.Event != nil {
			event = *line.Event
		} else if err := json.Unmarshal(lines.Bytes(), &event); err != nil {
			t.Fatalf("%s: %v", lines.Bytes(), err)
		}
		if _, twice := events[event.ID]; twice {
			t.Errorf("%s is there twice", event.ID)
		}
		events[event.ID] = event
	}
	if err := command.Wait(); err != nil {
		t.Fatal(err)
	}
	return events
}
